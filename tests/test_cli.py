"What only the command line itself can show: odd files, crashes, overwriting, exit codes, start-up."
import json, os, signal, struct, subprocess, sys, textwrap, time, zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from typer.testing import CliRunner

import colorize_lib
from colorize_lib import cli, color
from colorize_lib.console import NOTE
from colorize_lib.photos import read_photo

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


def make_batch(folder, n, size):
    folder.mkdir()
    for i in range(n): gray_photo(size, size, i).save(folder/f"{i:02}.jpg")


def outputs(folder): return sorted(folder.glob("*_color.jpg"))


def start_and_wait(folder, weights, enough):
    "Start a batch and return when `enough` results are there"
    run = subprocess.Popen([*COMMAND, str(folder), "--model", weights], env=environment(), stderr=subprocess.PIPE, text=True,
                           preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
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

    gray_photo(40, 30, 1).save("a.gif") # wants a_color.png too
    code, told = run(".", "--force")
    assert code == 1 and "a_color.png" in told and "1 colorized, 0 skipped, 1 failed" in told
    Path("a.gif").unlink()

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
    for hints, word in (("opaque.png", "opaque"), ("empty.png", "no strokes"), ("turned.png", "another shape"), ("gone.png", "no such file")):
        code, told = run("a.png", "-o", "no.png", "--hints", hints)
        assert code == 1 and f"{hints}: " in told and word in told and not Path("no.png").exists(), told
    Path("folder").mkdir()
    for args in (("a.png", "b.png"), ("folder",), ("a.png", "-o", "strokes.png", "--force")):
        code, told = run(*args, "--hints", "strokes.png")
        assert code == 2 and "strokes.png" in told and "Traceback" not in told, told
    assert Path("strokes.png").read_bytes() == strokes and not Path("a_color.png").exists()


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
    real, calls = Image.Image.save, []
    def full(self, where, *args, **kw):
        calls.append(where)
        if len(calls) > 1: return real(self, where, *args, **kw)
        Path(where).write_bytes(b"half")
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(Image.Image, "save", full)
    code, told = colorize(tmp_path/"in", "--model", weights)
    assert code == 1 and "No space left" in told and "1 colorized, 0 skipped, 1 failed" in told
    assert sorted(f.name for f in (tmp_path/"in").iterdir()) == ["00.jpg", "01.jpg", "01_color.jpg"]


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


@pytest.mark.parametrize("module", ["cli", "train_cli", "evaluate_cli", "survey_cli"])
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


def test_a_photo_needs_torch_and_little_else(tmp_path, weights):
    gray_photo(40, 30).save(tmp_path/"a.jpg")
    again = f"from colorize_lib.cli import main\nsys.argv = ['colorize', 'a.jpg', '--model', {weights!r}]\nmain()"
    _, loaded = loaded_by(again, tmp_path)
    assert "torch" in loaded and not HEAVY & loaded, HEAVY & loaded
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
