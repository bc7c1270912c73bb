"What is in the built packages: a wheel can be made from the source package, and holds what the library reads."
import shutil, subprocess, sys, tarfile, zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
IGNORED = shutil.ignore_patterns(".git", ".venv", "_proc", "_docs", "build", "dist", "runs", "*.egg-info", "__pycache__", "figures", "nbs")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    "Names in the source package and in the wheel that is made from it; the wheel's metadata"
    tmp = tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT, tmp/"clone", ignore=IGNORED)
    def python(*args, cwd): subprocess.run([sys.executable, *map(str, args)], cwd=cwd, check=True, capture_output=True)
    python("setup.py", "-q", "sdist", "-d", tmp, cwd=tmp/"clone")
    source, = tmp.glob("*.tar.gz")
    with tarfile.open(source) as tar: tar.extractall(tmp/"source", filter="data")
    folder, = (tmp/"source").iterdir()
    python("-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "-w", tmp, folder, cwd=tmp)
    wheel, = tmp.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        meta, = (name for name in names if name.endswith("METADATA"))
        return {f.relative_to(folder).as_posix() for f in folder.rglob("*")}, set(names), Parser().parsestr(opened.read(meta).decode()), wheel


def test_the_source_package_has_what_setup_reads(built):
    assert {"setup.py", "settings.ini", "README.md", "data/claims.yml"} <= built[0]


def test_the_wheel_has_what_the_library_reads(built):
    wanted = ["weights/index.json", "weights/gan.safetensors", "graph_files/refined.onnx", "graph_files/index.json", "course_data/claims.yml",
              "photo_files/credits.json", "photo_files/barton.jpg", "results/networks.json", "results/networks.webp"]
    assert {f"colorize_lib/{name}" for name in wanted} <= built[1]
    assert built[3].stat().st_size < 35e6


def test_what_only_the_site_needs_is_in_neither(built):
    assert [name for name in built[0] | built[1] if name.endswith(".wasm")] == []


def test_the_plain_installation_is_small(built):
    needs = built[2].get_all("Requires-Dist")
    plain = {need.split(">")[0].split("=")[0].strip() for need in needs if "extra ==" not in need}
    assert plain == {"numpy", "pillow", "onnxruntime", "safetensors", "typer", "rich"}
    assert set(built[2].get_all("Provides-Extra")) == {"hints", "train", "course", "heic", "video", "ray", "dev"}
