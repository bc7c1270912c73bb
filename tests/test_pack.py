"""tools/pack_photos.py: photos there and back, the same files each time, bad photos left out."""
import subprocess
import sys
from pathlib import Path

from colorize_lib.data import source_parts
from colorize_lib.photos import read_photo, sample_photos

TOOL = Path(__file__).parents[1]/"tools"/"pack_photos.py"


def pack(folder, out):
    return subprocess.run([sys.executable, TOOL, folder, out], capture_output=True, text=True)


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
    assert refused.returncode == 1 and "holds .tar files already" in refused.stderr
