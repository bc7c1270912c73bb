"An archive on a Ray cluster: a worker is killed in the middle, and every photo comes out once."
import importlib.util, json, os, signal, subprocess, sys, time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import colorize_lib
from colorize_lib import archive_cli
from colorize_lib.archive_cli import Worker
from colorize_lib.console import has_note
from colorize_lib.folders import walk_photos

COMMAND = [sys.executable, "-c", "from colorize_lib.archive_cli import main; main()"]
with_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None,
                              reason="Ray is not installed: pip install 'colorize_lib[ray]'")
GOOD, BAD = 60, {"torn.jpg": b"\xff\xd8\xff\xe0 torn", "text.png": b"no picture", "empty.tif": b"", "layers.psd": b"8BPS"}


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
    return subprocess.Popen([*COMMAND, *map(str, args)], env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)


def ended(run):
    "Exit code, and the lines that are ours"
    try: told = run.communicate(timeout=300)[1]
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        raise
    return run.returncode, [line for line in told.splitlines() if line.endswith("failed") or "failed.jsonl" in line]


def worker_at_work(results, run, least):
    "The process that has begun a photo, when at least so many photos are done"
    while run.poll() is None:
        notes = list(results.glob(".draft-*/task-*"))
        done = len(list(walk_photos(results)))
        if done >= least and notes:
            try: return json.loads(notes[0].read_text())[2]
            except (OSError, ValueError): pass  # it is just being written, or has gone
        time.sleep(.02)
    pytest.fail(f"the command ended before a worker could be killed: {run.communicate()}")


def identities(results):
    return {path: path.stat().st_ino for path in walk_photos(results)}


@with_ray
def test_a_killed_worker_loses_nothing_and_doubles_nothing(tmp_path):
    source, results = make_archive(tmp_path/"scans"), tmp_path/"coloured"
    run = start(source, results, "--workers", 2, home=tmp_path)
    victim = worker_at_work(results, run, 5)
    before = identities(results)
    os.kill(victim, signal.SIGKILL)
    code, told = ended(run)
    found = identities(results)
    assert code == 1 and len(before) < GOOD, told
    assert sorted(path.relative_to(results).parent/path.name.replace("_color", "") for path in found) == sorted(
        path.relative_to(source) for path in walk_photos(source) if path.name not in BAD)
    assert all(map(has_note, found)) and {path: found[path] for path in before} == before  # none was made twice
    failed = [json.loads(line) for line in (results/"failed.jsonl").read_text().splitlines()]
    assert sorted(Path(one["file"]).name for one in failed) == sorted(BAD) and all(one["reason"] for one in failed)
    done, skipped, bad = (int(word.split()[0]) for word in told[0].split(", "))
    assert done + skipped == GOOD and bad == len(BAD) and skipped <= archive_cli.LINES  # what the dead one had finished
    assert [path.name for path in results.rglob(".*")] == []  # neither notes nor drafts
    assert not any("worker" in one["reason"] for one in failed)
    assert any("Photoshop" in one["reason"] or "layers" in one["reason"] for one in failed), failed
    again = ended(start(source, results, "--workers", 2, home=tmp_path))
    assert again[0] == 1 and again[1][0] == f"0 colorized, {GOOD} skipped, {len(BAD)} failed"
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
