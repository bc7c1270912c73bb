"HEIC, what many phones write: read where pillow-heif is installed, named as not read where it is not."
import importlib.util, sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colorize_lib import photo_headers
from colorize_lib.folders import default_target, list_media, why_not_read
from colorize_lib.photo_headers import PhotoError, reads_heic
from colorize_lib.photos import read_photo, save_photo

installed = pytest.mark.skipif(not reads_heic(), reason="needs the package pillow-heif")


def phone_photo(folder):
    "A photo lying on its side, with a note"
    import pillow_heif
    pillow_heif.register_heif_opener()
    notes = Image.Exif()
    notes[0x0112], notes[0x010E] = 6, "Grandmother, 2019"
    picture = Image.new("RGB", (96, 64), (90, 90, 90))
    picture.paste((200, 40, 40), (0, 0, 48, 32))
    picture.save(folder/"IMG_1.HEIC", format="HEIF", quality=95, exif=notes.tobytes())
    return folder/"IMG_1.HEIC"


@installed
def test_a_phone_s_photo_is_read(tmp_path):
    photo = read_photo(phone_photo(tmp_path))
    assert photo.image.size == (64, 96) and photo.words == ()
    colours = np.asarray(photo.image, int)
    assert np.abs(colours[10, 54] - (200, 40, 40)).max() < 12 and np.abs(colours[80, 10] - 90).max() < 12  # red is above on the right
    with Image.open(save_photo(photo, tmp_path/"b.jpg")) as im:
        assert im.getexif()[0x010E] == "Grandmother, 2019" and 0x0112 not in im.getexif()


@installed
def test_folders_and_names(tmp_path):
    path = phone_photo(tmp_path)
    assert list_media(tmp_path) == ([path], [], []) and why_not_read(path) == ""
    assert default_target(path).name == "IMG_1.HEIC_color.jpg"


@installed
@pytest.mark.parametrize("part", [.02, .5])
def test_half_a_file(tmp_path, part):
    data = phone_photo(tmp_path).read_bytes()
    (tmp_path/"b.heic").write_bytes(data[:max(40, int(len(data)*part))])
    with pytest.raises(PhotoError, match="b.heic: .*(damaged|truncated)"): read_photo(tmp_path/"b.heic")


def test_without_the_package(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None)
    (tmp_path/"a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(PhotoError, match="is HEIC, which is not read; pip install pillow-heif, or save it"): read_photo(tmp_path/"a.heic")


def test_it_is_loaded_for_such_files_only(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # an import of it would fail
    Image.new("L", (8, 8)).save(tmp_path/"a.jpg")
    assert read_photo(tmp_path/"a.jpg").image.size == (8, 8)
