"Properties of the colorizer that need many inputs, or networks made for the purpose."
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from colorize_lib import color, inference
from colorize_lib.photos import sample_photos
from colorize_lib.weights import build_generator, list_weights, save_generator


class Paint(nn.Module):
    "Answers with one colour everywhere, at half the input's size"
    def __init__(self, a, b):
        super().__init__()
        self.register_buffer("ab", torch.tensor([a, b]).float().view(1, 2, 1, 1)/110)
        self.register_parameter("unused", nn.Parameter(torch.zeros(1)))
        self.seen = []
    def forward(self, x):
        self.seen.append(x)
        return self.ab.to(x.dtype).expand(len(x), 2, x.shape[2]//2, x.shape[3]//2)


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(0)
    return build_generator("compact").eval()


def noise(height, width, seed=0): return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (31, 33), (257, 255), (640, 427), (2, 3)])
def test_size_and_lightness_stay(untrained, size):
    gray = noise(*size[::-1])
    result = inference.Colorizer(untrained, "cpu")(gray)
    assert result.mode == "RGB" and result.size == size
    gap = (color.lightness(np.asarray(result)) - color.lightness(gray)).abs()
    assert gap.mean() < .5 and gap.max() < 2, (float(gap.mean()), float(gap.max()))


def test_no_colour_gives_the_photo_back():
    gray = noise(70, 90)
    result = np.asarray(inference.Colorizer(Paint(0, 0), "cpu")(gray))
    assert (result == gray[..., None]).all()


@pytest.mark.parametrize("a,b", [(20, 30), (-25, 10), (10, -30)])
def test_a_known_colour_arrives(a, b):
    middle = np.full((50, 60), 128, np.uint8) # every one of these colours exists at this lightness
    lab = color.photo_to_lab(np.asarray(inference.Colorizer(Paint(a, b), "cpu")(middle)))
    assert abs(float(lab[1].mean()) - a) < 1 and abs(float(lab[2].mean()) - b) < 1


def test_impossible_colours_keep_lightness_and_hue():
    ramp = np.tile(np.arange(256, dtype=np.uint8), (20, 1))
    lab = color.photo_to_lab(np.asarray(inference.Colorizer(Paint(90, 60), "cpu")(ramp)))
    assert (lab[0] - color.lightness(ramp)[0]).abs().max() < 2
    strong = lab[1:].norm(dim=0) > 20
    assert strong.any()
    hue = torch.atan2(lab[2], lab[1])[strong]*180/np.pi
    assert (hue - np.degrees(np.arctan2(60, 90))).abs().max() < 6


def test_the_network_sees_lightness_not_gray_levels():
    net = Paint(0, 0)
    inference.Colorizer(net, "cpu") # the colorizer works on a copy
    colorizer = inference.Colorizer(net, "cpu")
    colorizer(np.full((40, 40), 119, np.uint8))
    seen = colorizer.network.model.seen[-1].float()
    assert seen.shape == (1, 1, 256, 256)
    assert abs(float((seen + 1).mean()*50) - 50.03) < .3 # gray 119 is L* 50.03; 119/255 would be 46.7
    red, blue = np.zeros((2, 40, 40, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    for image, want in ((red, 53.24), (blue, 32.30)):
        colorizer(image)
        assert abs(float((colorizer.network.model.seen[-1].float() + 1).mean()*50) - want) < .3


def test_every_way_to_give_a_photo(untrained, tmp_path):
    gray = noise(60, 80)
    Image.fromarray(gray).save(tmp_path/"a.png")
    colorizer = inference.Colorizer(untrained, "cpu")
    ways = gray, gray[..., None], Image.fromarray(gray), tmp_path/"a.png", str(tmp_path/"a.png"), np.dstack([gray]*3), Image.fromarray(gray).convert("RGB")
    results = [np.asarray(colorizer(way)).astype(int) for way in ways]
    for result in results[:5]: assert (result == results[0]).all()
    for result in results[5:]: assert np.abs(result - results[0]).max() <= 3 # gray as RGB: the same up to rounding
    strided = np.dstack([gray]*4)[::-1, ::-1, :3] # a view with negative strides
    assert colorizer(strided).size == (80, 60)


@pytest.mark.parametrize("thing,word", [(np.zeros((4, 4)), "uint8"), (np.zeros((4, 4, 2), np.uint8), "H, W"), (np.zeros((0, 4), np.uint8), "pixels"),
                                        (None, "image"), (Image.new("I;16", (4, 4)), "range"), (Image.new("F", (4, 4)), "range")])
def test_what_is_no_photo_is_refused(untrained, thing, word):
    with pytest.raises((ValueError, TypeError), match=word): inference.Colorizer(untrained, "cpu")(thing)


def test_names_and_devices_are_checked(tmp_path):
    with pytest.raises(ValueError, match="no-such"): inference.Colorizer.from_pretrained("no-such")
    with pytest.raises(ValueError, match="toaster"): inference.Colorizer(Paint(0, 0), "toaster")
    with pytest.raises(ValueError, match="at least"): inference.Colorizer(Paint(0, 0), "cpu", size=8)
    (tmp_path/"broken.safetensors").write_bytes(b"not weights")
    with pytest.raises(ValueError, match="broken"): inference.Colorizer.from_pretrained(tmp_path/"broken.safetensors")


def test_preparing_leaves_the_network_alone(untrained):
    before = {k: v.clone() for k, v in untrained.state_dict().items()}
    colorizer = inference.Colorizer(untrained, "cpu")
    colorizer(noise(64, 64))
    assert all(torch.equal(v, before[k]) for k, v in untrained.state_dict().items())
    x = torch.rand(2, 1, 64, 96)*100
    with torch.inference_mode(): want = untrained(x/50 - 1)*110
    got = colorizer.predict_ab(x)
    assert got.shape == want.shape == (2, 2, 32, 48) and got.dtype == torch.float32
    assert (got - want).abs().max() < 1e-3


def test_same_answer_twice(untrained):
    colorizer, gray = inference.Colorizer(untrained, "cpu"), noise(90, 120)
    assert colorizer(gray).tobytes() == colorizer(gray).tobytes()


def test_a_file_gives_the_network_back(untrained, tmp_path):
    file = save_generator(untrained, tmp_path/"net.safetensors", note="test")
    gray = noise(64, 64)
    loaded = inference.Colorizer.from_pretrained(file, "cpu")
    assert loaded(gray).tobytes() == inference.Colorizer(untrained, "cpu")(gray).tobytes()
    assert loaded.metadata["note"] == "test"


def stroke(size, box, colour):
    layer = Image.new("RGBA", size)
    layer.paste((*colour, 255), box)
    return layer


@pytest.mark.parametrize("colour", [(40, 90, 200), (128, 128, 128), (200, 60, 60)])
def test_a_stroke_fills_its_side_of_an_edge_and_no_more(colour):
    gray = np.full((200, 300), 70, np.uint8)
    gray[:, 150:] = 170
    colorizer = inference.Colorizer(Paint(15, 20), "cpu")
    auto, touched = (color.photo_to_lab(np.asarray(colorizer(gray, hints=hints))) for hints in (None, stroke((300, 200), (20, 90, 130, 96), colour)))
    want = color.map_to_gamut(auto[:1], color.photo_to_lab(np.full((1, 1, 3), colour, np.uint8))[1:].expand(2, 200, 300))
    assert (touched[1:] - want)[:, 70:116, 20:145].norm(dim=0).max() < 3, "its own side"
    assert (touched[1:] - auto[1:])[:, :, 155:].norm(dim=0).max() < 1, "the other side"
    assert (touched[0] - auto[0]).abs().mean() < .5


def test_hints_work_at_every_size():
    colorizer = inference.Colorizer(Paint(15, 20), "cpu")
    for w, h in ((2, 1), (31, 33), (640, 427), (2400, 1600)):
        hints = stroke((w, h), (0, 0, max(1, w//10), max(1, h//10)), (128, 128, 128))
        result = colorizer(np.full((h, w), 128, np.uint8), hints=hints)
        assert result.size == (w, h)
        assert color.photo_to_lab(np.asarray(result))[1:, 0, 0].norm() < 2


@pytest.mark.skipif("l1" not in list_weights(), reason="no trained weights here")
def test_trained_weights_give_colour():
    photo = sample_photos()["coffee"]
    result = inference.Colorizer.from_pretrained("l1", "cpu")(photo.convert("L"))
    lab = color.photo_to_lab(np.asarray(result))
    assert lab[1:].norm(dim=0).mean() > 4, "as good as gray"
