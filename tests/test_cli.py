"What only the command line itself can show: odd files, crashes, overwriting, exit codes, start-up."
import hashlib, itertools, json, os, signal, struct, subprocess, sys, textwrap, time, zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import features, Image, ImageOps
from typer.testing import CliRunner

import colorize_lib
from colorize_lib import cli, color, core
from colorize_lib.console import has_note
from colorize_lib.photo_depth import deep_lightness
from colorize_lib.photo_headers import reads_heic
from colorize_lib.photo_xmp import COMPOSITE, NOTE
from colorize_lib.photos import Photo, read_photo, save_photo
from colorize_lib.sidecar import file_facts, sidecar_path

COMMAND = [sys.executable, "-c", "from colorize_lib.cli import main; main()"]
HEAVY = {"fastai", "timm", "skimage", "sklearn", "pandas", "torchvision", "matplotlib", "scipy", "IPython"}


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    "A small untrained network: these tests are about files, not about colours"
    import torch
    from colorize_lib.weights import build_generator, save_generator
    torch.manual_seed(0)
    return str(save_generator(build_generator("compact"), tmp_path_factory.mktemp("weights")/"untrained.safetensors"))


def environment():
    "Subprocesses must import the package that this process imports, whatever their folder"
    package = Path(colorize_lib.__file__).parent.parent
    path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


def shell(*args, cwd, timeout=60):
    "The command in a process of its own"
    return subprocess.run([*COMMAND, *map(str, args)], cwd=cwd, env=environment(), timeout=timeout, capture_output=True, text=True)


def colorize(*args):
    "The command in this process (no start-up): exit code and messages"
    result = CliRunner().invoke(cli.app, list(map(str, args)))
    if result.exception and not isinstance(result.exception, SystemExit): raise result.exception
    return result.exit_code, result.stderr


def gray_photo(width, height, seed=0):
    "Something with a bright top left and a dark bottom right, so that a turn is seen"
    y, x = np.mgrid[:height, :width]
    ramp = 220 - 90*x/max(1, width-1) - 90*y/max(1, height-1)
    return Image.fromarray((ramp + np.random.default_rng(seed).normal(0, 2, ramp.shape)).clip(0, 255).astype(np.uint8))


def lightness_gap(a, b):
    "Mean difference of two images' L*"
    L = [color.lightness(np.asarray(im.convert("L" if im.mode == "L" else "RGB"))) for im in (a, b)]
    return float((L[0] - L[1]).abs().mean())


def bomb(width, height):
    "A tiny PNG whose header promises a huge picture"
    def chunk(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0"*100)) + chunk(b"IEND", b"")


def fill_with_good(folder):
    "Odd but readable photos; returns what each must look like, upright and without colour: name -> gray image"
    photo, want = gray_photo(120, 80), {}
    def keep(name, image, like=None, **options):
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder/name, **options)
        want[name] = like or image
    keep("gray.png", photo)
    keep("gray.bmp", photo)
    keep("gray.tif", photo)
    keep("gray.webp", photo, lossless=True)
    keep("static.gif", photo)
    keep("sub/deeper/gray.jpg", photo, quality=95)
    keep("Großmutter im Garten (1931).JPG", photo, quality=95)
    keep("deep.png", Image.fromarray(np.asarray(photo).astype(np.uint16)*257), photo)
    keep("bilevel.png", photo.point(lambda v: 255*(v > 128)).convert("1"), photo.point(lambda v: 255*(v > 128)))
    see_through = Image.fromarray(np.tile(np.linspace(40, 255, 120, dtype=np.uint8), (80, 1)))
    keep("la.png", Image.merge("LA", [photo, see_through]), photo)
    palette = photo.point(lambda v: v//64*64).convert("P")
    keep("palette.png", palette, palette.convert("L"), transparency=palette.getpixel((0, 0)))
    cmyk = Image.merge("CMYK", [Image.new("L", photo.size)]*3 + [ImageOps.invert(photo)])
    keep("cmyk.tif", cmyk, photo)
    keep("cmyk.jpg", cmyk, photo, quality=95)
    for turn in range(1, 9):
        notes = Image.Exif()
        notes[0x0112], notes[0x010E] = turn, "Grandmother, 1931"
        keep(f"turned{turn}.jpg", photo, ImageOps.exif_transpose(_with_exif(photo, notes)), exif=notes, quality=95)
    keep("one pixel.png", Image.new("L", (1, 1), 77))
    keep("strip.png", gray_photo(1, 5000))
    keep("line.jpg", gray_photo(5000, 1), quality=95)
    return want


def _with_exif(image, notes):
    image = image.copy()
    image.info["exif"] = notes.tobytes()
    return image


def fill_with_bad(folder):
    "Files that no program should colorize; returns for each a word of the reason"
    photo, want = gray_photo(120, 80), {}
    photo.save(folder/"whole.jpg", quality=95)
    data = (folder/"whole.jpg").read_bytes()
    (folder/"whole.jpg").unlink()
    def keep(name, content, word):
        (folder/name).write_bytes(content)
        want[name] = word
    keep("truncated.jpg", data[:len(data)//2], "truncated")
    keep("empty.jpg", b"", "empty")
    keep("text.png", b"not a picture\n"*20, "not a photo")
    keep("noise.webp", bytes(range(256))*4, "not a photo")
    keep("bomb.png", bomb(30_000, 30_000), "30000x30000")
    for name in ("animated.gif", "animated.webp"):
        photo.save(folder/name, save_all=True, append_images=[gray_photo(120, 80, 1), gray_photo(120, 80, 2)], duration=100)
        want[name] = "frames"
    os.mkfifo(folder/"pipe.jpg")
    want["pipe.jpg"] = "regular"
    (folder/"nowhere.jpg").symlink_to(folder/"gone.jpg")
    want["nowhere.jpg"] = "no such file"
    (folder/"loop").symlink_to(folder, target_is_directory=True)
    (folder/"itself.jpg").symlink_to(folder/"itself.jpg")
    want["itself.jpg"] = "symbolic links"
    if os.geteuid() != 0: # root may read everything
        keep("locked.jpg", data, "permission")
        (folder/"locked.jpg").chmod(0)
    return want


def test_hostile_folder(tmp_path, weights):
    folder, out = tmp_path/"in", tmp_path/"out"
    folder.mkdir()
    good, bad = fill_with_good(folder), fill_with_bad(folder)
    run = shell(folder, "-o", out, "--model", weights, cwd=tmp_path)
    assert run.returncode == 1, run.stderr
    assert run.stdout == ""
    assert f"{len(good)} colorized, 0 skipped, {len(bad)} failed" in run.stderr, run.stderr
    assert "Traceback" not in run.stderr and "Warning" not in run.stderr, run.stderr
    lines = run.stderr.splitlines()
    for name, word in bad.items():
        told = [line for line in lines if f"{name}:" in line]
        assert len(told) == 1 and word in told[0].lower(), (name, word, told)
    for name, gray in good.items():
        target = out/cli.default_target(Path(name))
        with Image.open(target) as im:
            im.load()
            assert im.size == gray.size, (name, im.size, gray.size)
            assert im.mode in ("RGB", "RGBA"), name
            assert 0x0112 not in im.getexif(), name
            lossy = target.suffix.lower() in (".jpg", ".webp")
            assert lightness_gap(im, gray) < (1 if lossy else .5), (name, lightness_gap(im, gray))
            if target.suffix.lower() != ".bmp": assert im.getexif()[0x0131] == NOTE, name
            if name.startswith("turned"): assert im.getexif()[0x010E] == "Grandmother, 1931", name
    with Image.open(folder/"la.png") as a, Image.open(out/"la_color.png") as b:
        assert a.getchannel("A").tobytes() == b.getchannel("A").tobytes()
    assert Image.open(out/"palette_color.png").mode == "RGBA"
    assert len([p for p in out.rglob("*") if p.is_file()]) == len(good), "something else was written"

    again = shell(folder, "-o", out, "--model", weights, cwd=tmp_path)
    assert again.returncode == 1
    assert f"0 colorized, {len(good)} skipped, {len(bad)} failed" in again.stderr


def fill_with_odd(folder):
    "What people's folders hold; returns the names of the results, and what is said of the others: name -> a word"
    photo = gray_photo(48, 32)
    def keep(name, **options):
        (folder/name).parent.mkdir(parents=True, exist_ok=True)
        photo.save(folder/name, **options)
    same = ["g.jpg", "g.png", "g.jpeg", "UPPER.PNG", "two.dots.in.name.jpg", "Großmutter ä.jpg", "[red].webp", "-dash.tif", "b.bmp",
            "Scans.tif/inside.jpg", "album.1931/a.jpg", "#1 garden.jpg", "@home/b.jpg", "a.jfif", "old/g.jpg"]
    changed = {"g.gif": "png", "p.pgm": "png", "q.ppm": "png", "p.pbm": "png", "twins.mpo": "jpg", "W.JPE": "jpg", "w.jif": "jpg"}
    if features.check("jpg_2000"): changed["j.jp2"] = "png"
    for name in same: keep(name)
    for name in changed: keep(name, format={".jpe": "JPEG", ".jif": "JPEG"}.get(Path(name).suffix.lower()))
    for name in ("@eaDir/g.jpg/SYNOPHOTO_THUMB_XL.jpg", "#recycle/old.jpg", ".thumbnails/t.png", "__MACOSX/._g.jpg", "._g.jpg",
                 ".hidden.jpg", "$RECYCLE.BIN/r.jpg", "Scans.tif/@eaDir/inside.jpg", "Catalog.lrdata/p.jpg", ".draft-letter.jpg"):
        keep(name)
    for name in ("Thumbs.db", ".DS_Store", "notes.txt", "song.mp3", "g.jpg.json"): (folder/name).write_bytes(b"something else")
    unread = {"IMG_1.HEIC": "heic" if not reads_heic() else "not a photo", "raw.dng": "raw", "new.jxl": "jpeg xl", "old/layers.psd": "editor"}
    for name in unread: (folder/name).write_bytes(b"whatever it is")
    (folder/"empty.jpg").touch()
    (folder/"text.png").write_text("ask aunt Mai")
    results = [Path(name).with_name(f"{Path(name).stem}_color{Path(name).suffix}").as_posix() for name in same]
    return sorted(results + [f"{name}_color.{suffix}" for name, suffix in changed.items()]), {**unread, "empty.jpg": "empty", "text.png": "not a photo"}


UNMARKED = "a BMP cannot say that its colours are predicted, use --sidecar for a record beside it"


def files_in(folder): return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_odd_folder(tmp_path, weights):
    folder, out = tmp_path/"in", tmp_path/"out.1931"
    results, others = fill_with_odd(folder)
    before = files_in(folder)
    assert len(before) >= 40
    code, told = colorize(folder, "-o", f"{out}/", "--model", weights)
    assert code == 1, told
    unmarked, *lines, tally = told.splitlines()
    assert unmarked == UNMARKED and told.count("BMP") == 1, told # there is one, and nothing is said of it a second time
    assert tally == f"{len(results)} colorized, 0 skipped, {len(others)} failed", told
    assert len(lines) == len(others), lines
    for name, word in others.items():
        line, = [line for line in lines if f"{name}:" in line]
        assert word in line.lower()
        if Path(name).suffix not in (".jpg", ".png") and "not a photo" not in line: assert "not read" in line and " first" in line
    assert files_in(out) == results
    assert all(has_note(out/name) for name in results if not name.endswith(".bmp"))
    assert files_in(folder) == before
    code, told = colorize(folder, "-o", f"{out}/", "--model", weights)
    assert code == 1 and f"0 colorized, {len(results)} skipped, {len(others)} failed" in told


def test_odd_folder_beside_its_photos(tmp_path, weights):
    results, others = fill_with_odd(tmp_path)
    before = files_in(tmp_path)
    for tally in (f"{len(results)} colorized, 0 skipped,", f"0 colorized, {len(results)} skipped,"):
        code, told = colorize(tmp_path, "--model", weights)
        assert code == 1 and f"{tally} {len(others)} failed" in told
        assert files_in(tmp_path) == sorted(before + results)


@pytest.mark.skipif(reads_heic(), reason="pillow-heif is installed")
def test_a_photo_that_is_not_read_is_named_alone_too(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.heic").write_bytes(b"...")
    for options in ((), ("-o", "a.png")):
        code, told = colorize("a.heic", *options, "--model", weights)
        assert code == 1 and "a.heic: is HEIC, which is not read; pip install pillow-heif, or save it as JPEG, PNG or TIFF first" in told and "0 colorized, 0 skipped, 1 failed" in told


def test_a_deep_scan_stays_deep(tmp_path, weights, monkeypatch):
    "16 bits come out of the command for PNG and TIFF, packed as the scan was, and hints work on them, too"
    monkeypatch.chdir(tmp_path)
    numbers = np.linspace(9000, 50_000, 120*80).round().astype(np.uint16).reshape(80, 120)
    Image.fromarray(numbers).save("scan.tif", compression="tiff_lzw", dpi=(1200, 1200))
    layer = Image.new("RGBA", (120, 80))
    layer.paste((100, 115, 140, 255), (10, 10, 110, 20))
    layer.save("strokes.png")
    for target, options in (("a.tif", ()), ("a.png", ()), ("b.tif", ("--hints", "strokes.png"))):
        code, told = colorize("scan.tif", "-o", target, "--model", weights, *options)
        assert (code, told) == (0, f"{target}\n1 colorized, 0 skipped, 0 failed\n")
        done = read_photo(target, deep=True)
        gap = deep_lightness(done.deep) - deep_lightness(numbers)
        assert np.abs(gap).max() < .02 and len(np.unique(done.deep[..., 1])) > 8000
        assert has_note(Path(target)) and done.notes.dpi == (1200, 1200)
    with Image.open("a.tif") as im: assert im.info["compression"] == "tiff_lzw"
    assert colorize("scan.tif", "-o", "a.jpg", "--model", weights)[0] == 0 and read_photo("a.jpg", deep=True).deep is None


def make_batch(folder, n, size):
    folder.mkdir()
    for i in range(n): gray_photo(size, size, i).save(folder/f"{i:02}.jpg")


def outputs(folder): return sorted(folder.glob("*_color.jpg"))


def heed_signals():
    "Whatever this process ignores (SIGINT in the background, SIGHUP under nohup)"
    for number in (signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_DFL)


def start_and_wait(folder, weights, enough, *options):
    "Start a batch and return when `enough` results are there"
    run = subprocess.Popen([*COMMAND, str(folder), "--model", weights, *options], env=environment(), stderr=subprocess.PIPE, text=True,
                           preexec_fn=heed_signals)
    until = time.time() + 60
    while len(outputs(folder)) < enough and run.poll() is None and time.time() < until: time.sleep(.002)
    assert run.poll() is None, "the batch ended before it could be interrupted"
    return run


def test_kill_and_go_on(tmp_path, weights):
    folder, n = tmp_path/"in", 20
    make_batch(folder, n, 800)
    for enough in (2, 6):
        run = start_and_wait(folder, weights, enough)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        for f in outputs(folder):
            with Image.open(f) as im: im.load()
    done = len(outputs(folder))
    assert 6 <= done < n
    last = shell(folder, "--model", weights, cwd=tmp_path)
    assert last.returncode == 0, last.stderr
    assert f"{n - done} colorized, {done} skipped, 0 failed" in last.stderr
    assert len(outputs(folder)) == n
    for f in outputs(folder):
        with Image.open(f) as im: im.load()


def whole_with_records(folder):
    "Every result is whole and has the record of just these bytes"
    for f in outputs(folder):
        with Image.open(f) as im: im.load()
        assert json.loads(sidecar_path(f).read_text(encoding="utf-8"))["result"] == file_facts(f)


def test_twenty_kills(tmp_path, weights):
    "At random moments, in three ways; in the end everything is as after a run that nobody stopped"
    rng = np.random.default_rng(0)
    for name in ("in", "calm"): make_batch(tmp_path/name, 200, 260)
    for kill in range(20):
        number = rng.choice((signal.SIGTERM, signal.SIGHUP, signal.SIGKILL))
        run = start_and_wait(tmp_path/"in", weights, len(outputs(tmp_path/"in")) + int(rng.integers(1, 3)), "--sidecar")
        time.sleep(rng.uniform(0, .05))
        run.send_signal(number)
        run.communicate(timeout=60)
        whole_with_records(tmp_path/"in")
        if number != signal.SIGKILL: assert drafts(tmp_path/"in") == []
    for name in ("in", "calm"): assert colorize(tmp_path/name, "--model", weights, "--sidecar")[0] == 0
    whole_with_records(tmp_path/"in")
    assert files_in(tmp_path/"in") == files_in(tmp_path/"calm") and len(outputs(tmp_path/"in")) == 200
    for name in files_in(tmp_path/"calm"): assert (tmp_path/"in"/name).read_bytes() == (tmp_path/"calm"/name).read_bytes(), name


KILLED_BETWEEN = """
import os
from colorize_lib import core
rename = os.replace
def replace(draft, path):
    if str(path).endswith("_color.jpg"): {end}
    rename(draft, path)
core.os.replace = replace
from colorize_lib.cli import main
main()
"""


@pytest.mark.parametrize("end, code, left", [("os._exit(9)", 9, True), ("raise KeyboardInterrupt", 130, False)])
def test_killed_between_record_and_result(tmp_path, weights, end, code, left):
    "A photo without a result is done again, whatever record lies there"
    gray_photo(40, 30).save(tmp_path/"a.jpg")
    args = ["a.jpg", "--model", weights, "--sidecar"]
    run = subprocess.run([sys.executable, "-c", KILLED_BETWEEN.format(end=end), *args], cwd=tmp_path, env=environment(), capture_output=True)
    assert run.returncode == code and outputs(tmp_path) == []
    assert (tmp_path/"a_color.jpg.json").exists() == left
    again = shell(*args, cwd=tmp_path)
    assert again.returncode == 0 and "1 colorized" in again.stderr
    assert files_in(tmp_path) == ["a.jpg", "a_color.jpg", "a_color.jpg.json"]
    whole_with_records(tmp_path)


def test_interrupt(tmp_path, weights):
    folder = tmp_path/"in"
    make_batch(folder, 20, 800)
    run = start_and_wait(folder, weights, 2)
    run.send_signal(signal.SIGINT)
    _, told = run.communicate(timeout=30)
    assert run.returncode == 130, told
    assert "interrupted" in told and "Traceback" not in told
    assert not [f for f in folder.iterdir() if f.name.startswith(".")], "a draft was left behind"
    for f in outputs(folder):
        with Image.open(f) as im: im.load()


def test_overwrite_rules(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gray_photo(40, 30).save("a.png")
    original = Path("a.png").read_bytes()
    run = lambda *args: colorize(*args, "--model", weights)

    code, told = run("a.png")
    assert code == 0 and "a_color.png" in told and "1 colorized, 0 skipped, 0 failed" in told
    first = Path("a_color.png").stat()
    code, told = run("a.png")
    assert code == 0 and "exists" in told and "--force" in told and "0 colorized, 1 skipped, 0 failed" in told
    assert Path("a_color.png").stat().st_mtime_ns == first.st_mtime_ns
    code, told = run("a.png", "--force")
    assert code == 0 and "1 colorized" in told and Path("a_color.png").stat().st_ino != first.st_ino

    for same in ("a.png", "./a.png", tmp_path/"a.png"):
        code, told = run("a.png", "-o", same, "--force")
        assert code == 2 and "lost" in told, same
    Path("link.png").symlink_to("a.png")
    code, told = run("a.png", "-o", "link.png", "--force")
    assert code == 2
    Path("link.png").unlink()
    assert Path("a.png").read_bytes() == original

    code, told = run("a_color.png") # our own output
    assert code == 0 and "0 colorized, 1 skipped" in told and not Path("a_color_color.png").exists()
    code, told = run(".")
    assert code == 0 and "0 colorized, 1 skipped, 0 failed" in told

    gray_photo(40, 30, 1).save("a.gif") # its result is a PNG, and has another name than that of a.png
    code, told = run(".", "--force")
    assert code == 0 and "2 colorized, 0 skipped, 0 failed" in told
    code, told = run(".")
    assert code == 0 and "0 colorized, 2 skipped, 0 failed" in told
    Path("a.gif").unlink()
    Path("a.gif_color.png").unlink()

    Path("b").mkdir()
    gray_photo(40, 30, 2).save("b/a.png")
    code, told = run("a.png", "b/a.png", "a.png", "-o", "out") # both want out/a_color.png
    assert code == 1 and "1 colorized, 0 skipped, 1 failed" in told
    code, told = run("a.png", "-o", "made/new.jpg")
    assert code == 0 and Image.open("made/new.jpg").format == "JPEG"
    assert Path("a.png").read_bytes() == original


def test_trees(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for f in ("p/a.jpg", "p/q/a.jpg", "p/q/r/c.webp", "p/.hidden/x.jpg"):
        Path(f).parent.mkdir(parents=True, exist_ok=True)
        gray_photo(40, 30).save(f)
    run = lambda *args: colorize(*args, "--model", weights)
    code, told = run("p", "-o", "p/out")
    assert code == 0 and "3 colorized" in told
    made = sorted(p.relative_to("p/out").as_posix() for p in Path("p/out").rglob("*") if p.is_file())
    assert made == ["a_color.jpg", "q/a_color.jpg", "q/r/c_color.webp"]
    code, told = run("p", "-o", "p/out") # results inside the folder are not photos to colorize
    assert code == 0 and "0 colorized, 3 skipped, 0 failed" in told
    for output in ((), ("-o", "p")): # nor are results that an earlier run left in another folder: they carry a note
        code, told = run("p", *output, "--force")
        assert code == 0 and "3 colorized, 0 skipped, 0 failed" in told and Path("p/q/a_color.jpg").exists()
    Path("empty").mkdir()
    code, told = run("empty")
    assert code == 0 and "no photos in empty" in told


def test_usage_errors(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gray_photo(40, 30).save("a.png")
    gray_photo(40, 30).save("b.png")
    for args, word in ((("a.png", "b.png", "-o", "c.png"), "more than one"), (("a.png", "-o", "c.doc"), "cannot write"),
                       (("a.png", "--model", "no-such-model"), "no-such-model"), (("a.png", "--model", "a.png"), "a.png"),
                       (("a.png", "--device", "toaster"), "toaster"), (("--nonsense",), "nonsense"), ((), "photos")):
        code, told = colorize(*args)
        assert code == 2 and word in told.lower(), (args, code, told)
        assert "Traceback" not in told
    code, told = colorize("gone.jpg", "a.png", "--model", weights) # one bad name does not stop the rest
    assert code == 1 and "gone.jpg: no such file" in told and "1 colorized, 0 skipped, 1 failed" in told
    Path("notes.txt").write_text("hello")
    code, told = colorize("notes.txt", "--model", weights)
    assert code == 1 and ".txt" in told


def test_hints(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = gray_photo(300, 200)
    for name in ("a.png", "b.png", "opaque.png"): photo.save(name)
    layer = Image.new("RGBA", (600, 400)) # twice the photo's size: it is resized
    layer.save("empty.png")
    layer.paste((100, 115, 140, 255), (20, 20, 580, 30))
    layer.save("strokes.png")
    layer.transpose(Image.Transpose.ROTATE_90).save("turned.png")
    run = lambda *args: colorize(*args, "--model", weights)

    code, told = run("a.png", "-o", "plain.png")
    assert code == 0
    code, told = run("a.png", "-o", "hinted.png", "--hints", "strokes.png")
    assert code == 0 and "1 colorized" in told, told
    hinted = color.photo_to_lab(np.asarray(read_photo("hinted.png").image))
    want = color.photo_to_lab(np.full((1, 1, 3), (100, 115, 140), np.uint8))[1:].flatten()
    assert (hinted[1:, 10:14, 20:280].mean((1, 2)) - want).norm() < 2
    assert lightness_gap(Image.open("hinted.png"), photo) < .5
    assert Image.open("hinted.png").getexif()[0x0131] == NOTE

    strokes = Path("strokes.png").read_bytes()
    for hints, word in (("opaque.png", "opaque"), ("empty.png", "no strokes"), ("turned.png", "another shape")):
        code, told = run("a.png", "-o", "no.png", "--hints", hints)
        assert code == 1 and f"{hints}: " in told and word in told and not Path("no.png").exists(), told
    Path("folder").mkdir()
    for args in (("a.png", "b.png"), ("folder",), ("a.png", "-o", "strokes.png", "--force")):
        code, told = run(*args, "--hints", "strokes.png")
        assert code == 2 and "strokes.png" in told and "Traceback" not in told, told
    assert Path("strokes.png").read_bytes() == strokes and not Path("a_color.png").exists()


def test_several_results(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = gray_photo(300, 200)
    photo.save("a.jpg")
    layer = Image.new("RGBA", photo.size)
    layer.paste((100, 115, 140, 255), (10, 10, 290, 15))
    layer.save("strokes.png")
    run = lambda *args: colorize(*args, "--model", weights, "--sidecar")
    names = [f"a_color-{k}of3.jpg" for k in (1, 2, 3)]
    code, told = run("a.jpg", "--samples", 3, "--uncertainty", "--strength", .8)
    assert code == 0 and told.splitlines() == [*names, "a.jpg_uncertainty.png", "4 colorized, 0 skipped, 0 failed"], told
    pictures = [read_photo(name).image for name in names]
    assert len({picture.tobytes() for picture in pictures}) == 3
    for name, picture in zip(names, pictures):
        assert lightness_gap(picture, photo) < 1 and has_note(Path(name))
    assert b"untrained " in Path(names[1]).read_bytes() and b", sample 2 of 3, strength 0.8" in Path(names[1]).read_bytes()
    options = json.loads(sidecar_path(Path(names[1])).read_text())["options"]
    assert (options["samples"], options["strength"]) == (3, .8)
    with Image.open("a.jpg_uncertainty.png") as doubt: assert (doubt.mode, doubt.size) == ("L", photo.size)
    assert has_note(Path("a.jpg_uncertainty.png")) and sidecar_path(Path("a.jpg_uncertainty.png")).exists()

    Path("strokes.png").rename(tmp_path.with_suffix(".png")) # not a photo of this folder
    before = files_in(tmp_path)
    Path(names[1]).unlink() # one is missing: only that one is made again
    sidecar_path(Path(names[1])).unlink()
    code, told = run(".", "--samples", 3, "--uncertainty")
    assert code == 0 and "1 colorized, 3 skipped, 0 failed" in told and files_in(tmp_path) == before, told
    code, told = run("a.jpg", "-o", "b.png", "--samples", 2, "--hints", tmp_path.with_suffix(".png"), "--strength", 0)
    assert code == 0 and told.splitlines()[:2] == ["b-1of2.png", "b-2of2.png"], told
    want = color.photo_to_lab(np.full((1, 1, 3), (100, 115, 140), np.uint8))[1:].flatten()
    for name in ("b-1of2.png", "b-2of2.png"): # without strength, only what was painted has colour
        lab = color.photo_to_lab(np.asarray(read_photo(name).image))
        assert (lab[1:, 11:14, 20:280].mean((1, 2)) - want).norm() < 2 and lab[1:, 190:].abs().max() < 1


def test_what_a_photo_was_taken_for_is_said_once(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo = gray_photo(96, 64)
    Image.merge("RGB", [photo.point(lambda v: v*part//100) for part in (100, 88, 70)]).save("sepia.png")
    Image.merge("RGB", [photo, photo.transpose(Image.Transpose.ROTATE_180), photo]).save("colours.png")
    photo.convert("RGB").save("gray.png")
    code, told = colorize("sepia.png", "colours.png", "gray.png", "--samples", 2, "--uncertainty", "--model", weights)
    assert code == 0 and told.splitlines() == ["sepia.png: a toned print: its lightness is kept, its tone is left out",
                                               "colours.png: has colours of its own, which are left out",
                                               "9 colorized, 0 skipped, 0 failed"], told


@pytest.mark.parametrize("model", ["gan", "l1", "bins"])
def test_strength_and_samples_with_every_model(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    gray_photo(96, 64).save("a.png")
    def chroma(name): return color.photo_to_lab(np.asarray(read_photo(name).image))[1:].norm(dim=0).mean()
    assert colorize("a.png", "--model", model)[0] == 0
    for strength in ("0", "0.5"): assert colorize("a.png", "-o", f"{strength}.png", "--model", model, "--strength", strength)[0] == 0
    assert colorize("a.png", "--model", model, "--samples", 2)[0] == 0
    assert chroma("0.png") < .5
    assert abs(chroma("0.5.png")/chroma("a_color.png") - .5) < .05
    assert Path("a_color-1of2.png").read_bytes() != Path("a_color-2of2.png").read_bytes()


def drafts(folder): return [p for p in folder.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_signals_leave_no_draft(tmp_path, weights, name):
    folder, number = tmp_path/"in", getattr(signal, name)
    make_batch(folder, 20, 800)
    for moment in ("early", "first result", "draft", "draft", "draft"):
        done = len(outputs(folder))
        run = start_and_wait(folder, weights, done + (moment != "early"))
        until = time.time() + 60
        while moment == "draft" and not drafts(folder) and run.poll() is None and time.time() < until: time.sleep(.0005)
        run.send_signal(number)
        _, told = run.communicate(timeout=60)
        if moment == "early":  # maybe before the work began, when there is nothing to clean up
            assert run.returncode in (128 + number, -number)
        else:
            assert run.returncode == 128 + number, told
            assert f"stopped by {name}; interrupted, every result is whole: " in told
        assert "Traceback" not in told
        assert drafts(folder) == []
        for f in outputs(folder):
            with Image.open(f) as im: im.load()
    last = shell(folder, "--model", weights, cwd=tmp_path)
    assert last.returncode == 0 and len(outputs(folder)) == 20


@pytest.mark.parametrize("ignored, code", [(True, 0), (False, 129)])
def test_nobody_reads_any_more(tmp_path, weights, ignored, code):
    "The terminal is closed: the end is the same, and `nohup` goes on to the end"
    folder = tmp_path/"in"
    make_batch(folder, 6, 800)
    reader, writer = os.pipe()
    prepare = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    run = subprocess.Popen([*COMMAND, str(folder), "--model", weights], env=environment(), stdout=writer, stderr=writer, preexec_fn=prepare)
    os.close(writer)
    until = time.time() + 60
    while not outputs(folder) and run.poll() is None and time.time() < until: time.sleep(.002)
    os.close(reader)
    run.send_signal(signal.SIGHUP)
    assert run.wait(60) == code
    assert drafts(folder) == []
    if ignored: assert len(outputs(folder)) == 6


@pytest.mark.parametrize("all_done", [True, False])
def test_drafts_of_the_dead_are_removed(tmp_path, weights, all_done):
    gray_photo(40, 30).save(tmp_path/"a.jpg")
    if all_done: colorize(tmp_path/"a.jpg", "--model", weights)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = tmp_path/f"{core.draft_prefix(ended.pid)}1.jpg"
    living = tmp_path/f"{core.draft_prefix(os.getpid())}1.jpg"
    for draft in (dead, living): draft.write_bytes(b"half")
    assert colorize(tmp_path, "--model", weights)[0] == 0
    assert drafts(tmp_path) == [living]
    assert (tmp_path/"a_color.jpg").exists()


IMPORT_STOPS = """
import sys
class Stop:
    def find_spec(self, name, *rest):
        if name == {at!r}: raise KeyboardInterrupt
sys.meta_path.insert(0, Stop())
from colorize_lib.{module} import main
main()
"""


@pytest.mark.parametrize("module, at", [(m, at) for m in ("cli", "train_cli", "evaluate_cli", "survey_cli", "archive_cli") for at in ("typer", "rich.console")]
                         + [("cli", "PIL"), ("cli", "colorize_lib.sidecar")])
def test_interrupted_while_python_still_reads(tmp_path, module, at):
    run = subprocess.run([sys.executable, "-c", IMPORT_STOPS.format(module=module, at=at)], env=environment(), cwd=tmp_path,
                         capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (130, "")


def test_force_spares_what_is_not_ours(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gray_photo(40, 30).save("scan.jpg")
    run = lambda *args: colorize(*args, "--model", weights)
    def scan(): gray_photo(40, 30, 1).convert("RGB").save("scan_color.jpg")
    def link():
        gray_photo(40, 30, 1).save("mine.jpg")
        Path("scan_color.jpg").symlink_to("mine.jpg")
    def editor(): # somebody worked on our result, and the editor wrote its own name
        assert run("scan.jpg")[0] == 0
        Image.open("scan_color.jpg").save("scan_color.jpg", quality=80)
    for make in (scan, link, editor, lambda: Path("scan_color.jpg").symlink_to("nowhere"), lambda: Path("scan_color.jpg").mkdir(),
                 lambda: Path("scan_color.jpg").touch()):
        make()
        held = Path("scan_color.jpg").read_bytes() if Path("scan_color.jpg").is_file() else None
        for args in (("scan.jpg",), (".",), ("scan.jpg", "-o", "scan_color.jpg")):
            if args[-1] == "scan_color.jpg" and Path("scan_color.jpg").is_dir(): continue  # then it is the folder of the results
            code, told = run(*args, "--force")
            why = "its result would overwrite the photo" if make is link and args == (".",) else "scan_color.jpg is not a result of colorize: move"
            assert code == 1 and why in told, told
        code, told = run("scan.jpg")
        assert code == 0 and "exists" in told
        assert held is None or Path("scan_color.jpg").read_bytes() == held
        if Path("scan_color.jpg").is_dir(): Path("scan_color.jpg").rmdir()
        else: Path("scan_color.jpg").unlink()
    gray_photo(40, 30).save("old.bmp")
    assert run("old.bmp")[0] == 0 # has no room for a note
    assert run("old.bmp", "--force")[0] == 1
    Path("old_color.bmp").unlink()
    for force in ((), ("--force",)): assert run("old.bmp", "--sidecar", *force)[0] == 0


def test_sidecar(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gray_photo(40, 30).save("a.jpg")
    def digest(name): return hashlib.sha256(Path(name).read_bytes()).hexdigest()
    run = lambda *args: colorize(*args, "--model", weights, "--device", "cpu", "--sidecar")
    assert run("a.jpg", "-o", "out/")[0] == 0
    assert files_in(tmp_path/"out") == ["a_color.jpg", "a_color.jpg.json"]
    record = json.loads(Path("out/a_color.jpg.json").read_text(encoding="utf-8"))
    assert record["input"] == dict(file="a.jpg", sha256=digest("a.jpg"))
    assert record["result"] == dict(file="a_color.jpg", sha256=digest("out/a_color.jpg"))
    assert record["weights"]["sha256"] == digest(weights) and record["version"] == colorize_lib.__version__
    assert record["options"] == dict(model=weights, engine="auto", device="cpu", samples=0, strength=1., hints=None)
    before = Path("out/a_color.jpg.json").read_bytes()
    assert run("a.jpg", "-o", "out/", "--force")[0] == 0 # ours: it may be replaced, and says the same again
    assert Path("out/a_color.jpg.json").read_bytes() == before
    Path("out/a_color.jpg.json").write_text("my notes")
    code, told = run("a.jpg", "-o", "out/", "--force")
    assert code == 1 and "a_color.jpg.json is not a result of colorize" in told
    assert Path("out/a_color.jpg.json").read_text() == "my notes"


def test_a_result_made_anew_gets_a_new_record(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = lambda *args: colorize(*args, "--model", weights)
    for name in ("a.jpg", "b.bmp"):
        gray_photo(40, 30).save(name)
        assert run(name, "--sidecar")[0] == 0
        for strength in (.3, .6): # a BMP has no other proof than its record
            assert run(name, "--force", "--strength", strength)[0] == 0
            target = Path(name[0] + "_color" + name[1:])
            record = json.loads(sidecar_path(target).read_text())
            assert record["result"] == file_facts(target) and record["options"]["strength"] == strength


def test_maps_and_samples_name_their_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "a.png"): gray_photo(40, 30).save(name)
    code, told = colorize("a.jpg", "a.png", "--uncertainty", "--sidecar", "--samples", 2, "--strength", .5)
    assert code == 0 and "6 colorized" in told, told
    records = {name: json.loads(Path(f"{name}.json").read_text()) for name in ("a.jpg_uncertainty.png", "a.png_uncertainty.png", "a_color-1of2.jpg")}
    doubt, _, sample = records.values()
    assert doubt["weights"]["name"] == "bins" == sample["weights"]["doubt"]["name"] and sample["weights"]["name"] == "gan"
    assert doubt["options"] == dict(model=None, engine="auto", device="auto", part="uncertainty")
    assert (sample["options"]["part"], sample["options"]["strength"]) == ("1of2", .5)
    assert b"weights bins, map of uncertainty" in Path("a.jpg_uncertainty.png").read_bytes()
    assert b" with bins, sample 1 of 2, strength 0.5" in Path("a_color-1of2.jpg").read_bytes()


def test_what_appears_while_a_photo_is_painted_is_spared(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gray_photo(40, 30).save("a.jpg")
    def slow(*args, **kwargs):
        Path("a_color.jpg").write_text("mine")
        return before(*args, **kwargs)
    before = cli.painted
    monkeypatch.setattr(cli, "painted", slow)
    for args in ((), ("--force",)):
        code, told = colorize("a.jpg", "--model", weights, *args)
        assert code == 1 and ("a_color.jpg has appeared meanwhile" in told or "is not a result" in told), told
        assert files_in(tmp_path) == ["a.jpg", "a_color.jpg"] and Path("a_color.jpg").read_text() == "mine"
        Path("a_color.jpg").unlink()


def test_a_bad_photo_with_several_results_is_named_once(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("bad.jpg").write_text("not a photo")
    code, told = colorize("bad.jpg", "--model", weights, "--samples", 3, "--uncertainty")
    assert code == 1 and told.count("bad.jpg") == 1 and "4 failed" in told, told


@pytest.mark.parametrize("lies", ["pipe", "deep"])
def test_odd_records_stop_nothing(tmp_path, weights, monkeypatch, lies):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg"): gray_photo(40, 30).save(name)
    if lies == "pipe": os.mkfifo("a_color.jpg.json")
    else: Path("a_color.jpg.json").write_text("["*200_000)
    run = shell("a.jpg", "b.jpg", "--sidecar", "--model", weights, cwd=tmp_path)
    assert run.returncode == 1 and "1 colorized, 0 skipped, 1 failed" in run.stderr and "a_color.jpg.json is not a result" in run.stderr


def test_messages_come_through_while_a_tiff_is_read(tmp_path):
    "libtiff's own lines are caught for the whole process; ours wait until it has done"
    code = ("import threading, time; from rich.console import Console; from colorize_lib.console import say\n"
            "from colorize_lib.photo_headers import silenced\n"
            "def decode():\n    with silenced(True): time.sleep(.5)\n"
            "thread = threading.Thread(target=decode); thread.start(); time.sleep(.2)\n"
            "say(Console(stderr=True), 'a bad photo'); thread.join()")
    run = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert run.stderr == "a bad photo\n"


def test_a_photo_beside_a_folder_of_its_name_is_a_photo(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("album/garden").mkdir(parents=True)
    gray_photo(40, 30).save("album/garden_color.jpg")
    assert "1 colorized" in colorize("album", "--model", weights)[1]


def test_a_name_without_suffix_that_is_no_folder(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gray_photo(40, 30).save("a.jpg")
    Path("out").write_text("mine")
    code, told = colorize("a.jpg", "-o", "out", "--model", weights)
    assert code == 2 and "out is there and is no folder" in told and Path("out").read_text() == "mine"


def test_too_large_for_the_format_is_said_before_the_work(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("L", (70_000, 8), 90).save("wide.png")
    monkeypatch.setattr(cli, "painted", lambda *args: pytest.fail("was painted"))
    for name, form in (("o.jpg", "JPEG"), ("o.webp", "WEBP"), ("o.avif", "AVIF")):
        if form == "AVIF" and not features.check("avif"): continue
        code, told = colorize("wide.png", "-o", name, "--model", weights)
        assert code == 1 and f"{name}: {form} holds at most" in told and "70000" in told, told


def test_a_result_says_so_to_people_and_programs(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gray_photo(40, 30).save("a.png")
    version = colorize_lib.__version__
    for suffix in ("jpg", "png", "tif", "webp", *(["avif"] if features.check("avif") else [])):
        for options, name in (((), "gan"), (("--model", weights), "untrained"), (("--model", "l1"), "l1")):
            target = f"{name}.{suffix}"
            assert colorize("a.png", "-o", target, "--device", "cpu", *options) == (0, f"{target}\n1 colorized, 0 skipped, 0 failed\n")
            with Image.open(target) as im:
                assert im.getexif()[0x0131] == NOTE
                mark = im.info["xmp"].decode()
            assert COMPOSITE in mark and f"colorize_lib {version}, weights {name} {version}<" in mark


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_results_of_earlier_versions_are_ours(tmp_path, weights, monkeypatch, suffix):
    "Up to 0.3.0 a result had the sentence in its EXIF data and no XMP"
    monkeypatch.chdir(tmp_path)
    gray_photo(40, 30).save(f"a.{suffix}")
    old = Image.Exif()
    old[0x0131] = NOTE
    gray_photo(40, 30, 1).convert("RGB").save(f"a_color.{suffix}", exif=old)
    code, told = colorize(f"a.{suffix}", "--model", weights, "--force")
    assert code == 0 and "1 colorized" in told, told
    with Image.open(f"a_color.{suffix}") as im: assert "xmp" in im.info
    Path("elsewhere").mkdir()
    gray_photo(40, 30, 1).convert("RGB").save(f"elsewhere/b_color.{suffix}", exif=old)
    assert "0 colorized, 0 skipped, 0 failed" in colorize("elsewhere", "--model", weights)[1]


def test_what_is_lost_is_said(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = lambda *args: colorize(*args, "--model", weights)
    tally = "colorized, 0 skipped, 0 failed"
    Path("in").mkdir()
    noise = gray_photo(256, 256)
    noise.save("in/end.jpg", progressive=True)
    Path("in/end.jpg").write_bytes(Path("in/end.jpg").read_bytes()[:-2])
    noise.save("in/profile.tif", icc_profile=b"not a profile")
    noise.save("in/whole.jpg")
    code, told = run("in", "-o", "out")
    assert code == 0 and told.splitlines() == ["in/end.jpg: its end mark is missing, and fine detail may be, too",
                                               "in/profile.tif: its colour profile does not fit and is left out", f"3 {tally}"]
    agency = Photo(noise)
    agency = Photo(noise, notes=type(agency.notes)(iptc=b"\x1c\x02\x78\x00\x04Ida!", text=(("Box", "7"),)))
    save_photo(agency, "agency.png")
    code, told = run("agency.png", "-o", "agency.webp")
    assert code == 0 and told.splitlines() == ["agency.png: WEBP has no place for the text Box", "agency.webp", f"1 {tally}"]
    assert run("agency.png", "-o", "agency.tif")[1].splitlines() == ["agency.png: TIFF has no place for the text Box", "agency.tif", f"1 {tally}"]


def test_a_bmp_has_no_mark(tmp_path, weights, monkeypatch):
    "It is said once, before the work, and only where nothing else keeps the mark; notes that a photo loses are its own matter"
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for name in "abc": gray_photo(40, 30).save(f"in/{name}.bmp")
    run = lambda *args: colorize(*args, "--model", weights)
    assert run("in", "-o", "out")[1].splitlines() == [UNMARKED, "3 colorized, 0 skipped, 0 failed"]
    assert run("in", "-o", "out")[1].splitlines() == ["0 colorized, 3 skipped, 0 failed"]
    assert run("in", "-o", "kept", "--sidecar")[1].splitlines() == ["3 colorized, 0 skipped, 0 failed"]
    notes = Image.Exif()
    notes[0x010E] = "Grandmother, 1931"
    gray_photo(40, 30).save("d.jpg", exif=notes)
    assert run("d.jpg", "-o", "d.bmp")[1].splitlines() == [UNMARKED, "d.jpg: BMP has no place for notes", "d.bmp", "1 colorized, 0 skipped, 0 failed"]


def application(module): return getattr(__import__(f"colorize_lib.{module}", fromlist=["x"]), "trainer" if module == "train_cli" else "app")


EMPTY = [("cli", [""]), ("cli", ["a.png", ""]), ("cli", ["a.png", "-o", ""]), ("cli", ["a.png", "--output="]), ("cli", ["a.png", "--model", ""]),
         ("cli", ["a.png", "--hints", ""]), ("cli", ["a.png", "--device", " "]), ("train_cli", ["--photos", ""]), ("train_cli", ["--out", ""]),
         ("train_cli", ["--from", ""]), ("train_cli", ["--set", ""]), ("evaluate_cli", [""]), ("evaluate_cli", [".", "--json", ""]),
         ("evaluate_cli", [".", "--model", ""]), ("survey_cli", ["build", "", "-o", "s"]), ("survey_cli", ["build", ".", "-o", ""]),
         ("survey_cli", ["analyse", "", "--key", "k", "-o", "s"]), ("archive_cli", ["", "b"]), ("archive_cli", ["a", ""])]


@pytest.mark.parametrize("module, args", EMPTY)
def test_empty_texts_are_refused(tmp_path, monkeypatch, module, args):
    "A variable of the shell that is not set must not mean the current folder"
    monkeypatch.chdir(tmp_path)
    gray_photo(40, 30).save("a.png")
    answer = CliRunner().invoke(application(module), args)
    assert answer.exit_code == 2 and "a variable of the shell not set?" in answer.stderr, answer.output
    assert len(answer.stderr.splitlines()) == 1 and files_in(tmp_path) == ["a.png"]


@pytest.mark.parametrize("module", ["cli", "train_cli", "evaluate_cli", "survey_cli", "archive_cli"])
def test_help_and_version_everywhere(module):
    ask = lambda *args: CliRunner().invoke(application(module), list(args), terminal_width=200)
    assert ask("-h").stdout == ask("--help").stdout and ask("-h").exit_code == 0
    assert ask("--version").stdout == f"colorize_lib {colorize_lib.__version__}\n"
    command = ("build",) if module == "survey_cli" else ()
    page = " ".join(ask(*command, "-h").stdout.split())
    assert all(name in page for name in ("gan", "l1", "bins")), page


def test_help_explains_hints():
    page = CliRunner().invoke(cli.app, ["-h"], terminal_width=200).stdout
    assert "transparent" in page and "layer" in page


def test_options_are_checked_before_files(tmp_path, weights, monkeypatch):
    import torch
    monkeypatch.chdir(tmp_path)
    gray_photo(40, 30).save("a.png")
    Path("not.safetensors").write_bytes(b"\0"*100)
    assert colorize("a.png", "--model", weights)[0] == 0
    for photo in ("a.png", "gone.png", "."): # done, missing, or a folder: the option is wrong all the same
        for args, word in ((("--model", "vivd"), "vivd: neither a file nor one of the shipped"), (("--model", "not.safetensors"), "not a whole safetensors"),
                           (("--model", "."), "neither a file"), (("--device", "toaster"), "not one of auto"),
                           (("--engine", "steam"), "not one of auto, onnx, torch"),
                           (("--samples", "0"), "--samples must be from 2"), (("--samples", "1"), "--samples must be from 2"), (("--samples", "10"), "to 9"), (("--strength", "1.6"), "--strength must be from 0 to 1.5"),
                           (("--strength", "nan"), "--strength must"), *([] if torch.cuda.is_available() else [(("--device", "cuda"), "not available here")])):
            code, told = colorize(photo, *args)
            assert code == 2 and word in told, (photo, args, told)
    code, told = colorize("a.png", "--model", weights, "--hints", "gone.png")
    assert code == 2 and told.strip() == "colorize: gone.png: no such file or directory", told


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are always text there")
def test_locale_that_is_not_utf8(tmp_path, weights):
    gray_photo(40, 30).save(tmp_path/"Großmutter.jpg")
    (tmp_path/"leer ü.jpg").touch()
    plain = {**environment(), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    def run(*args): return subprocess.run([*COMMAND, *args], cwd=tmp_path, env=plain, capture_output=True, text=True, timeout=60)
    first = run(".", "-o", "Größe.1931/", "--sidecar", "--model", weights)
    assert first.returncode == 1 and "1 colorized, 0 skipped, 1 failed" in first.stderr and "Traceback" not in first.stderr
    assert files_in(tmp_path/"Größe.1931") == ["Großmutter_color.jpg", "Großmutter_color.jpg.json"]
    assert json.loads((tmp_path/"Größe.1931/Großmutter_color.jpg.json").read_text(encoding="utf-8"))["input"]["file"] == "Großmutter.jpg"
    assert run("-h").returncode == 0


def test_folders_with_a_dot(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gray_photo(40, 30).save("a.png")
    run = lambda *args: colorize(*args, "--model", weights)
    code, told = run("a.png", "-o", "album.1931")
    assert code == 2 and "write album.1931/" in told and not Path("album.1931").exists()
    for output in ("album.1931/", "b.png/"):
        assert run("a.png", "-o", output)[0] == 0 and Path(output, "a_color.png").is_file()
    Path("file.1931").touch()
    code, told = run("a.png", "-o", "file.1931/")
    assert code == 2 and "file.1931 is one file" in told
    code, told = run("/", "-o", "out")
    assert code == 2 and "name a folder in it" in told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_cannot_be_written(tmp_path, weights):
    folder = tmp_path/"in"
    make_batch(folder, 2, 40)
    folder.chmod(0o500)
    try: code, told = colorize(folder, "--model", weights)
    finally: folder.chmod(0o700)
    assert code == 1 and "0 colorized, 0 skipped, 2 failed" in told and "ermission" in told


def test_disk_full_leaves_nothing(tmp_path, weights, monkeypatch):
    make_batch(tmp_path/"in", 2, 40)
    real, calls = Image.Image.save, itertools.count()
    def full(self, where, *args, **kw):
        if next(calls): return real(self, where, *args, **kw)
        Path(where).write_bytes(b"half")
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(Image.Image, "save", full)
    code, told = colorize(tmp_path/"in", "--model", weights)
    assert code == 1 and ": cannot be written (no space left on device)\n" in told and "1 colorized, 0 skipped, 1 failed" in told
    # photos are done side by side: either may be the one that met the full disk
    made, lost = ("01", "00") if "00_color.jpg: " in told else ("00", "01")
    assert f"{lost}_color.jpg: " in told
    assert sorted(f.name for f in (tmp_path/"in").iterdir()) == sorted(["00.jpg", "01.jpg", f"{made}_color.jpg"])


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are always text there")
def test_name_that_is_not_text(tmp_path, weights):
    name = os.fsdecode(b"caf\xe9.jpg")
    gray_photo(40, 30).save(tmp_path/name)
    (tmp_path/os.fsdecode(b"bad\xff.jpg")).touch()
    run = shell(tmp_path, "--model", weights, cwd=tmp_path)
    assert run.returncode == 1 and "1 colorized, 0 skipped, 1 failed" in run.stderr, run.stderr
    assert (tmp_path/os.fsdecode(b"caf\xe9_color.jpg")).exists()


def loaded_by(code, cwd):
    "What Python code prints, and the top-level modules that a fresh interpreter holds when it ends or leaves"
    code = f"""
import json, sys
try:
{textwrap.indent(code, "    ")}
except SystemExit as e: assert not e.code, e.code
print(json.dumps([m for m in sys.modules if "." not in m]))
"""
    run = subprocess.run([sys.executable, "-c", code], env=environment(), cwd=cwd, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    said, _, modules = run.stdout.rstrip().rpartition("\n")
    return said, set(json.loads(modules))


@pytest.mark.parametrize("module", ["cli", "train_cli", "evaluate_cli", "survey_cli", "archive_cli"])
def test_import_is_light(tmp_path, module):
    "Whoever asks a command for `--help` waits for this import"
    _, loaded = loaded_by(f"import colorize_lib.{module}", tmp_path)
    assert not loaded & {*HEAVY, "torch"}


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_answers_without_torch(tmp_path, option):
    said, loaded = loaded_by(f"from colorize_lib.cli import main\nsys.argv = ['colorize', '{option}']\nmain()", tmp_path)
    assert not loaded & {*HEAVY, "torch", "numpy"}
    if option == "--version": assert said == f"colorize_lib {colorize_lib.__version__}"
    else: assert "--hints" in said


def test_a_photo_needs_no_torch(tmp_path, weights):
    gray_photo(40, 30).save(tmp_path/"a.jpg")
    again = f"from colorize_lib.cli import main\nsys.argv = ['colorize', 'a.jpg', '--model', {weights!r}]\nmain()"
    _, loaded = loaded_by(again, tmp_path)
    assert "onnxruntime" in loaded and not loaded & {*HEAVY, "torch"}
    _, loaded = loaded_by(again, tmp_path)  # there is nothing left to do
    assert not loaded & {*HEAVY, "torch", "numpy"}


def test_twelve_megapixels(tmp_path, weights):
    gray_photo(1000, 750).resize((4000, 3000), Image.Resampling.BICUBIC).save(tmp_path/"big.jpg", quality=92)
    code = f"""
import resource, sys
from pathlib import Path
from colorize_lib.cli import main
sys.argv = ["colorize", "big.jpg", "--model", {weights!r}]
try: main()
except SystemExit as e: assert e.code == 0
status = Path("/proc/self/status") # Linux's getrusage would count the parent's memory from before exec
if status.exists(): print(int(status.read_text().split("VmHWM:")[1].split()[0])*1024)
else: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss*(1 if sys.platform == "darwin" else 1024))
"""
    run = subprocess.run([sys.executable, "-c", code], env=environment(), cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 1.2e9, f"{int(run.stdout)/1e9:.2f} GB"
    with Image.open(tmp_path/"big.jpg") as before, Image.open(tmp_path/"big_color.jpg") as after:
        assert after.size == (4000, 3000)
        assert lightness_gap(before, after) < 1
