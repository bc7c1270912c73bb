"""What a notebook cannot test of `core`, `photos` and `console`: a fresh interpreter, other users' rights, odd names."""
import os, subprocess, sys
from pathlib import Path

import pytest
from PIL import Image

from colorize_lib.cli import plan
from colorize_lib.console import has_note, readable
from colorize_lib.folders import find_photos
from colorize_lib.photos import PhotoError, read_photo

@pytest.mark.parametrize("module", ["core", "photos", "console"])
def test_import_is_light(module):
    "`colorize --help` waits for this import; it must not pull in numerical libraries"
    code = (f"import sys, colorize_lib.{module}\n"
            "print([m for m in ('torch', 'fastai', 'pandas', 'matplotlib', 'numpy', 'scipy') if m in sys.modules])")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"

@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path):
    photo = tmp_path/"secret.png"
    Image.new("L", (4, 4)).save(photo)
    photo.chmod(0)
    with pytest.raises(PhotoError, match="secret.png: .*ermission denied"): read_photo(photo)

@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_closed_folder(tmp_path):
    "It may hold photos, so it is named with the reason why nobody can know"
    closed = tmp_path/"in"/"closed"
    closed.mkdir(parents=True)
    closed.chmod(0)
    try:
        assert find_photos(tmp_path/"in") == [closed]
        with pytest.raises(PhotoError, match="closed: permission denied"): read_photo(closed)
        assert [job.problem for job in plan([tmp_path/"in"])] == ["permission denied"]
    finally: closed.chmod(0o700)

def test_the_note_is_sought_in_the_header_alone(tmp_path, monkeypatch):
    "A PNG without EXIF data would be decoded to look for some behind its pixels"
    Image.new("L", (8, 8)).save(tmp_path/"a_color.png")
    decoded = []
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda im: decoded.append(im))
    assert not has_note(tmp_path/"a_color.png") and decoded == []

def test_links_in_a_circle(tmp_path):
    for a, b in ("xy", "yx"):
        (tmp_path/a).mkdir()
        (tmp_path/a/f"to {b}").symlink_to(tmp_path/b)
    Image.new("L", (4, 4)).save(tmp_path/"x"/"one.png")
    Image.new("L", (4, 4)).save(tmp_path/"y"/"two.png")
    assert sorted(p.name for p in find_photos(tmp_path)) == ["one.png", "two.png"]

def test_names_that_are_not_text(tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    try: Path(os.fsdecode(name)).write_bytes(b"no photo")
    except OSError: pytest.skip("this disk has only text names")
    with pytest.raises(PhotoError) as error: read_photo(os.fsdecode(name))
    str(error.value).encode("utf-8")  # can be printed anywhere
    assert str(error.value) == f"{readable(os.fsdecode(name))}: is not a photo in a format we know"

def test_one_folder_by_two_links(tmp_path):
    "A folder of photos and two links to it: each photo is found once, where it lies"
    (tmp_path/"m").mkdir()
    Image.new("L", (4, 4)).save(tmp_path/"m"/"one.png")
    for link in ("a", "z"): (tmp_path/link).symlink_to(tmp_path/"m")
    assert find_photos(tmp_path) == [tmp_path/"m"/"one.png"]

@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_extreme_shapes(tmp_path, size):
    Image.new("RGB", size, "red").save(tmp_path/"thin.jpg")
    assert read_photo(tmp_path/"thin.jpg").image.size == size
