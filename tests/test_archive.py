"An archive on a Ray cluster: a worker is killed in the middle, and every photo comes out once."
import importlib.util, json, os, re, signal, subprocess, sys, time, types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import colorize_lib
from colorize_lib import archive_cli
from colorize_lib.archive_cli import Worker
from colorize_lib.console import has_note, stoppable, Stopped
from colorize_lib.folders import walk_photos

COMMAND = [sys.executable, "-c", "from colorize_lib.archive_cli import main; main()"]
with_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None,
                              reason="Ray is not installed: pip install 'colorize_lib[ray]'")
GOOD, BAD = 60, {"torn.jpg": b"\xff\xd8\xff\xe0 torn", "text.png": b"no picture", "empty.tif": b"", "layers.psd": b"8BPS"}
HEAVY = "heavy.png"


def make_archive(folder):
    "Small gray photos in folders, some of them no photos; one name has a line break and a byte that is no text"
    rng = np.random.default_rng(0)
    names = [f"box {i % 3}/{i:03d}.png" for i in range(GOOD - 1)] + ["box 0/odd\n" + os.fsdecode(b"\xe9.png")]
    for name in names:
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (48, 64), dtype=np.uint8)).save(folder/name)
    for name, data in BAD.items(): (folder/"box 1"/name).write_bytes(data)
    return folder


def start(*args, home):
    "The command in a process of its own; what Ray keeps in a home folder goes to `home`"
    package = str(Path(colorize_lib.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HOME": str(home)}
    env.pop("RAY_ADDRESS", None)
    with open(home/"told.txt", "w") as told:
        return subprocess.Popen([*COMMAND, *map(str, args)], env=env, stdout=subprocess.DEVNULL, stderr=told, start_new_session=True)


def ended(run, home):
    "Exit code, and the lines that are ours"
    try: run.wait(timeout=900)
    finally:
        if run.poll() is None: os.killpg(run.pid, signal.SIGKILL)
    told = (home/"told.txt").read_text().splitlines()
    assert not [line for line in told if re.search(r"\b(INFO|WARNING)\b|\.cc:", line)], told
    return run.returncode, [line for line in told if line.endswith("failed") or "failed.jsonl" in line]


def begun(results):
    "The photos that were begun last, and the processes that did: (name, process) for each task in work"
    for note in results.glob(".draft-*/task-*"):
        try:
            counts, process = json.loads(note.read_text())
            i = list(map(int, counts))[-1]
            lines = (note.parent/"photos.jsonl").read_text().splitlines()
        except (OSError, ValueError): continue  # it is just being written, or has gone
        yield Path(json.loads(lines[int(note.name[5:])*archive_cli.LINES + i])).name, process


def kill_workers(results, run):
    "Kill one worker when five photos are done, and each that begins the heavy photo; how many, and what was done by then"
    innocent, guilty, before = set(), set(), {}
    while run.poll() is None and len(guilty) < archive_cli.TRIES:
        done = identities(results)
        for name, process in begun(results):
            if name == HEAVY: victims = guilty
            elif len(done) >= 5 and not innocent: victims, before = innocent, done
            else: continue
            if process in innocent | guilty: continue
            os.kill(process, signal.SIGKILL)
            victims.add(process)
        time.sleep(.01)
    return len(innocent), len(guilty), before


def identities(results):
    return {path: path.stat().st_ino for path in walk_photos(results)}


@with_ray
def test_killed_workers_lose_nothing_and_double_nothing(tmp_path):
    source, results = make_archive(tmp_path/"scans"), tmp_path/"coloured"
    Image.new("L", (5000, 4000), 120).save(source/"box 2"/HEAVY)  # long enough in work to be met there
    results.mkdir()
    run = start(source, results, "--workers", 2, home=tmp_path)
    innocent, guilty, before = kill_workers(results, run)
    code, told = ended(run, tmp_path)
    assert (code, innocent, guilty) == (1, 1, 3) and 5 <= len(before) < GOOD, (told, (tmp_path/"told.txt").read_text())
    found = identities(results)
    without = {*BAD, HEAVY}
    assert sorted(path.relative_to(results).parent/path.name.replace("_color", "") for path in found) == sorted(
        path.relative_to(source) for path in walk_photos(source) if path.name not in without)
    assert all(map(has_note, found)) and {path: found[path] for path in before} == before  # none was made twice
    failed = [json.loads(line) for line in (results/"failed.jsonl").read_text().splitlines()]
    reasons = {Path(one["file"]).name: one["reason"] for one in failed}
    assert len(failed) == len(without) and {*reasons} == without and all(reasons.values())
    assert reasons[HEAVY] == "3 workers died while they had it"
    done, skipped, bad = (int(word.split()[0]) for word in told[0].split(", "))
    assert done + skipped == GOOD and bad == len(without)  # skipped: what the dead ones had finished
    assert [path.name for path in results.rglob(".*")] == []  # neither notes nor drafts
    (source/"box 2"/HEAVY).unlink()
    code, told = ended(start(source, results, "--workers", 2, home=tmp_path), tmp_path)
    assert code == 1 and told[0] == f"0 colorized, {GOOD} skipped, {len(BAD)} failed"
    assert identities(results) == found


def test_lists_of_names_and_folders_in_each_other(tmp_path):
    source = make_archive(tmp_path/"scans")
    inside, notes = source/"coloured", tmp_path/"notes"
    notes.mkdir()
    (source/"list.txt").write_bytes(b"\xef\xbb\xbfbox 0/000.png\r\nbox 1/001.png\n\nbox 1/lost.png\nbox 1/001.png\n")
    archive, n = archive_cli.archive_of(source/"list.txt", inside, notes, None)
    rows = [row for task in range(len(archive.starts)) for row in Worker(archive).rows(task)]
    assert n == 4 and [row["outcome"] for row in rows] == ["done", "done", "failed", "skipped"]
    assert "no such file" in json.loads(rows[2]["line"])["reason"]
    assert [path.relative_to(inside).as_posix() for path in sorted(walk_photos(inside))] == [
        "box 0/000_color.png", "box 1/001_color.png"]
    archive, n = archive_cli.archive_of(source, inside, notes, None)
    assert n == GOOD + len(BAD)  # results inside the archive are no photos of it
    assert [photo for task in range(len(archive.starts)) for photo in archive.photos(task)] == list(walk_photos(source, (inside,)))


def test_a_foreign_file_stays(tmp_path):
    source, results, notes = tmp_path/"a", tmp_path/"b", tmp_path/"notes"
    for folder in (source, results, notes): folder.mkdir()
    Image.new("L", (32, 32), 90).save(source/"x.png")
    (results/"x_color.png").write_bytes(b"mine")
    archive, _ = archive_cli.archive_of(source, results, notes, None)
    row, = Worker(archive).rows(0)
    assert row["outcome"] == "failed" and "not a result of colorize" in row["line"]
    assert (results/"x_color.png").read_bytes() == b"mine"


@pytest.mark.parametrize("name", archive_cli.LISTS)
def test_a_foreign_list_stays(tmp_path, monkeypatch, name):
    monkeypatch.setattr(archive_cli.core, "require", lambda *args: None)  # refused before Ray is needed
    (tmp_path/"a").mkdir()
    (tmp_path/"b").mkdir()
    run = lambda: CliRunner().invoke(archive_cli.app, [str(tmp_path/"a"), str(tmp_path/"b")])
    for text in ("", '{"file": "x.png", "reason": "is empty"}\n'):
        (tmp_path/"b"/name).write_text(text)
        assert run().exit_code == 0
    (tmp_path/"b"/name).write_text("my own list\n")
    answer = run()
    assert answer.exit_code == 2 and f"{name} is not a file of this command" in answer.stderr
    assert [(file.name, file.read_text()) for file in (tmp_path/"b").iterdir()] == [(name, "my own list\n")]


@pytest.mark.parametrize("moment", ["start", "work"])
def test_sigterm_is_answered_by_us(monkeypatch, capfd, moment):
    "Ray puts a handler of its own in the place of ours, and talks"
    def init(**options):
        os.write(2, b"a line of Ray's")
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
        if moment == "start": signal.raise_signal(signal.SIGTERM)
    ended = []
    ray = types.SimpleNamespace(init=init, shutdown=lambda: ended.append("shut down"))
    monkeypatch.setitem(sys.modules, "ray", ray)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Stopped) as stop, stoppable(), archive_cli.cluster(None):
        assert moment == "work"
        signal.raise_signal(signal.SIGTERM)
    assert stop.value.number == signal.SIGTERM and ended == ["shut down"]
    assert signal.getsignal(signal.SIGTERM) is before
    print("a line of ours", file=sys.stderr)
    assert capfd.readouterr().err == "a line of ours\n"


@with_ray
@pytest.mark.skipif(os.name == "nt", reason="there, nobody can be asked to end")
def test_sigterm_leaves_nothing_behind(tmp_path):
    source, results = make_archive(tmp_path/"scans"), tmp_path/"coloured"
    run = start(source, results, "--workers", 1, home=tmp_path)
    while run.poll() is None and not (results.is_dir() and identities(results)): time.sleep(.05)
    run.send_signal(signal.SIGTERM)
    code, _ = ended(run, tmp_path)
    told = (tmp_path/"told.txt").read_text()
    assert code == 128 + signal.SIGTERM and "stopped by SIGTERM; interrupted, the same command goes on: at least " in told, told
    assert "Traceback" not in told and [path.name for path in results.rglob(".*")] == []
