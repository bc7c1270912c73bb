"Colour conversion against scikit-image over every 8-bit colour, and on whole photos."
import itertools

import numpy as np
import pytest
import torch
from skimage.color import lab2rgb, rgb2lab

from colorize_lib.color import (
    in_gamut, lab_to_photo, lab_to_rgb, lightness, map_to_gamut, photo_to_lab, rgb_to_lab
)
from colorize_lib.photo_depth import deep_photo
from colorize_lib.photo_lab import inside, linear_rgb, red_room

BLOCKS = range(0, 256, 16)


def block(first):
    "All colours with red in first ... first + 15, as uint8 (16 * 256, 256, 3)"
    r, g, b = np.meshgrid(np.arange(first, first + 16), np.arange(256), np.arange(256), indexing="ij")
    return np.stack([r, g, b], -1).astype(np.uint8).reshape(-1, 256, 3)


def chw(array):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 0)))


@pytest.mark.parametrize("first", BLOCKS)
def test_every_8_bit_colour_equals_scikit_image(first):
    u8 = block(first)
    reference = rgb2lab(u8.astype(np.float32) / 255)
    lab = rgb_to_lab(chw(u8))
    assert (lab - chw(reference)).abs().max() < 1e-3
    assert (photo_to_lab(u8) - chw(reference)).abs().max() < 1e-3
    assert (lightness(u8)[0] - torch.from_numpy(reference[..., 0])).abs().max() < 1e-3
    rgb = lab_to_rgb(chw(reference))
    assert (rgb - chw(lab2rgb(reference))).abs().max() < 1e-3
    assert np.array_equal(lab_to_photo(lab[:1], lab[1:]), u8)
    assert in_gamut(lab).all()
    assert torch.equal(map_to_gamut(lab[:1], lab[1:]), lab[1:])


@pytest.mark.parametrize("height, width, h, w", [(1, 1, 1, 1), (1, 300, 1, 7), (300, 1, 40, 1), (5, 200_000, 5, 20),
                                                  (301, 457, 64, 97), (64, 64, 64, 32), (64, 64, 32, 64), (20, 20, 50, 40)])
def test_any_shape_equals_the_plain_functions(height, width, h, w):
    rng = torch.Generator().manual_seed(height + width)
    L = torch.rand(1, height, width, generator=rng) * 100
    ab = torch.rand(2, h, w, generator=rng) * 220 - 110
    full = torch.nn.functional.interpolate(ab[None], size=(height, width), mode="bilinear")[0]
    plain = lab_to_rgb(torch.cat([L, map_to_gamut(L, full)])).permute(1, 2, 0) * 255
    photo = lab_to_photo(L, ab)
    assert photo.shape == (height, width, 3) and photo.dtype == np.uint8
    # one float rounding may send the bisection of a rare pixel to the other side of a dent in the gamut
    difference = (torch.from_numpy(photo) - plain).abs()
    assert (difference < 1).float().mean() > 0.9999 and difference.max() < 8


@pytest.mark.parametrize("seed", range(3))
def test_lightness_survives_any_colour(seed):
    rng = torch.Generator().manual_seed(seed)
    gray = torch.randint(0, 256, (256, 256), generator=rng, dtype=torch.uint8).numpy()
    gray[0] = np.arange(256)
    L, ab = lightness(gray), (torch.rand(2, 256, 256, generator=rng) - 0.5) * 360
    changed = (lightness(lab_to_photo(L, ab)) - L).abs()
    assert changed[L <= 91].max() < 0.4 and changed.max() < 0.8  # bright yellow gives way a little
    assert (lightness(lab_to_photo(L, ab, gamut=False)) - L).abs().max() > 5


def test_gamut_mapping_keeps_hue_and_takes_as_little_as_it_can():
    L, a, b = (torch.tensor(v).view(1, -1, 1) for v in zip(*itertools.product((1., 20, 50, 80, 99), (-110., 3, 90), (-110., 5, 110))))
    ab = torch.cat([a, b])
    mapped = map_to_gamut(L, ab)
    assert in_gamut(torch.cat([L, mapped]))[L <= 91].all()
    assert torch.allclose(mapped[0] * ab[1], mapped[1] * ab[0], atol=1e-2)
    moved = (mapped != ab).any(0, keepdim=True)
    assert moved.any() and not in_gamut(torch.cat([L, mapped + ab * 0.002]))[moved].any()


def test_every_way_from_gray_has_one_border():
    hue = np.radians(np.arange(0, 360, 2.5))[:, None]
    chroma = np.arange(0, 130, 0.25)
    a, b = np.cos(hue)*chroma, np.sin(hue)*chroma
    for L in (*range(5, 90, 10), *np.arange(90, 100, 0.25)):
        light = linear_rgb(np.full_like(a, L), a, b)
        found = inside(light, room=np.minimum(red_room(L, a, b), 0.3*light[2]))
        assert not (found[:, 1:] & ~found[:, :-1]).any(), L


@pytest.mark.parametrize("colour", [(250, 245, 8), (255, 255, 0), (255, 240, 40), (255, 248, 0), (245, 250, 20)])
def test_a_grainy_yellow_sign_gets_no_spots_of_cream(colour):
    rng = np.random.default_rng(0)
    sign = (np.int16(colour) + rng.integers(-8, 9, (128, 128, 3))).clip(0, 255).astype(np.uint8)
    L, *ab = photo_to_lab(sign)
    small = torch.nn.functional.avg_pool2d(torch.stack(ab), 4)
    asked = torch.nn.functional.interpolate(small[None], scale_factor=4, mode="bilinear")[0].norm(dim=0)
    shown = photo_to_lab(lab_to_photo(L[None], small))
    assert (shown[1:].norm(dim=0) > 0.5*asked).all() and (shown[0] - L).abs().max() < 0.8
    deep = deep_photo(sign.astype(np.uint16)*257, small.numpy())
    difference = abs(deep/257 - lab_to_photo(L[None], small))
    assert (difference < 1).mean() > 0.999  # with 16 bits it is the same


def test_strided_and_batched_input():
    u8 = np.arange(2 * 30 * 40 * 3, dtype=np.uint32).reshape(60, 40, 3).astype(np.uint8)
    turned = u8.transpose(1, 0, 2)[::-1]
    assert torch.equal(photo_to_lab(turned), photo_to_lab(turned.copy()))
    lab = torch.rand(3, 30, 40, generator=torch.Generator().manual_seed(0)) * 100
    views = lab[:1].transpose(1, 2), lab[1:].permute(0, 2, 1)
    assert np.array_equal(lab_to_photo(*views), lab_to_photo(*(v.contiguous() for v in views)))
    columns = lab.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert np.array_equal(lab_to_photo(columns[:1], columns[1:]), lab_to_photo(lab[:1], lab[1:]))
    batch = torch.stack([chw(u8), chw(u8[::-1])])
    assert torch.equal(rgb_to_lab(batch)[1], rgb_to_lab(batch[1]))
    assert torch.equal(map_to_gamut(*rgb_to_lab(batch).mul(2).split([1, 2], 1))[1], map_to_gamut(*rgb_to_lab(batch[1]).mul(2).split([1, 2])))


def test_gradients_are_finite_at_black_and_at_the_joins():
    lab = torch.tensor([[0., 8, 50], [0, 0, 90], [0, 0, -90]]).view(3, 1, 3).requires_grad_()
    lab_to_rgb(lab).sum().backward()
    rgb = torch.tensor([[0., 0.04045, 1]] * 3).view(3, 1, 3).requires_grad_()
    rgb_to_lab(rgb).sum().backward()
    assert lab.grad.isfinite().all() and rgb.grad.isfinite().all()


@pytest.mark.parametrize("wrong", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8)])
def test_what_is_no_photo_is_refused(wrong):
    for function in (photo_to_lab, lightness):
        with pytest.raises(ValueError, match="expected uint8"): function(wrong)
