"`colorize-eval` on real folders: bad files, gray photos, results for programs and for eyes, exit codes, start-up."
import json, os, re, subprocess, sys
from pathlib import Path

import pytest
from PIL import Image

import colorize_lib
from colorize_lib.photos import sample_photos

COMMAND = [sys.executable, "-c", "from colorize_lib.evaluate_cli import main; main()"]

def run(*args, cwd, code=None):
    "The command in a process of its own, with the package that this process imports"
    here = str(Path(colorize_lib.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    env = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-c", code] if code else COMMAND
    return subprocess.run([*command, *map(str, args)], cwd=cwd, env=env, timeout=120,
                          capture_output=True, encoding="utf-8")

@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    "A folder with everything in it, measured once: (folder, what the command said)"
    folder = tmp_path_factory.mktemp("measured")
    photos = folder/"photos"
    (photos/"sub").mkdir(parents=True)
    china, flower = (sample_photos()[name].resize((150, 100)) for name in ("china", "flower"))
    china.save(photos/"a <b> & \"c\".png")
    flower.save(photos/"sub/Blume – größer.jpg", quality=95)
    flower.convert("L").save(photos/"old print.jpg")
    flower.convert("L").convert("RGB").save(photos/"gray in three channels.png")
    china.save(photos/"d.jpg")
    flower.save(photos/"d_color.jpg")  # a result of ours beside its photo
    (photos/"broken.jpg").write_bytes(b"\xff\xd8\xff not a photo")
    (photos/"empty.png").touch()
    for name in ("raw.cr2", "sub/raw.nef"): (photos/name).write_bytes(b"II*\0 from a camera")
    wanted = ["--json", "out/values.json", "--html", "out/page.html"]
    said = run("photos", "--model", "l1", "--size", 64, "--device", "cpu", *wanted, cwd=folder)
    return folder, said

def test_good_photos_are_measured_and_others_named(measured):
    folder, said = measured
    assert said.returncode == 0, said.stderr
    lines = said.stderr.splitlines()
    for name, why in [("broken.jpg", "is damaged"), ("empty.png", "is empty"),
                      ("old print.jpg", "is gray"), ("gray in three channels.png", "is gray"),
                      ("raw.cr2", "and 1 more")]:
        assert [line for line in lines if name in line and why in line], (name, said.stderr)
    assert "3 photos measured, 6 skipped" in lines[-1]
    assert "Traceback" not in said.stderr and "Warning" not in said.stderr
    for word in ("gray", "mean colour", "l1", "LPIPS", "PSNR", "colourfulness gap"):
        assert word in said.stdout

def test_json_is_strict_and_complete(measured):
    folder, _ = measured
    def refuse(word): raise AssertionError(f"{word} is not JSON")
    text = (folder/"out/values.json").read_text(encoding="utf-8")
    values = json.loads(text, parse_constant=refuse)
    assert (values["photos"], values["size"], len(values["skipped"])) == (3, 64, 6)
    for name in ("raw.cr2", os.path.join("sub", "raw.nef")):
        assert [text for text in values["skipped"] if text.startswith(f"{name}: ")]
    assert list(values["summary"]) == ["gray", "mean colour", "l1", "truth"]
    l1 = values["summary"]["l1"]["l1/gray"]
    assert l1["low"] <= l1["mean"] <= l1["high"] and l1["mean"] != 1
    assert values["summary"]["gray"]["l1/gray"] == dict(mean=1, low=1, high=1)
    assert len(values["rows"]) == 9
    assert len({(r["photo"], r["model"]) for r in values["rows"]}) == 9
    assert {"commit", "version", "device", "seconds"} <= values.keys()

def test_page_stands_alone(measured):
    folder, _ = measured
    page = (folder/"out/page.html").read_text(encoding="utf-8")
    images = re.findall(r"<img [^>]*>", page)
    assert len(images) == 3*3
    for image in images:
        assert re.search(r'src="data:image/jpeg;base64,[A-Za-z0-9+/=]{500,}"', image)
        assert re.search(r'alt="[^"]{10,}"', image)
    assert not re.search(r"https?://|<script|<link|url\(", page)
    assert "a &lt;b&gt; &amp;" in page and "<b>" not in page and "größer" in page
    names = sorted(file.name for file in (folder/"out").iterdir())
    assert names == ["page.html", "values.json"]  # no drafts

@pytest.mark.parametrize("fill", ["nothing", "only bad and gray files"])
def test_no_usable_photo_is_an_error(tmp_path, fill):
    if fill != "nothing":
        (tmp_path/"x.jpg").write_text("no")
        Image.new("RGB", (50, 50), "gray").save(tmp_path/"y.png")
    said = run(tmp_path, "--device", "cpu", "--json", tmp_path/"v.json", cwd=tmp_path)
    assert said.returncode == 1 and "no colour photos" in said.stderr
    assert "Traceback" not in said.stderr
    assert not (tmp_path/"v.json").exists()

@pytest.mark.parametrize("args, why", [
    (["nowhere"], "nowhere"), ([".", "--model", "nobody"], "nobody"),
    ([".", "--size", "9"], "size"),
    ([".", "--html", "a.png"], "name of a photo"), ([".", "--json", "."], "is a folder"),
    ([".", "--device", "abacus"], "abacus")])
def test_what_cannot_be_meant(tmp_path, args, why):
    said = run(*args, cwd=tmp_path)
    assert said.returncode == 2 and why in said.stderr and "Traceback" not in said.stderr

def test_files_of_somebody_else_stay(tmp_path):
    "Before the minutes of measuring; and what an earlier run wrote may be replaced"
    sample_photos()["china"].resize((60, 40)).save(tmp_path/"a.png")
    mine = {"notes.txt": "buy bread", "mine.json": '{"a": 1}', "w.safetensors": "weights", "folder": ""}
    for name, text in mine.items(): (tmp_path/name).write_text(text)
    os.symlink("nowhere", tmp_path/"link.json")
    def measure(*args): return run(tmp_path, "--model", "l1", "--size", 64, "--device", "cpu", *args, cwd=tmp_path)
    wrong = [("--json", "w.safetensors"), ("--html", "notes.txt"), ("--html", "mine.json"), ("--json", "link.json")]
    for args in wrong:
        said = measure(*args)
        assert (said.returncode, said.stdout) == (2, "") and f"{args[1]} is not a file of this command" in said.stderr, said.stderr
    said = measure("--json", "new/x", "--html", "./new/x")
    assert said.returncode == 2 and "--json and --html both name new/x" in said.stderr
    said = measure("--json", "notes.txt/x.json")
    assert said.returncode == 2 and "notes.txt/x.json cannot be written (not a directory)" in said.stderr
    assert {name: (tmp_path/name).read_text() for name in mine} == mine and not (tmp_path/"new").exists()
    for _ in range(2):
        said = measure("--json", "folder", "--html", "new/page.html")  # an empty file has nothing to lose
        assert said.returncode == 0, said.stderr
    swapped = measure("--json", "new/page.html")
    assert swapped.returncode == 2 and "<title>" in (tmp_path/"new/page.html").read_text()

def test_limit_takes_photos_from_the_whole_folder(tmp_path):
    china = sample_photos()["china"].resize((60, 40))
    for i in range(6): china.rotate(i*10).save(tmp_path/f"{i}.png")
    said = run(tmp_path, "--model", "l1", "--size", 64, "--limit", 3, "--device", "cpu",
               "--json", tmp_path/"v.json", cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    rows = json.loads((tmp_path/"v.json").read_text())["rows"]
    assert sorted({r["photo"] for r in rows}) == ["0.png", "2.png", "4.png"]

def test_help_loads_nothing_heavy(tmp_path):
    code = """import sys
from colorize_lib import evaluate_cli
sys.argv[1:] = ["--help"]
try: evaluate_cli.main()
except SystemExit: pass
heavy = {"torch", "pandas", "skimage", "scipy", "fastai", "matplotlib"}
print("HEAVY", sorted(heavy & set(sys.modules)))
"""
    said = run(cwd=tmp_path, code=code)
    assert "HEAVY []" in said.stdout and "colorize-eval" in said.stdout, said.stdout + said.stderr

def test_measures_need_neither_fastai_nor_matplotlib(tmp_path):
    code = """import sys
from colorize_lib import metrics, lpips, intervals
print("HEAVY", sorted({"fastai", "matplotlib"} & set(sys.modules)))
"""
    said = run(cwd=tmp_path, code=code)
    assert "HEAVY []" in said.stdout, said.stdout + said.stderr
