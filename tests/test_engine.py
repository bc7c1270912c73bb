"ONNX Runtime and PyTorch give one answer; the small installation does without PyTorch and says what it lacks."
import os, subprocess, sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import colorize_lib
from colorize_lib.engine import choose_engine, GraphNetwork, list_graphs, list_weights
from colorize_lib.inference import Colorizer, network_lightness, tone_of
from colorize_lib.photos import sample_photos
from colorize_lib.weights import build_generator, load_generator, save_generator

ROOT = Path(colorize_lib.__file__).parent.parent
HEAVY = "torch", "torchvision", "fastai", "timm", "skimage", "matplotlib", "pandas", "scipy", "onnx"


def blocked(code, *args, cwd, lost=HEAVY):
    "Run Python in which none of the heavy packages can be imported"
    lock = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfor name in {lost!r}: sys.modules[name] = None\n"
    return subprocess.run([sys.executable, "-c", lock + code, *map(str, args)], cwd=cwd, capture_output=True, text=True)


@pytest.mark.parametrize("name", list(list_weights()))
def test_engines_agree_on_photos(name):
    graph, trained = (Colorizer.from_pretrained(name, "cpu", engine=engine) for engine in ("onnx", "torch"))
    assert isinstance(graph.network, GraphNetwork) and not isinstance(trained.network, GraphNetwork)
    for photo in sample_photos().values():
        one, other = (np.asarray(c(photo.convert("L"))).astype(int) for c in (graph, trained))
        assert abs(one - other).mean() < .1 and abs(one - other).max() <= 2


@pytest.fixture(scope="module", params=sorted(list_graphs()))
def fresh(request, tmp_path_factory):
    "An untrained network of each architecture with a graph, and its file"
    torch.manual_seed(1)
    kwargs = dict(temperature=.2, balance=.5, gain=1.4, knee=3., eps=.02) if request.param == "bins" else {}
    model = build_generator(request.param, **kwargs).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d): module.running_var.uniform_(.5, 2); torch.nn.init.normal_(module.weight, 1, .2)
    return model, save_generator(model, tmp_path_factory.mktemp("fresh")/"w.safetensors")


@pytest.mark.parametrize("width, height", [(1, 1), (1, 3000), (31, 33), (640, 427), (427, 640)])
def test_own_weights_at_every_size(fresh, width, height):
    model, file = fresh
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8))
    x = network_lightness(photo, 128)/50 - 1
    with torch.inference_mode(): want = model(torch.from_numpy(x)).numpy()
    got = GraphNetwork(file)(x)
    assert got.shape == want.shape and abs(got - want).max() < 1e-3
    assert Colorizer.from_pretrained(file, "cpu")(photo).size == (width, height)


def test_an_architecture_without_a_graph_runs_with_torch(tmp_path):
    file = save_generator(build_generator("plain", width=4), tmp_path/"w.safetensors")
    assert not isinstance(Colorizer.from_pretrained(file, "cpu").network, GraphNetwork)
    with pytest.raises(ValueError, match="--engine torch"): Colorizer.from_pretrained(file, engine="onnx")


def test_a_photo_without_pytorch(tmp_path):
    sample_photos()["coffee"].convert("L").save(tmp_path/"a.jpg")
    run = blocked("from colorize_lib.cli import main\nsys.argv[0] = 'colorize'\nmain()", "a.jpg", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    with Image.open(tmp_path/"a_color.jpg") as im: assert im.size == (600, 400) and im.mode == "RGB"
    several = "a.jpg", "--samples", 2, "--uncertainty", "--strength", 1.2
    run = blocked("from colorize_lib.cli import main\nsys.argv[0] = 'colorize'\nmain()", *several, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert {f.name for f in tmp_path.iterdir()} >= {"a_color-1of2.jpg", "a_color-2of2.jpg", "a.jpg_uncertainty.png"}


def test_hints_need_scipy_and_no_pytorch(tmp_path):
    gray = sample_photos()["coffee"].convert("L")
    gray.save(tmp_path/"a.png")
    layer = Image.new("RGBA", gray.size)
    layer.paste((40, 90, 200, 255), (300, 200, 340, 210))
    layer.save(tmp_path/"strokes.png")
    rest = tuple(name for name in HEAVY if name != "scipy")
    run = blocked("from colorize_lib.cli import main\nsys.argv[0] = 'colorize'\nmain()", "a.png", "--hints", "strokes.png", cwd=tmp_path, lost=rest)
    assert run.returncode == 0, run.stderr
    with Image.open(tmp_path/"a_color.png") as im: red, _, blue = im.getpixel((320, 205))
    assert blue > red + 30


@pytest.mark.parametrize("module, args, lost", [
    ("train_cli", [], "PyTorch"), ("evaluate_cli", ["."], "PyTorch"), ("export_cli", [], "PyTorch"),
    ("survey_cli", ["build", ".", "-o", "s"], "PyTorch"), ("survey_cli", ["analyse", ".", "--key", "k", "-o", "r"], "pandas"),
    ("cli", ["a.jpg", "--engine", "torch"], "PyTorch"), ("cli", ["a.jpg", "--device", "cuda"], "PyTorch"),
    ("cli", ["a.jpg", "--hints", "b.png"], "SciPy")])
def test_what_the_small_installation_lacks_is_said(tmp_path, module, args, lost):
    for name in ("a.jpg", "b.png"): Image.new("L", (8, 8)).save(tmp_path/name)
    run = blocked(f"from colorize_lib.{module} import main\nmain()", *args, cwd=tmp_path)
    assert run.returncode == 2 and "Traceback" not in run.stderr, run.stderr
    extra = "hints" if "--hints" in args else "train"
    assert lost in run.stderr and f"pip install 'colorize_lib[{extra}]'" in run.stderr and len(run.stderr.splitlines()) == 1
    assert sorted(f.name for f in tmp_path.iterdir()) == ["a.jpg", "b.png"]


def test_words_are_checked():
    with pytest.raises(ValueError, match="auto, onnx, torch"): choose_engine("steam")
    with pytest.raises(ValueError, match="auto, cpu, cuda, mps"): choose_engine("auto", "toaster")
    assert choose_engine("auto", "cpu") == choose_engine() == ("onnx", "cpu")


@pytest.fixture(scope="module")
def own_bins(tmp_path_factory):
    "A bins file that believes other things than the shipped one"
    model, _ = load_generator("bins")
    model.head.bias.data += torch.linspace(-4, 4, len(model.head.bias))
    return save_generator(model, tmp_path_factory.mktemp("bins")/"mine.safetensors")


def test_engines_agree_on_what_is_possible(own_bins):
    graph, trained = (Colorizer.from_pretrained(own_bins, "cpu", engine=engine) for engine in ("onnx", "torch"))
    assert graph.knows_doubt and trained.knows_doubt
    photo = sample_photos()["coffee"].convert("L")
    assert abs(graph.spread(photo) - trained.spread(photo)).max() < .01
    assert abs(graph.spread(photo) - Colorizer.from_pretrained("bins", "cpu").spread(photo)).mean() > 1
    for sample in (1, 2), (2, 2):
        one, other = (np.asarray(c(photo, sample=sample)).astype(int) for c in (graph, trained))
        assert abs(one - other).mean() < .1 and abs(one - other).max() <= 2


def test_bins_without_a_graph_have_their_own_doubt():
    bins = build_generator("bins", backbone="mobilenetv3_small_050").eval()
    assert Colorizer(bins, "cpu").knows_doubt and not Colorizer(build_generator("plain", width=4), "cpu").knows_doubt
    halves = Colorizer(bins, "cpu", dtype=torch.bfloat16)
    assert np.isfinite(halves.spread(sample_photos()["coffee"].convert("L"))).all()


@pytest.mark.parametrize("name, value", [("temperature", 0), ("temperature", -1), ("temperature", float("nan")), ("temperature", "hot"),
                                         ("gain", float("inf")), ("eps", None), ("balance", True)])
@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_an_odd_choice_in_the_weights_is_refused(own_bins, tmp_path, name, value, engine):
    model, _ = load_generator(own_bins)
    model.architecture = dict(name="bins", kwargs=model.architecture["kwargs"] | {name: value})
    file = save_generator(model, tmp_path/"odd.safetensors")
    with pytest.raises(ValueError, match=f"odd.safetensors.*its {name} "): Colorizer.from_pretrained(file, "cpu", engine=engine)


def test_colours_that_are_no_numbers_are_no_picture():
    with pytest.raises(ValueError, match="NaN or infinity"):
        Colorizer.from_pretrained(device="cpu")(sample_photos()["coffee"].convert("L"), strength=float("nan"))


@pytest.mark.parametrize("size", [(400, 3), (3, 400), (400, 40), (4, 4), (1, 1), (2000, 1500)])
@pytest.mark.filterwarnings("error")
def test_small_and_thin_toned_prints_are_toned(size):
    gray = np.random.default_rng(0).integers(40, 220, size[::-1])
    sepia = (gray[..., None]*[1.05, .92, .72]).clip(0, 255).astype(np.uint8)
    assert tone_of(Image.fromarray(sepia)) == "toned"


@pytest.mark.parametrize("size", [(400, 3), (3, 400), (8, 8)])
def test_small_and_thin_colours_are_colours(size):
    noise = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    assert tone_of(Image.fromarray(noise)) == "coloured"


def test_exported_bins_say_one_line(tmp_path):
    run = subprocess.run([sys.executable, "-c", "from colorize_lib.export_cli import main; main()", "bins", "-o", "b.onnx"], cwd=tmp_path,
                         env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert run.returncode == 0 and "units of ab from PyTorch" in run.stdout + run.stderr
    assert len((run.stdout + run.stderr).strip().splitlines()) == 1, run.stderr
