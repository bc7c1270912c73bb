"""What `make test`, `make newest` and `make course` do, step by step. Run from .venv: python tools/course.py test|course"""
import multiprocessing, os, shutil, subprocess, sys, tempfile, time, xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
IGNORED = shutil.ignore_patterns(".git", ".venv", "_proc", "_docs", "build", "dist", "runs", "*.egg-info", "__pycache__",
                                 ".*_cache", ".gitconfig")
JOBS = 2
os.environ["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
os.environ.update(OMP_NUM_THREADS="1", MPLBACKEND="agg", PYTHONDONTWRITEBYTECODE="1")
os.environ.pop("COLORIZE_PHOTOS", None)  # the notebooks must do with the photos that are always there


def say(text):
    print(text, flush=True)


def sh(*command, cwd=ROOT, env=None):
    "Run quietly; the output comes back with the result"
    return subprocess.run([str(c) for c in command], cwd=cwd, env={**os.environ, **(env or {})},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")


def pip(*arguments, **kwargs):
    return sh(sys.executable, "-m", "pip", *arguments, **kwargs)


def notebooks():
    return sorted((ROOT/"nbs").glob("*.ipynb"))


def numbered():
    return [nb for nb in notebooks() if nb.name[:2].isdigit()]


class Tally:
    "Counts checks and says each one's result as it comes"
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self.skipped = []  # the reason of each

    def add(self, name, ok, why="", seconds=None):
        if ok: self.passed += 1
        else: self.failed += 1
        say(f"  {'ok    ' if ok else 'FAILED'} {name}" + (f" ({seconds:.0f} s)" if seconds else ""))
        if not ok: self.explain(why)

    def explain(self, why):
        lines = why.strip().splitlines()[-40:]
        if lines: say("\n".join("         " + line for line in lines))

    def each(self, work, items, jobs=JOBS):
        "`work(item)` -> (ok, why), on all items, `jobs` at a time"
        def timed(item):
            start = time.time()
            return *work(item), time.time() - start
        with ThreadPoolExecutor(jobs) as pool:
            for item, (ok, why, seconds) in zip(items, pool.map(timed, items)): self.add(item.name, ok, why, seconds)

# ---- make test ----

EXPORTS = [("modules are exported from the notebooks", "nbdev_export", "colorize_lib", "*.py"),
           ("notebooks are clean", "nbdev_clean", "nbs", "*.ipynb")]
README = """
import sys
sys.path.insert(0, "tools")
from build_site import ROOT, readme
sys.stdout.write(readme(ROOT/"nbs"/"index.ipynb", ROOT/"figures"))
"""


def is_changed(new, old):
    return not old.is_file() or new.read_bytes() != old.read_bytes()


def check_exported(tally, tmp):
    "Exporting and cleaning a copy must change nothing, and the README must be the index's"
    copy = tmp/"copy"
    shutil.copytree(ROOT, copy, ignore=IGNORED)
    for name, command, folder, pattern in EXPORTS:
        run = sh(BIN/command, cwd=copy)
        changed = [p.name for p in sorted((copy/folder).glob(pattern)) if is_changed(p, ROOT/folder/p.name)]
        tally.add(name, run.returncode == 0 and not changed, f"{run.stdout}\n{command} changes: {', '.join(changed)}")
    fresh = sh(sys.executable, "-c", README, env={"PYTHONIOENCODING": "utf-8"})
    same = fresh.stdout == (ROOT/"README.md").read_text(encoding="utf-8")
    tally.add("README.md is the index", fresh.returncode == 0 and same, f"{fresh.stdout[-500:]}\nrun: make site")


# What most notebooks import takes six seconds of a processor. So it is imported once, and each notebook's process is a fork of that.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["nbdev.test", "torch", "torchvision", "timm", "matplotlib.pyplot", "pandas", "scipy.stats", "skimage.color"])


def nbdev_test(nb, said):
    "What the command `nbdev_test --path nb` does, in this process; all that it says goes into the file `said`"
    from nbdev import test
    multiprocessing.set_start_method(None, force=True)  # a notebook's own processes start as they do anywhere
    with open(said, "wb") as file:
        for stream in (1, 2): os.dup2(file.fileno(), stream)
    os.chdir(ROOT)
    test.nbdev_test(path=str(nb))


def test_notebook(nb):
    with tempfile.TemporaryDirectory(prefix="colorize-said-") as name:
        said = Path(name)/"said.txt"
        process = FORKS.Process(target=nbdev_test, args=(nb, said))
        process.start()
        process.join()
        text = said.read_text(errors="replace") if said.exists() else ""
    return process.exitcode == 0 and "Success." in text, text  # exit code 0 alone may mean that nothing ran


# Tests of the rendered site wait for a browser, the others for a processor: they run side by side, and the site is built once
SITE_TESTS = [f"tests/test_{name}.py" for name in ("browser", "in_the_page", "site")]
PARTS = {"site": SITE_TESTS, "rest": ["tests", *(f"--ignore={name}" for name in SITE_TESTS)]}


def run_pytest(tmp, part):
    "-> its exit code, its output and the file of its results"
    report = tmp/f"pytest-{part}.xml"
    options = ["-q", "--durations=12", "-p", "no:cacheprovider", f"--junitxml={report}"]
    return sh(sys.executable, "-m", "pytest", *options, *PARTS[part]), report


def count_pytest(tally, run, report):
    say(run.stdout.strip())
    suites = list(ET.parse(report).iter("testsuite")) if report.exists() else []
    count = lambda key: sum(int(suite.get(key, 0)) for suite in suites)
    total = count("tests")
    bad = count("failures") + count("errors")
    skipped = [skip.get("message", "") for suite in suites for skip in suite.iter("skipped")]
    tally.passed += total - bad - len(skipped)
    tally.failed += bad or int(run.returncode != 0)  # pytest itself may stumble, or find no test
    tally.skipped += skipped


def build_wheel(tmp, *options):
    "The wheel as it would be published -> its file or None, and what pip said"
    source = tmp/"source"
    shutil.copytree(ROOT, source, ignore=IGNORED)
    build = pip("wheel", "-q", "--disable-pip-version-check", "--no-deps", *options, "-w", tmp, ".", cwd=source)
    return next(tmp.glob("*.whl"), None), build.stdout


def add_kernel(venv):
    return sh(venv/"bin"/"python", "-m", "ipykernel", "install", "--prefix", venv, "--name", "python3")


def installed_place(tally, tmp):
    "Build the wheel and install it where nothing of the clone can be seen; the heavy packages are shared with .venv"
    venv = tmp/"venv"
    wheel, said = build_wheel(tmp, "--no-build-isolation")
    if not wheel: return tally.add("the wheel builds and installs", False, said)
    sh(sys.executable, "-m", "venv", "--without-pip", venv)
    site = next(venv.glob("lib/python*/site-packages"))
    # Python reads .pth files (which lead to the clone) only in its own site-packages, not in a folder added by one
    shared = next(BIN.parent.glob("lib/python*/site-packages")).resolve()
    (site/"shared.pth").write_text(f"{shared}\n")
    python = venv/"bin"/"python"
    install = pip("--python", python, "install", "-q", "--disable-pip-version-check", "--no-deps", "--force-reinstall", wheel)
    add_kernel(venv)
    where = sh(python, "-c", "import colorize_lib; print(colorize_lib.__file__)", cwd=tmp)
    ok = str(site) in where.stdout and (venv/"bin"/"colorize").exists()
    tally.add("the wheel builds and installs", ok, f"{said}\n{install.stdout}\n{where.stdout}")
    return venv if ok else None


def papermill(nb, out, cwd, python=sys.executable, env=None):
    options = ["-p", "profile", "smoke", "--cwd", cwd, "--no-progress-bar"]
    run = sh(python, "-m", "papermill", *options, nb, out, cwd=cwd, env=env)
    return run.returncode == 0, run.stdout


def in_empty_folder(tmp, venv):
    env = {"PATH": f"{venv/'bin'}{os.pathsep}{os.environ['PATH']}", "JUPYTER_PATH": str(venv/"share"/"jupyter")}
    outside = tmp/"executed"
    outside.mkdir()
    def work(nb):
        folder = tmp/f"empty-{nb.stem}"
        folder.mkdir()
        return papermill(nb, outside/nb.name, folder, venv/"bin"/"python", env)
    return work


def summed_up(tally):
    "The last lines; whether all is well"
    for reason in sorted(set(tally.skipped)): say(f"skipped {tally.skipped.count(reason)}: {reason}")
    say(f"{tally.passed} passed, {tally.failed} failed")
    return tally.failed == 0 and tally.passed > 0


def test():
    tally = Tally()
    start = time.time()
    with tempfile.TemporaryDirectory(prefix="colorize-test-") as name:
        tmp = Path(name).resolve()
        say("Clean and exported")
        check_exported(tally, tmp)
        with ThreadPoolExecutor(len(PARTS)) as beside:
            tests = [beside.submit(run_pytest, tmp, part) for part in PARTS]
            say("Notebooks (nbdev_test), while pytest runs beside them")
            tally.each(test_notebook, notebooks())
            say("Installed wheel, papermill, an empty folder")
            venv = installed_place(tally, tmp)
            if venv: tally.each(in_empty_folder(tmp, venv), numbered())
        say("Tests (pytest)")
        for part in tests: count_pytest(tally, *part.result())
    say(f"took {time.time() - start:.0f} s")
    return summed_up(tally)

# ---- make newest ----

WATCHED = ("torch", "torchvision", "fastai", "fastcore", "onnxruntime", "numpy", "scipy", "pandas", "scikit-image", "pillow", "timm")


def newest_place(tally, tmp):
    "The wheel in an environment of its own, with the newest of everything that it asks for"
    venv = tmp/"venv"
    wheel, said = build_wheel(tmp)
    if not wheel: return tally.add("the wheel builds", False, said)
    sh(sys.executable, "-m", "venv", venv)
    own_pip = [venv/"bin"/"python", "-m", "pip", "--disable-pip-version-check"]
    install = sh(*own_pip, "install", "-q", f"{wheel}[course]", "papermill", "ipykernel", cwd=tmp)
    ok = install.returncode == 0 and add_kernel(venv).returncode == 0
    tally.add("the wheel installs with the newest of everything", ok, install.stdout)
    found = [line for line in sh(*own_pip, "freeze").stdout.splitlines() if line.split("==")[0].lower() in WATCHED]
    say(f"  Python {sys.version.split()[0]}, {', '.join(found)}")
    return venv if ok else None


def newest():
    "Every notebook as somebody meets it who installs the course today, without our pins"
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="colorize-newest-") as name:
        tmp = Path(name).resolve()
        venv = newest_place(tally, tmp)
        if venv: tally.each(in_empty_folder(tmp, venv), numbered())
    return summed_up(tally)

# ---- make course ----

def gray_sample(folder):
    "A gray version of an embedded photo, as a file to colorize"
    from colorize_lib.photos import Photo, sample_photos, save_photo
    return save_photo(Photo(sample_photos()["coffee"].convert("L")), folder/"coffee-gray.jpg")


def course():
    tally = Tally()
    out = ROOT/"build"/"course"
    executed = out/"_notebooks"  # nbdev skips folders that start with _
    executed.mkdir(parents=True, exist_ok=True)
    say("Running every notebook (profile smoke)")
    tally.each(lambda nb: papermill(nb, executed/nb.name, ROOT/"nbs"), numbered())
    say("Rendering the site")
    run = sh(sys.executable, ROOT/"tools"/"build_site.py")
    tally.add("site", run.returncode == 0, run.stdout)
    say("Colorizing a photo")
    gray = gray_sample(out)
    colour = out/"coffee-colorized.jpg"
    run = sh(BIN/"colorize", gray, "-o", colour, "--force")
    tally.add("colorize", run.returncode == 0 and colour.exists(), run.stdout)
    say("\nWhere everything is:")
    places = {"executed notebooks": executed, "figures": ROOT/"figures", "site": ROOT/"_docs"/"index.html",
              "gray photo": gray, "the same, colorized": colour}
    for what, path in places.items(): say(f"  {what:20} {path.relative_to(ROOT)}")
    say("Try your own: .venv/bin/colorize photo.jpg")
    return tally.failed == 0


if __name__ == "__main__": sys.exit(0 if {"test": test, "newest": newest, "course": course}[sys.argv[1]]() else 1)
