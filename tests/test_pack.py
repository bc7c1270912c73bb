"""tools/pack_photos.py: photos there and back, the same files each time, bad photos left out."""
import os
import subprocess
import sys
from pathlib import Path

from colorize_lib.core import draft_prefix
from colorize_lib.data import source_parts
from colorize_lib.photos import read_photo, sample_photos

TOOL = Path(__file__).parents[1]/"tools"/"pack_photos.py"


def pack(folder, out, *options):
    return subprocess.run([sys.executable, TOOL, folder, out, *options], capture_output=True, text=True)


def album(folder):
    "Three photos for training, a text among them, and one for validation"
    for i, (name, image) in enumerate(list(sample_photos().items())[:4]):
        file = folder/("train" if i < 3 else "val")/f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file)
    (folder/"train"/"letter.jpg").write_text("Dear Sir or Madam")
    return folder


def test_shards(tmp_path, monkeypatch):
    monkeypatch.setenv("COLORIZE_CACHE", str(tmp_path/"cache"))
    first, second = (pack(album(tmp_path/"album"), tmp_path/name) for name in ("one", "two"))
    assert first.returncode == second.returncode == 0 and "letter.jpg" in first.stderr
    shards = sorted(f.name for f in (tmp_path/"one").iterdir())
    assert shards == ["train-0.tar", "train-1.tar", "val.tar"]
    one, two = ([(tmp_path/name/s).read_bytes() for s in shards] for name in ("one", "two"))
    assert one == two
    train, valid = source_parts(tmp_path/"one")
    assert (len(train), len(valid)) == (3, 1) and min(read_photo(valid[0]).image.size) <= 192


def test_a_folder_with_shards_is_refused(tmp_path):
    album(tmp_path/"album")
    (tmp_path/"out").mkdir()
    (tmp_path/"out"/"train-0.tar").touch()
    refused = pack(tmp_path/"album", tmp_path/"out")
    assert refused.returncode == 2 and "holds .tar files already" in refused.stderr


def test_what_a_killed_call_left_does_not_hinder(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    out = tmp_path/"out"
    out.mkdir()
    for pid in (ended.pid, os.getpid()):  # the second process still writes
        (out/f"{draft_prefix(pid)}0.tar").touch()
    assert pack(album(tmp_path/"album"), out).returncode == 0
    assert [f.name for f in out.glob(".*")] == [f"{draft_prefix()}0.tar"]


def test_no_shard_is_empty(tmp_path):
    assert pack(album(tmp_path/"album"), tmp_path/"out", "--shards", "9").returncode == 0
    assert len(list((tmp_path/"out").glob("train-*.tar"))) == 4  # photos and the text


def test_bad_input_ends_with_2(tmp_path):
    refused = pack(tmp_path/"nothing", tmp_path/"out")
    assert refused.returncode == 2 and "nothing" in refused.stderr and "Traceback" not in refused.stderr
