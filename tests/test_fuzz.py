"tools/fuzz.py: the reader answers for damaged files, and a wrong answer is found."
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/"tools"))
import fuzz
from colorize_lib.photo_headers import PhotoError
from colorize_lib.photos import Photo


def test_damaged_files(tmp_path):
    "A sample of what `python tools/fuzz.py` does with many more"
    tally = fuzz.run(300, 1, tmp_path/"kept", hidden=True)
    assert tally["findings"] == [] and not (tmp_path/"kept").exists()
    assert tally["read"] > 30 and tally["refused"] > 100
    assert 0 < tally["peak"] < 1e9


def test_whole_files_are_read(tmp_path):
    "Only films and pages are refused: else the damage would never reach a decoder"
    refused = []
    for name, data in fuzz.whole_files().items():
        (tmp_path/name).write_bytes(data)
        outcome, problem = fuzz.judged(tmp_path/name)
        assert problem == "", name
        if outcome == "refused": refused.append(name)
    assert sorted(refused) == ["film.gif", "film.webp", "pages.tif"]
    assert {Path(name).suffix for name in fuzz.whole_files()} >= {".jpg", ".png", ".tif", ".webp", ".gif", ".bmp", ".pgm", ".ppm"}


def test_the_same_numbers_give_the_same_file():
    assert fuzz.damaged(3, 7) == fuzz.damaged(3, 7)
    names, files = zip(*(fuzz.damaged(3, i) for i in range(200)))
    assert len(set(files)) > 190 and len(set(names)) > 20


def raising(error):
    def read(path, deep): raise error(path)
    return read


@pytest.mark.parametrize("read, word", [
    (raising(lambda path: ValueError("what is this?")), "ValueError: what is this?"),
    (raising(lambda path: PhotoError("another file", "is odd")), "without the file's name"),
    (raising(lambda path: PhotoError(path, fuzz.NO_MEMORY)), "memory"),
    (raising(lambda path: KeyboardInterrupt()), "KeyboardInterrupt"),
    (lambda path, deep: Photo(Image.new("CMYK", (2, 2))), "an odd picture"),
    (lambda path, deep: Photo(Image.new("L", (2, 2)), Image.new("L", (3, 2))), "an odd picture"),
    (raising(lambda path: PhotoError(path, "is truncated")), ""),
    (lambda path, deep: Photo(Image.new("L", (2, 2))), "")])
def test_wrong_answers_are_findings(read, word):
    _, problem = fuzz.judged("a.jpg", read)
    assert word in problem and bool(word) == bool(problem)


@pytest.mark.parametrize("child, word", [
    ("import time\ntime.sleep(60)", "no answer after"),
    ("import os, sys\nsys.stdin.readline()\nos._exit(7)", "the process died, code 7"),
    ("import sys\nsys.stdin.readline()\nsys.stderr.write('oh')\nsys.stderr.flush()\nprint('[\"read\", \"\", 9]', flush=True)\nsys.stdin.read()", "2 bytes were written")])
def test_a_reader_that_hangs_dies_or_talks_is_found(tmp_path, monkeypatch, child, word):
    monkeypatch.setattr(fuzz, "START", 0)
    tally = fuzz.run(1, 0, tmp_path/"kept", seconds=2, command=[sys.executable, "-c", child], hidden=True)
    (finding,) = tally["findings"]
    (kept,) = (tmp_path/"kept").iterdir()
    assert word in finding and str(kept) in finding and kept.read_bytes() == fuzz.damaged(0, 0)[1]


def test_the_exit_code(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["fuzz.py", "-n", "5", "--keep", str(tmp_path)])
    for findings, code in (([], 0), (["a.jpg: odd"], 1)):
        monkeypatch.setattr(fuzz, "run", lambda *args: dict(read=2, refused=3, error=0, findings=findings, peak=1e8))
        with pytest.raises(SystemExit) as left: fuzz.main()
        assert left.value.code == code and f"5 files, seed 0: 2 read, 3 refused by name, {len(findings)} findings" in capsys.readouterr().out
