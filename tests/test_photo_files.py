"Photo files: what their numbers mean, what travels into a result, and what is refused, each right value computed here."
import os, struct, subprocess, sys, zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from colorize_lib import photo_depth
from colorize_lib.console import has_note
from colorize_lib.crew import room_of
from colorize_lib.photo_colours import _described_icc, curve, icc_tags, make_icc, SRGB, SRGB_CURVE
from colorize_lib.photo_depth import deep_lightness, deep_photo, painted
from colorize_lib.photo_headers import _memory, open_photo, reads_heic
from colorize_lib.photo_notes import _put, coloured
from colorize_lib.photo_xmp import COMPOSITE, marked_xmp, NOTE, tidy_xmp
from colorize_lib.photo_writers import PACKINGS
from colorize_lib.photos import not_kept, Photo, PhotoError, read_photo, save_photo

RAMP = np.tile(np.arange(256, dtype=np.uint8), (6, 1))
FORMATS = ["jpg", "png", "tif", "webp", "avif"]


def srgb_bytes(light):
    "What sRGB's curve makes of an amount of light between 0 and 1"
    light = np.asarray(light, float)
    return 255*np.where(light <= .0031308, 12.92*light, 1.055*np.maximum(light, 1e-9)**(1/2.4) - .055)


def gap(photo, want):
    "The largest difference of a read picture from the right values"
    return float(np.abs(np.asarray(photo.image, float) - want).max())


def tiff(pixels, order="<", **tags):
    "An uncompressed TIFF of one strip, with tags named by number (t262=0) of short integers; `pixels` are bytes or an array"
    pixels = pixels if isinstance(pixels, bytes) else pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    numbers = {259: 1, 262: 1, 277: 1, 284: 1} | {int(name[1:]): value for name, value in tags.items()}
    start = 8 + 2 + 12*(len(numbers) + 2) + 4
    longs = {273: start, 279: len(pixels)}
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(numbers) + 2)
    for tag in sorted(numbers | longs):
        if tag in longs: out += struct.pack(order + "HHII", tag, 4, 1, longs[tag])
        else: out += struct.pack(order + "HHIHH", tag, 3, 1, numbers[tag], 0)
    return out + bytes(4) + pixels


def read(tmp_path, data, name="photo.tif"):
    (tmp_path/name).write_bytes(data)
    return read_photo(tmp_path/name)


def png_with(pixels, *chunks):
    "A gray or colour PNG of 8 or 16 bits with more chunks after its header"
    height, width = pixels.shape[:2]
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(">IIBBBBB", width, height, 8*pixels.itemsize, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    def chunk(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in ((b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")))


# ---- what the numbers mean ----

@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("white", [0, 1])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "int8", "int16", "float32"])
def test_gray_tiff(tmp_path, kind, white, order):
    "Either end may be white, and the numbers may have a sign"
    bits = np.dtype(kind).itemsize*8
    numbers = {"uint8": RAMP, "uint16": RAMP.astype(np.uint16)*257, "int8": (RAMP.astype(int) - 128).astype(np.int8),
               "int16": (RAMP.astype(int)*257 - 32_768).astype(np.int16), "float32": RAMP.astype(np.float32)/255}[kind]
    sign = {"u": 1, "i": 2, "f": 3}[np.dtype(kind).kind]
    data = tiff(numbers, order, t256=256, t257=6, t258=bits, t262=white, t278=6, t339=sign)
    assert gap(read(tmp_path, data), RAMP if white else 255 - RAMP) == 0


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_compressed_tiff_whose_white_is_zero(tmp_path, kind):
    numbers = RAMP.astype(np.uint16)*257 if kind == "uint16" else RAMP.astype(np.float32)/255
    tifffile.imwrite(tmp_path/"a.tif", numbers, photometric="miniswhite", compression="zlib")
    assert gap(read_photo(tmp_path/"a.tif"), 255 - RAMP) == 0


@pytest.mark.parametrize("kind", ["int8", "int16", "float32", "float64"])
@pytest.mark.parametrize("order", "<>")
def test_compressed_tiff_in_either_order_of_bytes(tmp_path, order, kind):
    numbers = {"int8": RAMP.astype(int) - 128, "int16": RAMP.astype(int)*257 - 32_768}.get(kind, RAMP/255).astype(kind)
    tifffile.imwrite(tmp_path/"a.tif", numbers, byteorder=order, compression="zlib")
    assert gap(read_photo(tmp_path/"a.tif"), RAMP) == 0


def test_twelve_bits(tmp_path):
    numbers = np.linspace(0, 4095, 256).round().astype(int)
    pairs = numbers.reshape(-1, 2)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1).astype(np.uint8).tobytes()
    photo = read(tmp_path, tiff(packed, t256=256, t257=1, t258=12, t278=1))
    assert gap(photo, numbers/4095*255) <= .51


@pytest.mark.parametrize("kind", ["int8", "int16"])
def test_signed_numbers_without_a_sign_are_refused(tmp_path, kind):
    numbers = (RAMP//2).astype(kind)
    with pytest.raises(PhotoError, match="nobody can know which one is white"):
        read(tmp_path, tiff(numbers, t256=256, t257=6, t258=numbers.itemsize*8, t278=6, t339=2))


@pytest.mark.parametrize("top", [255, 4095])
def test_small_numbers_of_32_bits_are_refused(tmp_path, top):
    "Eight bits in a larger box would be black; the same numbers up to 65,535 are a photo"
    for kind, sign in (("uint32", 1), ("int32", 2)):
        tags = dict(t256=256, t257=6, t258=32, t278=6, t339=sign)
        with pytest.raises(PhotoError, match="8, 12 or 16 bits"):
            read(tmp_path, tiff((RAMP.astype(float)*top/255).astype(kind), **tags))
        assert gap(read(tmp_path, tiff(RAMP.astype(kind)*257, **tags)), RAMP) == 0


def test_numbers_without_a_range_are_refused(tmp_path):
    for numbers, form in ((RAMP.astype(np.float32)*3, 3), (RAMP.astype(np.uint32)*10**6, 1)):
        with pytest.raises(PhotoError, match="32-bit numbers; save it with 8 or 16 bits"):
            read(tmp_path, tiff(numbers, t256=256, t257=6, t258=32, t278=6, t339=form))


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_colour_tiff_of_sixteen_bits(tmp_path, planes, compression):
    colours = (np.random.default_rng(0).random((12, 10, 3))*65_535).astype(np.uint16)
    stored = colours if planes == "contig" else colours.transpose(2, 0, 1)
    tifffile.imwrite(tmp_path/"a.tif", stored, photometric="rgb", planarconfig=planes, compression=compression)
    assert gap(read_photo(tmp_path/"a.tif"), colours/257) <= 1


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_turned_gray_tiff(tmp_path, turn, compression):
    "No pixel is sheared, whichever of eight ways the scanner lay"
    y, x = np.mgrid[:20, :30]
    upright = (5*x + 3*y).astype(np.uint8)
    lying = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.T,
             6: upright.T[::-1], 7: upright.T[::-1, ::-1], 8: upright.T[:, ::-1]}[turn]
    notes = Image.Exif()
    notes[0x0112] = turn
    Image.fromarray(np.ascontiguousarray(lying)).save(tmp_path/"a.tif", exif=notes, compression=compression, dpi=(300, 600))
    photo = read_photo(tmp_path/"a.tif")
    assert gap(photo, upright) == 0
    assert photo.notes.dpi == ((600, 300) if turn > 4 else (300, 600))


@pytest.mark.parametrize("top", [100, 1000, 65_535])
@pytest.mark.parametrize("kind", [b"P5", b"P6"])
def test_pnm_with_any_largest_number(tmp_path, kind, top):
    bands = 3 if kind == b"P6" else 1
    numbers = np.linspace(0, top, 6*256*bands).round().astype(np.uint8 if top < 256 else ">u2")
    photo = read(tmp_path, kind + b"\n256 6\n%d\n" % top + numbers.tobytes(), "a.pnm")
    want = numbers.astype(float).reshape((6, 256, 3) if bands == 3 else (6, 256))/top*255
    assert gap(photo, want) <= .51


@pytest.mark.parametrize("body", [b"P1 2 1\n1 0\n", b"P2 2 1 255\n7 8 # P2\n", b"P3 1 1 255\n7 8 9\n", b"P4 2 1 a", b"P5 2 1 255 P5",
                                  b"P5 2 1 1000 abcd", b"P6 2 1 255 P6 a b", b"P6 1 1 65535 abcdef"])
def test_several_pictures_in_a_pnm(tmp_path, body):
    assert read(tmp_path, body, "a.pnm").words == () == read(tmp_path, body + b"\n", "b.pnm").words
    with pytest.raises(PhotoError, match="holds several pictures; save the one you want as a photo of its own"): read(tmp_path, body*2, "c.pnm")


def test_a_clear_number_of_sixteen_bits(tmp_path):
    photo = read(tmp_path, png_with(RAMP.astype(np.uint16)*257, (b"tRNS", struct.pack(">H", 257*7))), "a.png")
    assert np.array_equal(np.asarray(photo.alpha) == 0, RAMP == 7)


# ---- colours: by curves, not by names ----

def described_as_srgb(curve, space=b"RGB "):
    "A profile with this curve that calls itself sRGB"
    text = "sRGB IEC61966-2.1".encode("utf-16-be")
    name = struct.pack(">4s4xII4sII", b"mluc", 1, 12, b"enUS", len(text), 28) + text
    plain = _described_icc("RGB" if space == b"RGB " else "L", curve, SRGB)
    return make_icc(space, {b"desc": name} | icc_tags(plain))


@pytest.mark.parametrize("gamma", [1, 1.8])
@pytest.mark.parametrize("suffix", FORMATS)
def test_the_curve_counts_and_not_the_name(tmp_path, gamma, suffix):
    icc = described_as_srgb(curve(gamma))
    assert "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(icc)))
    bands = np.stack([RAMP]*3, 2)
    lossless = {"webp": dict(lossless=True), "avif": dict(quality=100, subsampling="4:4:4"), "jpg": dict(quality=100)}.get(suffix, {})
    Image.fromarray(np.repeat(bands, 4, 0)).save(tmp_path/f"a.{suffix}", icc_profile=icc, **lossless)
    want = srgb_bytes((np.repeat(bands, 4, 0)/255)**gamma)
    difference = np.abs(np.asarray(read_photo(tmp_path/f"a.{suffix}").image, float) - want)
    assert difference[:, 32:].max() <= (1.01 if suffix in ("png", "tif", "webp") else 6)


@pytest.mark.parametrize("gamma", [1, 1.8])
def test_gray_profile(tmp_path, gamma):
    Image.fromarray(RAMP).save(tmp_path/"a.png", icc_profile=described_as_srgb(curve(gamma), b"GRAY"))
    assert gap(read_photo(tmp_path/"a.png"), srgb_bytes((RAMP/255)**gamma)) <= .6


def test_true_srgb_profiles_change_nothing(tmp_path):
    colours = np.random.default_rng(1).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    usual = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (usual, _described_icc("RGB", SRGB_CURVE, SRGB)):
        Image.fromarray(colours).save(tmp_path/"a.png", icc_profile=icc)
        assert gap(read_photo(tmp_path/"a.png"), colours) == 0


GAMMA = lambda value: (b"gAMA", struct.pack(">I", round(1e5*value)))
LINEAR, SRGB_NOTE = (b"cICP", bytes((1, 8, 0, 1))), (b"sRGB", b"\0")

@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("chunks, exponent", [
    ([GAMMA(1)], 1), ([GAMMA(1/1.8)], 1.8), ([LINEAR], 1), ([GAMMA(1/1.8), LINEAR], 1),
    ([GAMMA(1/2.2)], None), ([GAMMA(1), SRGB_NOTE], None), ([(b"cICP", bytes((1, 13, 0, 1))), GAMMA(1)], None)])
def test_png_that_tells_its_curve(tmp_path, kind, chunks, exponent):
    "cICP goes before sRGB, and that before gAMA"
    for shape in ((6, 256), (6, 256, 3)):
        numbers = np.broadcast_to(RAMP.reshape(6, 256, 1) if len(shape) == 3 else RAMP, shape).astype(kind)*(257 if kind is np.uint16 else 1)
        want = srgb_bytes((numbers/np.iinfo(kind).max)**exponent) if exponent else numbers/(257 if kind is np.uint16 else 1)
        assert gap(read(tmp_path, png_with(numbers, *chunks), "a.png"), want) <= 1.01, shape


@pytest.mark.parametrize("code, exponent", [(8, 1), (13, None), (1, None)])
def test_avif_that_tells_its_curve(tmp_path, code, exponent):
    Image.fromarray(np.repeat(RAMP, 4, 0)).save(tmp_path/"a.avif", quality=100)
    data = (tmp_path/"a.avif").read_bytes()
    place = data.index(b"colrnclx") + 10
    photo = read(tmp_path, data[:place] + struct.pack(">H", code) + data[place + 2:], "b.avif")
    want = srgb_bytes((RAMP/255)**exponent) if exponent else RAMP
    assert np.abs(np.asarray(photo.image.convert("L"), float) - np.repeat(want, 4, 0))[:, 32:].max() <= 3


def test_profile_of_a_jp2(tmp_path):
    Image.fromarray(RAMP).save(tmp_path/"a.jp2", irreversible=False)
    data = (tmp_path/"a.jp2").read_bytes()
    icc = _described_icc("L", curve(1.8), SRGB)
    at = data.index(b"colr") - 4
    box = struct.pack(">I4s3B", 11 + len(icc), b"colr", 2, 0, 0) + icc
    head = data.index(b"jp2h") - 4
    (length,) = struct.unpack_from(">I", data, head)
    new = data[:head] + struct.pack(">I", length + len(box) - 15) + data[head + 4:at] + box + data[at + 15:]
    assert gap(read(tmp_path, new, "b.jp2"), srgb_bytes((RAMP/255)**1.8)) <= 1


def jp2(numbers, layout):
    "A JPEG 2000 of another writer than Pillow's, which writes no deep colours"
    codec = av.CodecContext.create("jpeg2000", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = *numbers.shape[1::-1], layout, Fraction(1)
    codec.options = {"pred": "1", "format": "jp2"}
    frame = av.VideoFrame.from_ndarray(numbers, format=layout)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in codec.encode(frame))


def test_deep_colours_of_a_jp2_are_refused(tmp_path):
    "Its decoder would make white black"
    white = np.full((48, 64, 3), 255, np.uint8)
    assert gap(read(tmp_path, jp2(white, "rgb24"), "a.jp2"), 255) == 0
    said = refusal(tmp_path, jp2(white.astype(np.uint16)*257, "rgb48le"), "b.jp2")
    assert said == "is a JPEG 2000 with colours or transparency of 16 bits, whose white would turn black; save it as TIFF or PNG"
    Image.fromarray(DEEP).save(tmp_path/"c.jp2", irreversible=False)
    assert gap(read_photo(tmp_path/"c.jp2"), (DEEP.astype(int) + 128)//257) == 0

@pytest.mark.parametrize("suffix", ["jpg", "tif", "webp"])
@pytest.mark.parametrize("bands", [1, 3])
def test_adobe_rgb_by_the_notes_of_a_camera(tmp_path, suffix, bands):
    "A colour space that is not sRGB, and R03; a profile counts more, and a result is sRGB and says so"
    notes = Image.Exif()
    _put(notes, ExifTags.IFD.Exif, {0x9003: "2004:05:01 10:00:00", 0xA001: 65_535, ExifTags.IFD.Interop: {1: "R03"}})
    picture = Image.fromarray(RAMP if bands == 1 else np.dstack([RAMP, RAMP//2 + 64, RAMP//4 + 90]))
    kind = {"webp": dict(lossless=True), "jpg": dict(quality=100, subsampling=0), "tif": {}}[suffix]
    picture.save(tmp_path/f"a.{suffix}", exif=notes, **kind)
    icc = _described_icc("L" if bands == 1 and suffix != "webp" else "RGB", curve(563/256), (.3127, .329, .64, .33, .21, .71, .15, .06))
    picture.save(tmp_path/f"b.{suffix}", icc_profile=icc, **kind)
    said, profiled = read_photo(tmp_path/f"a.{suffix}"), read_photo(tmp_path/f"b.{suffix}")
    assert gap(said, np.asarray(profiled.image, float)) == 0 and said.words == ()
    assert gap(said, np.asarray(picture.convert(said.image.mode), float)) > (4 if bands == 1 else 15)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if bands == 3:
        picture.save(tmp_path/f"c.{suffix}", exif=notes, icc_profile=srgb, **kind)
        assert gap(read_photo(tmp_path/f"c.{suffix}"), np.asarray(picture, float)) <= (0 if suffix != "jpg" else 4)
    with Image.open(save_photo(said, tmp_path/"d.jpg")) as im:
        camera = im.getexif().get_ifd(ExifTags.IFD.Exif)
        assert camera[0xA001] == 1 and ExifTags.IFD.Interop not in camera


def test_profile_of_a_bmp(tmp_path):
    "A fifth header, with a linear profile behind the pixels"
    icc = _described_icc("RGB", curve(1), SRGB)
    colours = np.dstack([RAMP]*3)
    for word, want in ((b"DEBM", srgb_bytes(colours/255)), (b" niW", colours)):
        head = struct.pack("<IiiHHIIiiII", 124, 256, 6, 1, 24, 0, colours.nbytes, 0, 0, 0, 0) + bytes(16) + word
        head += bytes(52) + struct.pack("<III", 124 + colours.nbytes, len(icc), 0)
        start = 14 + len(head)
        data = b"BM" + struct.pack("<IHHI", start + colours.nbytes + len(icc), 0, 0, start) + head + colours.tobytes() + icc
        assert gap(read(tmp_path, data, "a.bmp"), want) <= 1


def test_wide_primaries(tmp_path):
    "Pure sRGB red, told in the primaries of BT.2020, is pure red again"
    to_xyz = lambda c: np.array([[x/y, 1, (1 - x - y)/y] for x, y in np.reshape(c, (4, 2))])
    def matrix(c):
        white, *rgb = to_xyz(c)
        rgb = np.array(rgb).T
        return rgb*np.linalg.solve(rgb, white)
    wide = (.3127, .329, .708, .292, .17, .797, .131, .046)
    red = np.linalg.solve(matrix(wide), matrix(SRGB) @ [1, 0, 0])
    numbers = np.broadcast_to((red.clip(0, 1)*65_535).round().astype(np.uint16), (4, 4, 3))
    for chunk in ([(b"cICP", bytes((9, 8, 0, 1)))], [GAMMA(1), (b"cHRM", struct.pack(">8I", *(round(1e5*v) for v in wide)))]):
        assert gap(read(tmp_path, png_with(numbers, *chunk), "a.png"), [255, 0, 0]) <= 3


def test_hdr_is_refused(tmp_path):
    with pytest.raises(PhotoError, match="HDR"): read(tmp_path, png_with(RAMP, (b"cICP", bytes((9, 16, 0, 1)))), "a.png")


@pytest.mark.parametrize("deep", [False, True])
def test_a_narrow_range_is_refused(tmp_path, deep):
    (tmp_path/"a.png").write_bytes(png_with(np.dstack([RAMP.astype(np.uint16)*257]*3), (b"cICP", bytes((1, 13, 0, 0)))))
    with pytest.raises(PhotoError, match="from 16 to 235"): read_photo(tmp_path/"a.png", deep=deep)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("bands", [1, 3])
def test_sixteen_linear_bits_keep_their_shades(tmp_path, suffix, bands):
    "The darkest tenth of the light: 8 bits would leave 26 shades"
    numbers = np.linspace(0, 6553, 600).round().astype(np.uint16).reshape(2, 300)
    if bands == 3: numbers = np.stack([numbers]*3, 2)
    icc = _described_icc("RGB" if bands == 3 else "L", curve(1), SRGB)
    if suffix == "tif": tifffile.imwrite(tmp_path/"a.tif", numbers, photometric="rgb" if bands == 3 else "minisblack", iccprofile=icc)
    else: (tmp_path/"a.png").write_bytes(png_with(numbers, (b"iCCP", b"p\0\0" + zlib.compress(icc))))
    photo = read_photo(tmp_path/f"a.{suffix}")
    assert gap(photo, srgb_bytes(numbers/65_535)) <= 1.01
    assert len(np.unique(np.asarray(photo.image))) > 85


def test_deep_gray_with_transparency_keeps_its_shades(tmp_path):
    numbers = np.linspace(0, 6553, 600).round().astype(np.uint16).reshape(2, 300)
    clear = np.arange(600, dtype=np.uint16).reshape(2, 300)*109
    data = png_of([row.astype(">u2").tobytes() for row in np.dstack([numbers, clear])], 16, 4, GAMMA(1), width=300)
    for deep in (False, True):
        (tmp_path/"a.png").write_bytes(data)
        photo = read_photo(tmp_path/"a.png", deep)
        assert gap(photo, srgb_bytes(numbers/65_535)) <= 1.01 and len(np.unique(np.asarray(photo.image))) > 85
        assert photo.words == () and photo.image.mode == "L" and np.array_equal(np.asarray(photo.alpha), clear >> 8)
    assert np.abs(photo.deep - srgb_bytes(numbers/65_535)*257).max() <= 2


# ---- what travels into a result ----

XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6" dc:source="box 7"/>
</rdf:RDF></x:xmpmeta>"""
IPTC = b"\x1c\x02\x78\x00\x04Ida!"
DESCRIPTION = "Großmutter, 1931"


def notes_of_a_scan():
    notes = Image.Exif()
    notes[0x010E], notes[0x013B], notes[0x8298], notes[0x0132] = DESCRIPTION.encode(), "Ida", "CC0", "1931:05:01 10:00:00"
    notes[0x0131] = "ScanTool 3"
    notes.get_ifd(ExifTags.IFD.Exif).update({0x9003: "1931:05:01 10:00:00", 0xA001: 2, 0xA002: 7, 0xA003: 9})
    notes.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (47.0, 22.0, 1.0)})
    return notes


def scan(folder, suffix):
    "A gray scan with every kind of note that its format can hold, lying on its side where Pillow can say so"
    picture = Image.fromarray(np.tile(np.arange(40, 220, 2, dtype=np.uint8), (30, 1)))
    notes = notes_of_a_scan()
    photo = Photo(picture, exif=notes.tobytes())
    photo = replace(photo, notes=replace(photo.notes, xmp=XMP, iptc=IPTC, dpi=(600, 600)))
    return save_photo(photo, folder/f"scan.{suffix}")


@pytest.mark.parametrize("after", FORMATS)
@pytest.mark.parametrize("before", FORMATS)
def test_notes_survive(tmp_path, before, after):
    photo = read_photo(scan(tmp_path, before))
    back = save_photo(coloured(photo, photo.image.convert("RGB"), "l1 0.3.0"), tmp_path/f"result.{after}")
    with Image.open(back) as im:
        im.load()
        exif = im.getexif()
        assert exif[0x010E].encode("latin-1").decode() == DESCRIPTION
        assert (exif[0x013B], exif[0x8298], exif[0x0132]) == ("Ida", "CC0", "1931:05:01 10:00:00")
        camera, place = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
        assert camera[0x9003] == "1931:05:01 10:00:00" and place[2] == (47, 22, 1)
        assert (camera[0xA001], camera[0xA002], camera[0xA003]) == (1, *im.size)
        assert 0x0112 not in exif and exif[0x0131] == NOTE
        assert b"box 7" in im.info["xmp"] and b"Orientation" not in im.info["xmp"]
    again = read_photo(back)
    assert again.notes.dpi == (600, 600)
    keeps_iptc = {"jpg", "png", "tif"}
    assert again.notes.iptc == (IPTC if {before, after} <= keeps_iptc else b"")
    assert again.notes.iptc or b"Ida!</rdf:li></rdf:Alt></dc:description>" in again.notes.xmp
    assert not_kept(photo, back) == ()


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_result_says_so_to_programs(tmp_path, suffix):
    photo = read_photo(scan(tmp_path, suffix))
    once = save_photo(coloured(photo, photo.image.convert("RGB"), "l1 0.3.0"), tmp_path/f"b.{suffix}")
    photo = read_photo(once)
    twice = save_photo(coloured(photo, photo.image, "gan"), tmp_path/f"c.{suffix}")
    for path, weights, events in ((once, "l1 0.3.0", 2), (twice, "gan", 3)):
        with Image.open(path) as im: xmp = im.getxmp()["xmpmeta"]["RDF"]["Description"]
        marks = [d for d in (xmp if isinstance(xmp, list) else [xmp]) if "DigitalSourceType" in d]
        assert len(marks) == 1
        assert marks[0]["DigitalSourceType"] == COMPOSITE and COMPOSITE.endswith("/compositeWithTrainedAlgorithmicMedia")
        assert marks[0]["CreatorTool"].endswith(f"weights {weights}")
        with Image.open(path) as im: text = im.info["xmp"].decode()
        assert text.count("<stEvt:action>") == events and "ScanTool 3" in text and NOTE in text


def test_texts_of_a_png(tmp_path):
    from PIL.PngImagePlugin import PngInfo
    texts = PngInfo()
    for key, value in (("Title", "Großmutter"), ("Author", "Ida"), ("Box", "祖母")): texts.add_text(key, value)
    Image.new("L", (8, 8), 90).save(tmp_path/"a.png", pnginfo=texts)
    photo = read_photo(tmp_path/"a.png")
    assert read_photo(save_photo(photo, tmp_path/"b.png")).notes.text == (("Title", "Großmutter"), ("Author", "Ida"), ("Box", "祖母"))
    with Image.open(save_photo(photo, tmp_path/"b.webp")) as im:
        assert im.getexif()[0x010E].encode("latin-1").decode() == "Großmutter" and im.getexif()[0x013B] == "Ida"
    assert not_kept(photo, "b.webp") == ("WEBP has no place for the text Box",)
    assert not_kept(photo, "b.png") == ()


def test_texts_that_are_left_are_said(tmp_path):
    photo = Photo(Image.new("RGB", (8, 8)))
    photo = replace(photo, notes=replace(photo.notes, iptc=IPTC, text=(("Title", "Ida"), ("Description", "in the garden"), ("Author", "Ida"))))
    assert not_kept(photo, "a.png") == ()
    assert not_kept(photo, "a.jpg") == ("JPEG has no place for the text Description",)
    assert not_kept(photo, "a.webp") == ("WEBP has no place for the text Description",)
    unknown = replace(photo, notes=replace(photo.notes, iptc=IPTC + b"\x1c\x02\x41\x00\x04Scan"))
    assert not_kept(unknown, "a.webp") == ("WEBP has no place for IPTC's 2:65 and the text Description",)
    once = read_photo(save_photo(photo, tmp_path/"a.png"))
    assert not_kept(replace(once, notes=replace(once.notes, text=(("Title", "Ida"), ("Description", "Ida")))), "a.tif") == ()
    long = replace(photo, notes=type(photo.notes)(text=(("Comment", "x"*70_000),)))
    assert not_kept(long, "a.jpg") == ("a JPEG has no room for its comment",)
    with Image.open(save_photo(long, tmp_path/"a.jpg")) as im: assert "comment" not in im.info


def test_texts_with_one_key_are_said(tmp_path):
    texts = [(b"tEXt", b"Title\0Ida"), (b"zTXt", b"Title\0\0" + zlib.compress(b"in the garden")), (b"tEXt", b"Box\0007")]
    photo = read(tmp_path, png_with(RAMP, *texts), "a.png")
    assert photo.words == ("of its texts Title only the last is kept",)
    assert photo.notes.text == (("Title", "in the garden"), ("Box", "7"))
    assert read(tmp_path, png_with(RAMP, *texts[1:]), "b.png").words == ()


@pytest.mark.parametrize("after", ["jpg", "png"])
def test_two_comments_of_a_jpeg(tmp_path, after):
    Image.new("L", (8, 8), 90).save(tmp_path/"a.jpg", comment="München")
    data = (tmp_path/"a.jpg").read_bytes()
    photo = read(tmp_path, data[:2] + b"\xff\xfe\0\6box7" + data[2:], "b.jpg")
    assert read_photo(save_photo(photo, tmp_path/f"c.{after}")).notes.text == (("Comment", "box7\nMünchen"),)


@pytest.mark.parametrize("after", FORMATS)
def test_the_page_of_a_scan(tmp_path, after):
    "The third of twelve pages: it stands beside the names of document and page"
    notes = Image.Exif()
    notes[0x010D], notes[0x011D], notes[0x0129] = "album", "garden", (2, 12)
    Image.fromarray(RAMP).save(tmp_path/"a.tif", exif=notes)
    photo = read_photo(tmp_path/"a.tif")
    assert photo.words == ()
    with Image.open(save_photo(coloured(photo, photo.image), tmp_path/f"b.{after}")) as im:
        assert [im.getexif()[tag] for tag in (0x010D, 0x011D, 0x0129)] == ["album", "garden", (2, 12)]


def test_the_comment_of_a_jpeg(tmp_path):
    Image.new("L", (8, 8), 90).save(tmp_path/"a.jpg", comment="Großmutter")
    with Image.open(save_photo(read_photo(tmp_path/"a.jpg"), tmp_path/"b.jpg")) as im: assert im.info["comment"].decode() == "Großmutter"
    with Image.open(save_photo(read_photo(tmp_path/"a.jpg"), tmp_path/"b.png")) as im: assert im.text["Comment"] == "Großmutter"


def test_a_comment_in_latin_1(tmp_path):
    Image.new("L", (8, 8), 90).save(tmp_path/"a.jpg", comment="Großmutter, München".encode("latin-1"))
    assert read_photo(tmp_path/"a.jpg").notes.text == (("Comment", "Großmutter, München"),)


def raw_profile(kind, data):
    "A text of a PNG as ImageMagick writes it"
    info = PngInfo()
    info.add_text(f"Raw profile type {kind}", f"\n{kind}\n{len(data):8}\n{data.hex()}\n")
    return info


def test_notes_in_raw_profiles_of_a_png(tmp_path):
    packet = marked_xmp(b"", "a scanner", "")
    Image.new("L", (8, 8), 90).save(tmp_path/"xmp.png", pnginfo=raw_profile("xmp", packet))
    photo = read_photo(tmp_path/"xmp.png")
    assert b"a scanner" in photo.notes.xmp and photo.words == ()
    Image.new("L", (8, 8), 90).save(tmp_path/"8bim.png", pnginfo=raw_profile("8bim", b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC))
    assert read_photo(tmp_path/"8bim.png").notes.iptc == IPTC


def test_xmp_of_a_gif_and_a_jp2(tmp_path):
    "Pillow passes on neither"
    packet = XMP.replace(b'tiff:Orientation="6"', b"")
    Image.fromarray(RAMP).save(tmp_path/"a.gif")
    Image.fromarray(RAMP).save(tmp_path/"a.jp2", irreversible=False)
    gif, jp2 = (tmp_path/"a.gif").read_bytes(), (tmp_path/"a.jp2").read_bytes()
    start = 13 + 3*256
    gif = gif[:start] + b"!\xff\x0bXMP DataXMP" + packet + b"\1" + bytes(range(255, -1, -1)) + b"\0" + gif[start:]
    at = jp2.index(b"jp2c") - 4
    box = struct.pack(">I4s", 24 + len(packet), b"uuid") + bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + packet
    for name, data in (("b.gif", gif), ("b.jp2", jp2[:at] + box + jp2[at:])):
        photo = read(tmp_path, data, name)
        assert gap(photo, RAMP) == 0 and photo.words == ()
        with Image.open(save_photo(photo, tmp_path/"c.jpg")) as im: assert b"box 7" in im.info["xmp"]


def test_a_second_part_of_xmp_is_said_to_be_left_out(tmp_path):
    note = b'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="AAAA"'
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" ' + note + b'/></rdf:RDF></x:xmpmeta>'
    Image.new("L", (8, 8), 90).save(tmp_path/"a.jpg", xmp=packet)
    photo = read_photo(tmp_path/"a.jpg")
    assert b"HasExtendedXMP" not in photo.notes.xmp and "only the first part of its XMP is kept" in photo.words


@pytest.mark.parametrize("after", FORMATS)
def test_xmp_does_not_promise_parts_that_are_gone(tmp_path, after):
    "The film and the gain map of a phone do not travel, so nothing may point at them"
    note = b'xmlns:G="http://ns.google.com/photos/1.0/camera/" xmlns:h="http://ns.adobe.com/hdr-gain-map/1.0/" G:MicroVideo="1" G:MicroVideoOffset="99" h:Version="1.0"'
    Image.new("RGB", (32, 32)).save(tmp_path/"a.jpg", xmp=XMP.replace(b'tiff:Orientation="6"', note))
    photo = read_photo(tmp_path/"a.jpg")
    with Image.open(save_photo(coloured(photo, photo.image), tmp_path/f"b.{after}")) as im: packet = im.info["xmp"]
    assert b"box 7" in packet and b"MicroVideo" not in packet and b"Version" not in packet


def test_xmp_of_many_threads():
    "ElementTree has one table of prefixes for all of them"
    def once(i):
        odd = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:q{i}="urn:{i % 7}"/></x:xmpmeta>'
        return marked_xmp(tidy_xmp(odd.encode()), "a scanner", "")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool: packets = list(pool.map(once, range(4000)))
    finally: sys.setswitchinterval(interval)
    assert all(b"<rdf:RDF" in packet for packet in packets)


def test_maker_notes_go_first_and_only_in_a_jpeg(tmp_path):
    notes = notes_of_a_scan()
    notes.get_ifd(ExifTags.IFD.Exif)[0x927C] = b"maker " + bytes(70_000)
    photo = Photo(Image.new("RGB", (8, 8)), exif=notes.tobytes())
    for suffix in FORMATS:
        with Image.open(save_photo(photo, tmp_path/f"a.{suffix}")) as im: camera = im.getexif().get_ifd(ExifTags.IFD.Exif)
        assert camera[0x9003] == "1931:05:01 10:00:00"
        assert (0x927C in camera) == (suffix != "jpg")
    assert not_kept(photo, "a.jpg") == ("a JPEG has no room for the camera maker's own note",)
    assert not_kept(photo, "a.png") == ()
    notes.get_ifd(ExifTags.IFD.Exif)[0x9286] = b"comment " + bytes(70_000)
    with Image.open(save_photo(replace(photo, exif=notes.tobytes()), tmp_path/"a.jpg")) as im: assert im.getexif()[0x013B] == "Ida"


def test_xmp_that_a_jpeg_has_no_room_for(tmp_path):
    photo = Photo(Image.new("RGB", (8, 8)))
    photo = replace(photo, notes=replace(photo.notes, xmp=XMP.replace(b"box 7", b"x"*70_000)))
    done = coloured(photo, photo.image)
    with Image.open(save_photo(done, tmp_path/"a.jpg")) as im: assert COMPOSITE.encode() in im.info["xmp"]
    assert not_kept(done, "a.jpg") == ("a JPEG has no room for its XMP",)


@pytest.mark.parametrize("layout", [{0x0100: 60, 0x0101: 40, 0x0112: 6}, {0x0102: (16, 16, 16), 0x0106: 0}, {0x011C: 2, 0x0153: 3},
                                    {0x0103: 7, 0x0111: 9, 0x0117: 5}, {0x0140: (1, 2, 3)}, {0x0142: 16, 0x0143: 16, 0x0144: 99}])
def test_layout_does_not_travel(tmp_path, layout):
    colours = np.random.default_rng(2).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    notes = Image.Exif()
    for tag, value in (layout | {0x013B: "Ida"}).items(): notes[tag] = value
    photo = Photo(Image.fromarray(colours), exif=notes.tobytes())
    for suffix in ("tif", "png"):
        back = read_photo(save_photo(photo, tmp_path/f"a.{suffix}"))
        assert back.image.size == (60, 40) and gap(back, colours) == 0
        with Image.open(tmp_path/f"a.{suffix}") as im: assert im.getexif()[0x013B] == "Ida"
    Image.fromarray(colours).save(tmp_path/"b.png", exif=notes)
    upright = colours if layout.get(0x0112) is None else np.rot90(colours, -1)
    assert gap(read_photo(save_photo(read_photo(tmp_path/"b.png"), tmp_path/"c.tif")), upright) == 0


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("suffix", ["tif", "jpg", "png", "webp", "avif", "bmp"])
def test_a_tiff_can_be_saved_again(tmp_path, compression, suffix):
    odd = Image.Exif()
    odd[0x013B], odd[65_000], odd[0x014A] = "Ida", "private", 8
    colours = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path/"a.tif", compression=compression, exif=odd)
    photo = read_photo(tmp_path/"a.tif")
    assert type(photo.image) is Image.Image and photo.image.info == {}
    assert photo.words == ("its private notes 65000 are left out",)
    back = read_photo(save_photo(photo, tmp_path/f"b.{suffix}"))
    assert back.image.size == (30, 20)
    if suffix in ("tif", "png", "bmp"): assert gap(back, colours) == 0


@pytest.mark.parametrize("mode, want", [(0o600, 0o600), (0o640, 0o640), (0o644, 0o644), (0o400, 0o600)])
def test_nobody_else_may_read_the_result(tmp_path, mode, want):
    Image.new("L", (8, 8)).save(tmp_path/"a.png")
    (tmp_path/"a.png").chmod(mode)
    before = os.umask(0o022)
    try: done = save_photo(read_photo(tmp_path/"a.png"), tmp_path/"b.png")
    finally: os.umask(before)
    assert done.stat().st_mode & 0o777 == want


# ---- 16 bits in, 16 bits out; packed in, packed out ----

DEEP = np.linspace(300, 65_000, 6000).round().astype(np.uint16).reshape(60, 100)


def deep_file(folder, suffix, bands, icc=None, **options):
    "A scan of 16 bits"
    numbers = np.stack([DEEP]*3, 2) if bands == 3 else DEEP
    if suffix == "tif": tifffile.imwrite(folder/"deep.tif", numbers, photometric="rgb" if bands == 3 else "minisblack", iccprofile=icc, **options)
    else: (folder/"deep.png").write_bytes(png_with(numbers, *([(b"iCCP", b"p\0\0" + zlib.compress(icc))] if icc else [])))
    return folder/f"deep.{suffix}"


def one_colour(image, deep=None):
    "A colorizer that needs no network"
    ab = np.broadcast_to(np.float32([[[6]], [[12]]]), (2, 8, 8))
    return deep_photo(np.asarray(image).astype(np.uint16)*257, ab) if deep is None else deep_photo(deep, ab)


@pytest.mark.parametrize("after", ["png", "tif"])
@pytest.mark.parametrize("exponent", [None, 1, 1.8])
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("before", ["png", "tif"])
def test_thousands_of_steps_survive(tmp_path, before, bands, exponent, after):
    icc = exponent and _described_icc("RGB" if bands == 3 else "L", curve(exponent), SRGB)
    photo = read_photo(deep_file(tmp_path, before, bands, icc), deep=True)
    want = DEEP.astype(float) if exponent is None else srgb_bytes((DEEP/65_535)**exponent)*257
    gray = photo.deep if bands == 1 else photo.deep[..., 1]
    assert np.abs(gray - want).max() <= 2 and photo.words == ()
    assert np.abs(np.asarray(photo.image.convert("L"), float) - want/257).max() <= 1.01
    done = read_photo(save_photo(painted(one_colour, photo, "l1"), tmp_path/f"done.{after}"), deep=True)
    assert done.deep.shape == (60, 100, 3)
    L, before_L = deep_lightness(done.deep), deep_lightness(np.asarray(want + .5).astype(np.uint16))
    roomy = (before_L > 12) & (before_L < 90)  # black and white have no room for colour
    assert np.abs(L - before_L)[roomy].max() < .01
    assert len(np.unique(L[roomy].round(4))) > .9*len(np.unique(want[roomy].round())) > 2500
    assert has_note(tmp_path/f"done.{after}") and COMPOSITE.encode() in done.notes.xmp


def test_other_formats_stay_at_eight_bits(tmp_path):
    photo = read_photo(deep_file(tmp_path, "png", 1), deep=True)
    done = painted(one_colour, photo)
    for suffix in ("jpg", "webp", "avif", "bmp"):
        back = read_photo(save_photo(done, tmp_path/f"a.{suffix}"), deep=True)
        assert back.deep is None and back.words == () and gap(back, np.asarray(done.image)) < 30
    assert read_photo(deep_file(tmp_path, "png", 3)).deep is None


@pytest.mark.parametrize("turn", range(2, 9))
def test_sixteen_bits_turn_with_the_photo(tmp_path, turn):
    notes = Image.Exif()
    notes[0x0112] = turn
    Image.fromarray(DEEP).save(tmp_path/"a.png", exif=notes)
    photo = read_photo(tmp_path/"a.png", deep=True)
    assert gap(photo, (photo.deep.astype(int) + 128)//257) == 0
    assert gap(read_photo(save_photo(photo, tmp_path/"b.tif")), np.asarray(photo.image)) == 0


def test_transparency_of_sixteen_bits(tmp_path):
    alpha = Image.fromarray(np.tile(np.arange(100, dtype=np.uint8), (60, 1)))
    for suffix in ("png", "tif"):
        photo = replace(Photo(Image.fromarray((DEEP//257).astype(np.uint8)), alpha), deep=DEEP)
        back = read_photo(save_photo(photo, tmp_path/f"a.{suffix}"), deep=True)
        assert back.alpha.tobytes() == alpha.tobytes() and np.array_equal(back.deep, np.stack([DEEP]*3, 2)), suffix


def test_a_scan_in_srgb_is_decoded_once(tmp_path, monkeypatch):
    "Its lower bytes are read only where somebody wants them"
    usual = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = deep_file(tmp_path, "tif", 3, usual)
    whole = read_photo(path, deep=True)
    monkeypatch.setattr(photo_depth, "_low_bytes", lambda *args: pytest.fail("decoded a second time"))
    photo = read_photo(path)
    assert photo.deep is None and gap(photo, np.asarray(whole.image)) <= 1
    with pytest.raises(pytest.fail.Exception): read_photo(path, deep=True)


def test_deep_scans_that_become_shallow_say_so(tmp_path):
    tifffile.imwrite(tmp_path/"planes.tif", np.stack([DEEP]*3), photometric="rgb", planarconfig="separate")
    photo = read_photo(tmp_path/"planes.tif", deep=True)
    assert photo.deep is None and photo.words == ("its 16 bits become 8",)
    assert read_photo(tmp_path/"planes.tif").words == ()


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("packing", list(PACKINGS))
def test_a_packed_tiff_stays_packed(tmp_path, packing, deep):
    "With all its notes, and about as large as it was"
    y, x = np.mgrid[:300, :400]
    page = ((x//40 + y//30) % 2*40_000 + 10_000).astype(np.uint16)
    Image.fromarray(page if deep else (page//257).astype(np.uint8)).save(tmp_path/"a.tif", compression=packing)
    photo = read_photo(tmp_path/"a.tif", deep=True)
    photo = replace(photo, exif=notes_of_a_scan().tobytes(), notes=replace(photo.notes, iptc=IPTC, xmp=tidy_xmp(XMP), dpi=(600, 600)))
    done = save_photo(coloured(photo, photo.image.convert("RGB")) if not deep else painted(one_colour, photo), tmp_path/"b.tif")
    back = read_photo(done, deep=True)
    with Image.open(done) as im:
        assert im.info["compression"] == packing and im.tag_v2[258] == ((16, 16, 16) if deep else (8, 8, 8))
        assert im.tag_v2.get(317) == (2 if packing in ("tiff_lzw", "tiff_adobe_deflate") else None)
        camera, place = im.getexif().get_ifd(ExifTags.IFD.Exif), im.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        assert camera[0x9003] == "1931:05:01 10:00:00" and place[2] == (47, 22, 1) and im.info["dpi"] == (600, 600)
    assert has_note(done) and back.notes.iptc == IPTC and b"box 7" in back.notes.xmp
    assert back.packing == packing and (back.deep is not None) == deep
    if not deep: assert gap(back, np.asarray(photo.image.convert("RGB"))) == 0
    if packing != "raw" and (packing, deep) != ("packbits", True):  # PackBits packs equal bytes, and deep numbers have none
        assert done.stat().st_size < 300*400*3*(2 if deep else 1)/4
    assert tifffile.TiffFile(done).pages[0].shape == (300, 400, 3)  # another program finds it whole


@pytest.mark.parametrize("source, packing", [("a.jpg", "tiff_adobe_deflate"), ("group4", "tiff_adobe_deflate"), ("jpeg", "tiff_adobe_deflate"),
                                             ("raw", "raw"), ("tiff_lzw", "tiff_lzw")])
def test_what_a_tiff_is_made_of(tmp_path, source, packing):
    picture = Image.fromarray(RAMP).convert("1" if source == "group4" else "L")
    if source != "a.jpg": picture.save(tmp_path/"a.tif", compression=source)
    else: picture.save(tmp_path/source)
    photo = read_photo(next(tmp_path.iterdir()))
    with Image.open(save_photo(photo, tmp_path/"b.tif")) as im: assert im.info["compression"] == packing


# ---- what is refused, and mended ----

def refusal(tmp_path, data, name="photo.tif"):
    with pytest.raises(PhotoError) as error: read(tmp_path, data, name)
    said = str(error.value)
    assert said.startswith(str(tmp_path/name)) and not any(word in said for word in ("decoder", "stream", "site-packages", "NoneType"))
    return said[len(str(tmp_path/name)) + 2:]


def test_postscript_is_not_opened(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin
    monkeypatch.setattr(EpsImagePlugin.EpsImageFile, "_open", lambda self: pytest.fail("the EPS reader was asked"))
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    assert refusal(tmp_path, eps, "a.jpg") == "is PostScript, which is not read; save it as JPEG, PNG or TIFF first"


@pytest.mark.parametrize("start, name", [(b"\0\0\0\x18ftypheic", "HEIC"), (b"\xff\x0a", "JPEG XL"), (b"\0\0\0\x0cJXL \r\n", "JPEG XL"),
                                         (b"8BPS\0\1", "a photo editor's file"), (b"%PDF-1.4", "PDF")])
def test_foreign_formats_are_named(tmp_path, start, name):
    said = refusal(tmp_path, start + bytes(40), "a.jpg")
    assert said.startswith(f"is {name}, which is not read" if name != "HEIC" or not reads_heic() else "begins like HEIC, but is damaged")


@pytest.mark.parametrize("suffix", FORMATS + ["gif", "bmp", "jp2"])
@pytest.mark.parametrize("part", [.03, .5])
def test_half_a_file(tmp_path, suffix, part, capfd):
    Image.effect_noise((90, 60), 80).convert("RGB").save(tmp_path/f"a.{suffix}")
    data = (tmp_path/f"a.{suffix}").read_bytes()
    said = refusal(tmp_path, data[:max(20, int(len(data)*part))], f"b.{suffix}")
    assert any(word in said for word in ("truncated", "damaged")) and len(said) < 100, said
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "group4", "jpeg"])
def test_libtiff_is_silent(tmp_path, compression, capfd):
    Image.effect_noise((200, 100), 90).convert("1" if compression == "group4" else "L").save(tmp_path/"a.tif", compression=compression)
    data = bytearray((tmp_path/"a.tif").read_bytes())
    for i in range(len(data)//3, 2*len(data)//3): data[i] = (7*i) % 256
    try: read(tmp_path, bytes(data))
    except PhotoError as error: assert "is damaged" in str(error) or "is truncated" in str(error)
    assert capfd.readouterr() == ("", "")


def test_bad_fax_codes_are_said(tmp_path, capfd):
    Image.effect_noise((200, 100), 90).convert("1").save(tmp_path/"a.tif", compression="group4")
    assert read_photo(tmp_path/"a.tif").words == ()
    data = bytearray((tmp_path/"a.tif").read_bytes())
    with Image.open(tmp_path/"a.tif") as im: start, length = im.tag_v2[273][0], im.tag_v2[279][0]
    data[start + length//2:start + length//2 + 30] = b"U"*30
    (word,) = read(tmp_path, bytes(data)).words
    assert word.endswith("of 100 rows are damaged") and 0 < int(word.split()[0]) <= 50
    assert capfd.readouterr() == ("", "")


def test_broken_notes_are_left_out(tmp_path):
    "The photo is good, whatever is wrong with its trimmings"
    from PIL.TiffImagePlugin import ImageFileDirectory_v2
    def with_tag(tag, kind, value):
        tags = ImageFileDirectory_v2()
        tags[tag], tags.tagtype[tag] = value, kind
        Image.fromarray(RAMP).save(tmp_path/"a.tif", tiffinfo=tags)
        return read_photo(tmp_path/"a.tif")
    for kind, value in ((2, "not a profile"), (3, (1, 2, 3)), (7, b"not a profile")):
        photo = with_tag(34675, kind, value)
        assert gap(photo, RAMP) == 0 and "profile" in photo.words[0], (kind, photo.words)
    assert with_tag(700, 2, XMP.decode()).notes.xmp
    for kind, value in ((2, "<broken"), (3, (1, 2, 3))):
        photo = with_tag(700, kind, value)
        assert gap(photo, RAMP) == 0 and photo.notes.xmp == b"" and "XMP" in photo.words[0]
    for suffix in ("jpg", "png", "webp"):
        Image.fromarray(RAMP).save(tmp_path/f"a.{suffix}", exif=b"Exif\0\0broken notes", icc_profile=b"not a profile")
        photo = read_photo(tmp_path/f"a.{suffix}")
        assert photo.image.size == (256, 6) and len(photo.words) == 2, photo.words


def test_notes_that_cannot_be_written_are_named(tmp_path):
    "A description that is a floating-point number, and an artist beside it"
    tags = struct.pack("<HHHIfHHI4sI", 2, 0x010E, 11, 1, 1.5, 0x013B, 2, 4, b"Ida\0", 0)
    Image.fromarray(RAMP).save(tmp_path/"a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0" + tags)
    photo = read_photo(tmp_path/"a.jpg")
    assert photo.words == ("its EXIF notes 270 cannot be written and are left out",)
    with Image.open(save_photo(photo, tmp_path/"b.jpg")) as im: assert dict(im.getexif()) == {0x013B: "Ida"}


def test_a_profile_that_is_broken_on_its_way_is_said(tmp_path):
    "A PNG that cannot unpack it, a JPEG that has one of its two parts; what is there has to be enough"
    icc = _described_icc("RGB", curve(1), SRGB)
    packed = bytearray(zlib.compress(icc))
    packed[2:6] = bytes(4)
    word = ("its colour profile cannot be read and is left out",)
    colours = np.dstack([RAMP]*3)
    assert read(tmp_path, png_with(colours, (b"iCCP", b"p\0\0" + bytes(packed))), "a.png").words == word
    buffer = BytesIO()
    Image.fromarray(colours).save(buffer, "JPEG", icc_profile=icc + bytes(70_000), quality=95)
    data = buffer.getvalue()
    second = data.index(b"ICC_PROFILE\0\2\2") - 4
    cut = data[:second] + data[second + 2 + struct.unpack_from(">H", data, second + 2)[0]:]
    whole, part = read(tmp_path, data, "a.jpg"), read(tmp_path, cut, "b.jpg")
    assert whole.words == () and gap(whole, srgb_bytes(colours/255)) < 12
    assert part.words == word and gap(part, colours) < 4


@pytest.mark.parametrize("kind", ["iCCP", "zTXt", "iTXt"])
def test_large_notes_of_a_png(tmp_path, kind):
    "Pillow gives a photo up for a packed note of more than a megabyte; more than 64 have a reason of their own"
    icc = make_icc(b"GRAY", {b"kTRC": curve(1), b"long": np.random.default_rng(4).bytes(2_000_000)})
    start = {"iCCP": b"p\0\0", "zTXt": b"Title\0\0", "iTXt": b"XML:com.adobe.xmp\0\1\0\0\0"}[kind]
    note = {"iCCP": icc, "zTXt": b"Ida"*700_000, "iTXt": XMP.replace(b'"6"', b'"1"').replace(b"box 7", b"box 7 "*300_000)}[kind]
    photo = read(tmp_path, png_with(RAMP, (kind.encode(), start + zlib.compress(note))), "a.png")
    assert photo.words == () and gap(photo, srgb_bytes(RAMP/255) if kind == "iCCP" else RAMP) <= 1
    assert photo.notes.text == ((("Title", note.decode()),) if kind == "zTXt" else ())
    assert len(photo.notes.xmp) > 1_700_000 or kind != "iTXt"
    with pytest.raises(PhotoError, match="notes that unpack to more than 64 MB"):
        read(tmp_path, png_with(RAMP, (kind.encode(), start + zlib.compress(bytes(70_000_000), 1))), "b.png")


def note_types(exif, ifd):
    "tag -> (type, bytes) of an inner list of notes, read without Pillow"
    order = "<" if exif[:2] == b"II" else ">"
    def entries(at):
        (count,) = struct.unpack_from(order + "H", exif, at)
        return {tag: (kind, number, place) for tag, kind, number, place in struct.iter_unpack(order + "HHI4s", exif[at + 2:at + 2 + 12*count])}
    where = lambda place: struct.unpack(order + "I", place)[0]
    found = entries(where(entries(where(exif[4:8]))[ifd][2]))
    return {tag: (kind, place[:number] if number <= 4 else exif[where(place):where(place) + number])
            for tag, (kind, number, place) in found.items() if kind in (1, 2, 7)}


@pytest.mark.parametrize("after", FORMATS)
@pytest.mark.parametrize("order", "<>")
def test_notes_of_a_camera_are_what_they_were(tmp_path, order, after):
    "Umlauts, the order of bytes, the type of what is neither text nor number, a comment in UTF-16"
    comment = b"UNICODE\0" + "Großmutter".encode("utf-16-le" if order == "<" else "utf-16-be")
    camera = {0xA430: (2, "Jörg Müller".encode() + b"\0"), 0xA434: (2, "Kamera für Glas".encode() + b"\0"), 0x9286: (7, comment),
              0x927C: (7, b"maker's own"), 0xA300: (7, b"\3"), 0xA301: (7, b"\1")}
    place = {0x12: (2, "Nürnberg".encode() + b"\0"), 0x1B: (7, b"ASCII\0\0\0GPS")}
    def packed(notes, at):
        head, body = struct.pack(order + "H", len(notes)), b""
        for tag, (kind, data) in sorted(notes.items()):
            head += struct.pack(order + "HHI", tag, kind, len(data))
            head += data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(order + "I", at + 6 + 12*len(notes) + len(body))
            body += data if len(data) > 4 else b""
        return head + bytes(4) + body
    first = packed(camera, 38)
    outer = struct.pack(order + "HHHIIHHIII", 2, 0x8769, 4, 1, 38, 0x8825, 4, 1, 38 + len(first), 0)
    exif = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8) + outer + first + packed(place, 38 + len(first))
    Image.fromarray(RAMP).save(tmp_path/"a.jpg", exif=b"Exif\0\0" + exif)
    photo = read_photo(tmp_path/"a.jpg")
    assert photo.words == () and not_kept(photo, f"b.{after}") == ()
    save_photo(coloured(photo, photo.image.convert("RGB")), tmp_path/f"b.{after}")
    with Image.open(tmp_path/f"b.{after}") as im: written = im.info["exif"] if after != "tif" else (tmp_path/"b.tif").read_bytes()
    written = written.removeprefix(b"Exif\0\0")
    if after == "tif": camera[0x9286] = (7, b"UNICODE\0" + "Großmutter".encode("utf-16-le"))
    assert written[:2] == (b"II" if order == "<" or after == "tif" else b"MM")
    assert note_types(written, 0x8769) == camera and note_types(written, 0x8825) == place


def test_broken_exif_in_avif(tmp_path):
    notes = notes_of_a_scan()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(tmp_path/"a.avif", exif=notes, quality=95)
    data = (tmp_path/"a.avif").read_bytes()
    tiff_head = notes.tobytes()[6:14]
    assert data.count(tiff_head) == 1
    photo = read(tmp_path, data.replace(tiff_head, b"????????"), "b.avif")
    assert np.abs(np.asarray(photo.image, int) - (200, 30, 30)).max() < 6 and "EXIF" in photo.words[0]


def jpeg(progressive):
    buffer = BytesIO()
    Image.effect_noise((96, 64), 80).save(buffer, "JPEG", progressive=progressive)
    return buffer.getvalue()


def test_a_progressive_jpeg_without_its_end_mark(tmp_path):
    data = jpeg(True)
    assert data.endswith(b"\xff\xd9")
    whole, saved = read(tmp_path, data, "a.jpg"), read(tmp_path, data[:-2], "b.jpg")
    assert gap(saved, np.asarray(whole.image)) == 0
    assert whole.words == () and "end mark is missing" in saved.words[0]
    assert "truncated" in refusal(tmp_path, data[:data.find(b"\xff\xda") + 40], "c.jpg")


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_scans_that_a_progressive_jpeg_does_not_have(tmp_path, mode):
    "The file ends formally as it should, after its first telling or before its last"
    buffer = BytesIO()
    Image.effect_noise((96, 64), 80).convert(mode).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    assert read(tmp_path, data, "a.jpg").words == ()
    for scan in (data.index(b"\xff\xda", data.index(b"\xff\xda") + 1), data.rindex(b"\xff\xda")):
        shorter = data[:data.rindex(b"\xff\xc4", 0, scan)] + b"\xff\xd9"
        assert read(tmp_path, shorter, "b.jpg").words == ("some of its scans are missing, and detail with them",)


def test_rows_that_a_png_does_not_have(tmp_path):
    whole = png_with(RAMP.repeat(4, 0))
    def taller(height):
        header = whole[16:20] + struct.pack(">I", height) + whole[24:29]
        return whole[:16] + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + whole[33:]
    assert read(tmp_path, taller(30), "a.png").words == ("6 of 30 rows are missing",)
    assert refusal(tmp_path, taller(300), "b.png") == "is truncated: 276 of 300 rows are missing"
    night = png_with(np.zeros((9, 8), np.uint8))
    assert read(tmp_path, night, "c.png").words == ()


def test_rows_that_a_jpeg_does_not_have(tmp_path):
    data = jpeg(False)
    frame = data.index(b"\xff\xc0")
    def taller(height): return data[:frame + 5] + struct.pack(">H", height) + data[frame + 7:]
    assert read(tmp_path, taller(96), "a.jpg").words == ("32 of 96 rows are missing",)
    assert refusal(tmp_path, taller(640), "b.jpg") == "is truncated: 576 of 640 rows are missing"
    Image.new("L", (32, 32), 128).save(tmp_path/"fog.jpg")
    assert read_photo(tmp_path/"fog.jpg").words == ()


def test_rows_that_a_jpeg_in_inks_does_not_have(tmp_path):
    for mode in ("RGB", "CMYK"):
        bands = [Image.effect_noise((96, 144), 80) for _ in mode]
        Image.merge(mode, bands).save(tmp_path/"a.jpg")
        data = (tmp_path/"a.jpg").read_bytes()
        (word,) = read(tmp_path, data[:len(data)*2//3] + b"\xff\xd9", "b.jpg").words
        assert word in (f"{rows} of 144 rows are missing" for rows in range(32, 72, 8)) and read(tmp_path, data, "a.jpg").words == ()


@pytest.mark.parametrize("fog", [False, True])
def test_a_jpeg_that_ends_where_a_restart_mark_is_due(tmp_path, fog):
    picture = Image.effect_noise((96, 96), 80)
    if fog: picture.paste(128, (0, 80, 96, 96))
    picture.save(tmp_path/"a.jpg", restart_marker_rows=1)
    data = (tmp_path/"a.jpg").read_bytes()
    assert read(tmp_path, data, "a.jpg").words == ()
    frame = data.index(b"\xff\xc0") + 5
    (word,) = read(tmp_path, data[:frame] + struct.pack(">H", 144) + data[frame + 2:], "b.jpg").words
    assert word == f"{64 if fog else 48} of 144 rows are missing"


@pytest.mark.parametrize("progressive, cut", [(False, 0), (True, 0), (True, 2)])
def test_a_jpeg_may_end_in_fog(tmp_path, progressive, cut):
    "Its lower part is exactly what a decoder makes of rows that are missing; with and without its end mark"
    picture = Image.effect_noise((96, 128), 80)
    picture.paste(128, (0, 64, 96, 128))
    picture.save(tmp_path/"a.jpg", progressive=progressive)
    data = (tmp_path/"a.jpg").read_bytes()
    photo = read(tmp_path, data[:len(data) - cut], "a.jpg")
    assert photo.words == (("its end mark is missing, and fine detail may be, too",) if cut else ())
    assert set(np.unique(np.asarray(photo.image)[72:])) == {128}


def test_rows_that_a_progressive_jpeg_does_not_have(tmp_path):
    data = jpeg(True)
    frame = data.index(b"\xff\xc2")
    def taller(height): return data[:frame + 5] + struct.pack(">H", height) + data[frame + 7:]
    assert read(tmp_path, taller(96), "a.jpg").words == ("32 of 96 rows are missing",)
    assert refusal(tmp_path, taller(640), "b.jpg") == "is truncated: 576 of 640 rows are missing"
    assert refusal(tmp_path, taller(96)[:-2], "c.jpg") == "is truncated: 32 of 96 rows are missing"


def test_strips_that_a_tiff_does_not_have(tmp_path):
    data = tiff(RAMP.repeat(4, 0), t256=256, t257=30, t258=8, t278=24)
    assert read(tmp_path, data).words == ("6 of 30 rows are missing",)
    assert "truncated: 36 of 60 rows" in refusal(tmp_path, tiff(RAMP.repeat(4, 0), t256=256, t257=60, t258=8, t278=24))
    assert read(tmp_path, tiff(RAMP.repeat(4, 0), t256=256, t257=30, t258=8, t274=6, t278=24)).words == ("6 of 30 rows are missing",)
    assert "truncated: 36 of 60 rows" in refusal(tmp_path, tiff(RAMP.repeat(4, 0), t256=256, t257=60, t258=8, t274=6, t278=24))


def test_tiles_that_a_tiff_does_not_have(tmp_path):
    tifffile.imwrite(tmp_path/"a.tif", np.full((64, 64), 200, np.uint8), tile=(16, 16))
    data = bytearray((tmp_path/"a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path/"a.tif") as file: tags = file.pages[0].tags
    for tag in (324, 325): struct.pack_into("<I", data, tags[tag].offset + 4, 11)
    assert read_photo(tmp_path/"a.tif").words == ()
    photo = read(tmp_path, data, "b.tif")
    assert photo.words == ("32 of 64 rows are missing",) and set(np.unique(np.asarray(photo.image))) == {0, 200}
    for tag in (324, 325): struct.pack_into("<I", data, tags[tag].offset + 4, 5)
    assert refusal(tmp_path, data, "c.tif") == "is truncated: 48 of 64 rows are missing"


@pytest.mark.parametrize("tag", [273, 279])
def test_an_empty_strip_of_a_tiff(tmp_path, tag):
    "Its place is 0, where the header stands, or it has no bytes"
    tifffile.imwrite(tmp_path/"a.tif", np.full((64, 64), 200, np.uint8), rowsperstrip=16)
    data = bytearray((tmp_path/"a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path/"a.tif") as file: found = file.pages[0].tags[tag]
    size = {3: 2, 4: 4}[found.dtype]
    data[found.valueoffset + size:found.valueoffset + 2*size] = bytes(size)
    photo = read(tmp_path, data, "b.tif")
    assert photo.words == ("16 of 64 rows are missing",)
    assert np.array_equal(np.asarray(photo.image), np.where(np.arange(64)//16 == 1, 0 if tag == 273 else 200, 200)[:, None].repeat(64, 1))


# ---- a budget for each file ----

def test_memory_has_a_limit(tmp_path, monkeypatch):
    Image.new("RGB", (1000, 1000)).save(tmp_path/"a.png")
    read_photo(tmp_path/"a.png")
    monkeypatch.setenv("COLORIZE_MAX_GB", "0.002")
    with pytest.raises(PhotoError, match=r"1000x1000 and needs about 0.008 GB of memory, more than the limit of 0.002 GB \(COLORIZE_MAX_GB"):
        read_photo(tmp_path/"a.png")


@pytest.mark.parametrize("suffix", FORMATS + ["bmp"])
def test_pillows_own_limit_does_not_count(tmp_path, suffix, monkeypatch):
    Image.new("RGB", (100, 100)).save(tmp_path/f"a.{suffix}")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert read_photo(tmp_path/f"a.{suffix}").image.size == (100, 100)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_scans_have_a_limit(tmp_path):
    data = jpeg(True)
    last = data.rfind(b"\xff\xda")
    assert read(tmp_path, data[:-2] + data[last:], "a.jpg").image.size == (96, 64)
    assert "scans, more than 100" in refusal(tmp_path, data[:-2] + data[last:-2]*500 + data[-2:], "b.jpg")


def test_pages_have_a_limit(tmp_path):
    pages = [Image.new("L", (4, 4), i) for i in range(120)]
    pages[0].save(tmp_path/"a.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(PhotoError, match="holds more than 100 pages"): read_photo(tmp_path/"a.tif")
    pages[0].save(tmp_path/"b.tif", save_all=True, append_images=pages[1:5])
    with pytest.raises(PhotoError, match="holds 5 frames"): read_photo(tmp_path/"b.tif")


def test_a_preview_before_the_photo(tmp_path):
    with tifffile.TiffWriter(tmp_path/"a.tif") as out:
        out.write(RAMP[:2, :8], subfiletype=1)
        out.write(RAMP, subfiletype=0)
    assert gap(read_photo(tmp_path/"a.tif"), RAMP) == 0


def test_a_small_bmp_that_promises_much(tmp_path):
    def bmp(width, height, body):
        info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 0, 0)
        colours = b"".join(bytes((i, i, i, 0)) for i in range(256))
        return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(body), 0, 0, 54 + 1024) + info + colours + body
    good = bmp(200, 2, (b"\xc8\x50\0\0")*2 + b"\0\1")
    assert gap(read(tmp_path, good, "a.bmp"), 80) == 0
    assert refusal(tmp_path, bmp(20_000, 9000, b"\0\1"), "b.bmp") == "promises 20000x9000 pixels, more than its 1080 bytes can hold"


def test_reading_needs_no_other_reader(tmp_path):
    "A fresh interpreter reads a JPEG without numpy's help, and warns of nothing"
    Image.new("L", (8, 8), 90).save(tmp_path/"a.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff")
    code = "import sys\nfrom colorize_lib.photos import read_photo\nread_photo('a.jpg')\nassert 'torch' not in sys.modules"
    run = subprocess.run([sys.executable, "-W", "always", "-c", code], cwd=tmp_path, capture_output=True, text=True,
                         env={**os.environ, "PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)})
    assert (run.returncode, run.stderr) == (0, "")


def test_many_at_once(tmp_path, capfd):
    "Threads share Pillow's limit and the screen: both are as before when all have read"
    guard = Image.MAX_IMAGE_PIXELS
    names = []
    for i in range(24):
        names.append(tmp_path/f"{i}.{'tif' if i % 2 else 'jpg'}")
        Image.new("L", (60, 40), 10*i).save(names[-1], **dict(compression="tiff_lzw") if i % 2 else {})
    with ThreadPoolExecutor(6) as pool: photos = list(pool.map(read_photo, names*3))
    assert all(abs(photo.image.getpixel((9, 9)) - 10*(i % 24)) <= 1 for i, photo in enumerate(photos))
    os.write(2, b"still here")
    assert capfd.readouterr().err == "still here" and Image.MAX_IMAGE_PIXELS == guard


# ---- odd files of archives, each beside its right value ----

WIDTH, HEIGHT = 25, 14  # no multiple of anything
Y, X = np.mgrid[:HEIGHT, :WIDTH]
COLOURS = np.stack([X*10, Y*18, (X*7 + Y*5) % 256], 2).astype(np.uint8)
GRAY = ((X*7 + Y*9) % 256).astype(np.uint8)
STEPS = (X + Y) % 16  # numbers of 4 bits
ALPHA = (X*9 % 255).astype(np.uint8)
INKS = np.array([(16*i, 255 - 16*i, 7*i) for i in range(16)])  # a palette


def packed(numbers, bits, mirrored=False):
    "Rows of numbers of so many bits each, padded to whole bytes; mirrored: the first pixel in the lowest bit"
    rows = ["".join(format(v, f"0{bits}b") for v in row) for row in numbers]
    order = -1 if mirrored else 1
    return [bytes(int(row.ljust((len(row) + 7)//8*8, "0")[i:i + 8][::order], 2) for i in range(0, len(row), 8)) for row in rows]


def png_of(rows, bits, colour, *chunks, width=WIDTH):
    "A PNG of packed rows"
    def chunk(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBB3x", width, len(rows), bits, colour)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in ((b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")))


def saved(array, form, **options):
    buffer = BytesIO()
    Image.fromarray(array).save(buffer, form, **options)
    return buffer.getvalue()


def is_clear(photo, alpha):
    return photo.alpha is not None and np.array_equal(np.asarray(photo.alpha), alpha)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_clear_gray_of_few_bits(tmp_path, bits):
    numbers, white = STEPS % 2**bits, 2**bits - 1
    photo = read(tmp_path, png_of(packed(numbers, bits), bits, 0, (b"tRNS", struct.pack(">H", 1))), "a.png")
    assert gap(photo, numbers*255/white) == 0 and is_clear(photo, np.where(numbers == 1, 0, 255))
    assert gap(read(tmp_path, png_of(packed(numbers, bits), bits, 0, GAMMA(1)), "b.png"), srgb_bytes(numbers/white)) <= 1


def test_a_clear_colour_of_sixteen_bits(tmp_path):
    "Its neighbour has the same upper bytes and is not clear"
    numbers = COLOURS.astype(np.uint16)*257
    numbers[5, 5], numbers[6, 6] = numbers[3, 4], numbers[3, 4] + 1
    clear = np.where((numbers == numbers[3, 4]).all(-1), 0, 255)
    assert (clear == 0).sum() == 2
    photo = read(tmp_path, png_with(numbers, (b"tRNS", struct.pack(">3H", *map(int, numbers[3, 4])))), "a.png")
    assert is_clear(photo, clear) and gap(photo, numbers/257) <= 1
    nowhere = (b"tRNS", struct.pack(">3H", *(int(v) ^ 1 for v in numbers[3, 4])))  # its lower bytes differ
    assert read(tmp_path, png_with(numbers, nowhere), "c.png").alpha is None
    eight = read(tmp_path, png_with(COLOURS, (b"tRNS", struct.pack(">3H", *map(int, COLOURS[3, 4])))), "b.png")
    assert is_clear(eight, np.where((COLOURS == COLOURS[3, 4]).all(-1), 0, 255))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_with_transparency(tmp_path, bits):
    numbers = STEPS % 2**bits
    clear = bytes(range(3, 200, 13))[:2**bits]
    data = png_of(packed(numbers, bits), bits, 3, (b"PLTE", bytes(INKS[:2**bits].astype(np.uint8))), (b"tRNS", clear))
    photo = read(tmp_path, data, "a.png")
    assert gap(photo, INKS[numbers]) == 0 and is_clear(photo, np.frombuffer(clear, np.uint8)[numbers])
    picture = Image.fromarray(numbers.astype(np.uint8)).convert("P")
    picture.putpalette(INKS.astype(np.uint8).tobytes())
    picture.save(tmp_path/"a.gif", transparency=1)
    photo = read_photo(tmp_path/"a.gif")
    assert gap(photo, INKS[numbers]) == 0 and is_clear(photo, np.where(numbers == 1, 0, 255))


@pytest.mark.parametrize("white", [0, 1])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_tiff_of_few_bits(tmp_path, bits, mirrored, white):
    "FillOrder 2, as fax machines write it, begins with the lowest bit of a byte"
    numbers, largest = STEPS % 2**bits, 2**bits - 1
    rows = packed(numbers, bits)
    if mirrored: rows = [bytes(int(format(b, "08b")[::-1], 2) for b in row) for row in rows]
    data = tiff(b"".join(rows), t256=WIDTH, t257=HEIGHT, t258=bits, t262=white, t266=1 + mirrored, t278=HEIGHT)
    assert gap(read(tmp_path, data), (numbers if white else largest - numbers)*255/largest) == 0


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("white", [0, 1])
def test_twelve_bits_and_long_fractions(tmp_path, white, order):
    numbers = GRAY.astype(int)*16
    for pixels, bits, form in ((b"".join(packed(numbers, 12)), 12, 1), (numbers/4095, 64, 3)):
        photo = read(tmp_path, tiff(pixels, order, t256=WIDTH, t257=HEIGHT, t258=bits, t262=white, t278=HEIGHT, t339=form))
        assert gap(photo, abs((not white)*255 - numbers/4095*255)) <= .51, bits


def test_a_palette_with_too_few_bits(tmp_path):
    "Some programs wrote numbers up to 255 where a TIFF has them up to 65,535"
    colours = np.zeros((256, 3), np.uint16)
    colours[:16] = INKS
    for factor in (1, 257):
        tifffile.imwrite(tmp_path/"a.tif", STEPS.astype(np.uint8), photometric="palette", colormap=colours.T*factor)
        assert gap(read_photo(tmp_path/"a.tif"), INKS[STEPS]) == 0


@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha", "unspecified"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_fourth_channel(tmp_path, kind, extra):
    "It may be transparency, transparency that the colours are multiplied with, or nobody's business"
    most = np.iinfo(kind).max
    alpha = np.maximum(ALPHA, 128).astype(kind)*(most//255)
    colours = COLOURS.astype(kind)*(most//255)
    stored = np.rint(colours*(alpha[..., None]/most)).astype(kind) if extra == "assocalpha" else colours
    tifffile.imwrite(tmp_path/"a.tif", np.dstack([stored, alpha]), photometric="rgb", extrasamples=[extra])
    photo = read_photo(tmp_path/"a.tif")
    assert gap(photo, COLOURS) <= (2.1 if extra == "assocalpha" else 1 if kind == np.uint16 else 0)
    assert photo.alpha is None if extra == "unspecified" else is_clear(photo, np.maximum(ALPHA, 128))


@pytest.mark.parametrize("options", [dict(tile=(16, 16)), dict(tile=(16, 16), compression="zlib", predictor=True), dict(bigtiff=True),
                                     dict(compression="zlib", predictor=True), dict(rowsperstrip=3), dict(byteorder=">", compression="zlib")])
def test_how_a_tiff_is_cut(tmp_path, options):
    for numbers in (GRAY, COLOURS, GRAY.astype(np.uint16)*257, COLOURS.astype(np.uint16)*257):
        tifffile.imwrite(tmp_path/"a.tif", numbers, photometric="rgb" if numbers.ndim == 3 else "minisblack", **options)
        photo = read_photo(tmp_path/"a.tif", deep=True)
        assert gap(photo, GRAY if numbers.ndim == 2 else COLOURS) == 0
        assert numbers.dtype == np.uint8 or np.array_equal(photo.deep, numbers)


@pytest.mark.parametrize("options", [{}, dict(tile=(16, 16)), dict(compression="zlib"), dict(byteorder=">"), dict(rowsperstrip=3)])
def test_planes_of_a_tiff(tmp_path, options):
    "Red, green and blue, with a fourth channel or without, and inks"
    half = np.full_like(GRAY, 128)
    def check(bands, want, alpha=None, near=0, **more):
        for kind in (np.uint8, np.uint16):
            numbers = np.stack(bands).astype(kind)*(257 if kind == np.uint16 else 1)
            tifffile.imwrite(tmp_path/"a.tif", numbers, planarconfig="separate", **options, **more)
            photo = read_photo(tmp_path/"a.tif")
            assert gap(photo, want) <= near and (alpha is None or is_clear(photo, alpha)), (kind, more)
    colours = list(COLOURS.transpose(2, 0, 1))
    check(colours, COLOURS, photometric="rgb")
    check([*colours, ALPHA], COLOURS, ALPHA, photometric="rgb", extrasamples=["unassalpha"])
    check([*(band//2 for band in colours), half], COLOURS, half, 2, photometric="rgb", extrasamples=["assocalpha"])
    check([*colours, half], (255. - COLOURS)*(127/255), near=1.1, photometric="separated")
    tifffile.imwrite(tmp_path/"b.tif", np.stack([GRAY, ALPHA]), planarconfig="separate", photometric="minisblack",
                     extrasamples=["unassalpha"], **options)
    with pytest.raises(PhotoError, match="its transparency in a plane of its own, which is not read; save it"): read_photo(tmp_path/"b.tif")


@pytest.mark.parametrize("bits", [1, 4, 8, 16])
@pytest.mark.parametrize("white", [0, 1])
def test_a_single_plane_of_a_tiff(tmp_path, white, bits):
    numbers, largest = (STEPS % 2, 1) if bits == 1 else (STEPS, 15) if bits == 4 else (GRAY.astype(int)*(257 if bits == 16 else 1), 2**bits - 1)
    rows = b"".join(packed(numbers, bits)) if bits < 16 else numbers.astype("<u2").tobytes()
    data = tiff(rows, t256=WIDTH, t257=HEIGHT, t258=bits, t262=white, t278=HEIGHT, t284=2)
    assert gap(read(tmp_path, data), (numbers if white else largest - numbers)*255/largest) == 0


def with_tags(pixels, shorts):
    "An uncompressed TIFF of one strip; `shorts` maps a tag to one or two short integers"
    tags = {tag: values if isinstance(values, tuple) else (values,) for tag, values in shorts.items()}
    start = 8 + 2 + 12*(len(tags) + 2) + 4
    longs = {273: start, 279: len(pixels)}
    out = b"II*\0" + struct.pack("<IH", 8, len(tags) + 2)
    for tag in sorted(tags | longs):
        if tag in longs: out += struct.pack("<HHII", tag, 4, 1, longs[tag])
        else: out += struct.pack("<HHI2H", tag, 3, len(tags[tag]), *(*tags[tag], 0)[:2])
    return out + bytes(4) + pixels


@pytest.mark.parametrize("beyond", [0, 9000])
@pytest.mark.parametrize("step", [1, 2])
def test_brightness_and_differences_of_colour_in_a_tiff(tmp_path, step, beyond):
    "YCbCr, not compressed; where four pixels share their colour they come together. What stands behind the strip does not count"
    small = Image.fromarray(COLOURS[:7, :12])
    picture = np.asarray(small.convert("YCbCr")).repeat(step, 0).repeat(step, 1)
    height, width = picture.shape[:2]
    blocks = picture.reshape(height//step, step, width//step, step, 3)
    pixels = np.concatenate([blocks[..., 0].swapaxes(1, 2).reshape(*blocks.shape[:3:2], -1), blocks[:, 0, :, 0, 1:]], 2).tobytes()
    shape = {256: width, 257: height, 258: 8, 259: 1, 262: 6, 277: 3, 278: height, 284: 1, 530: (step, step)}
    photo = read(tmp_path, with_tags(pixels, shape) + bytes(beyond))
    assert gap(photo, np.asarray(Image.fromarray(picture, "YCbCr").convert("RGB"))) <= 2 and photo.words == ()


def test_gray_in_the_first_kind_of_jpeg_in_a_tiff(tmp_path):
    buffer = BytesIO()
    Image.fromarray(RAMP.repeat(4, 0)).save(buffer, "JPEG", quality=100)
    pixels = buffer.getvalue()
    start = 8 + 2 + 12*11 + 4
    tags = {256: 256, 257: 24, 258: 8, 259: 6, 262: 1, 273: start, 277: 1, 278: 24, 279: len(pixels), 513: start, 514: len(pixels)}
    data = b"II*\0" + struct.pack("<IH", 8, 11) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items()) + bytes(4)
    photo = read(tmp_path, data + pixels)
    assert gap(photo, RAMP.repeat(4, 0)) <= 3 and photo.image.mode == "L"


def test_lab_in_a_tiff(tmp_path):
    "Pale colours, too: within a step of what the formulas of L*a*b* under D50 and of sRGB say"
    L, a, b = X*3. + 20, Y*2. - 10, X - 12.
    stored = np.rint(L*2.55)
    f = (stored/2.55 + 16)/116
    xyz = np.stack([t**3 if t.min() > 6/29 else np.where(t > 6/29, t**3, 3*(6/29)**2*(t - 4/29)) for t in (f + a/500, f, f - b/200)], 2)
    from_d50 = np.array([[.9555766, -.0230393, .0631636], [-.0282895, 1.0099416, .0210077], [.0122982, -.0204830, 1.3299098]])
    to_rgb = np.array([[3.2404542, -1.5371385, -.4985314], [-.9692660, 1.8760108, .0415560], [.0556434, -.2040259, 1.0572252]])
    want = srgb_bytes(((xyz*[.9642, 1, .8249]) @ from_d50.T @ to_rgb.T).clip(0, 1))
    lab = np.dstack([stored, a.astype(int) & 255, b.astype(int) & 255]).astype(np.uint8)
    tifffile.imwrite(tmp_path/"a.tif", lab, photometric="cielab")
    assert gap(read_photo(tmp_path/"a.tif"), want) <= 1.2
    for options in ({}, dict(compression="zlib"), dict(tile=(16, 16))):
        tifffile.imwrite(tmp_path/"b.tif", lab.transpose(2, 0, 1), photometric="cielab", planarconfig="separate", **options)
        assert gap(read_photo(tmp_path/"b.tif"), want) <= 1.2


@pytest.mark.parametrize("bits, form, channels, said", [(10, 1, 1, "a channel of 10 bits"), (16, 3, 1, "a channel of 16 floating-point bits")])
def test_tiffs_that_nobody_reads_are_named(tmp_path, bits, form, channels, said):
    data = tiff(bytes(WIDTH*HEIGHT*4), t256=WIDTH, t257=HEIGHT, t258=bits, t278=HEIGHT, t339=form)
    assert refusal(tmp_path, data) == f"is a TIFF with {said} in a layout that is not read; save it as gray or RGB with 8 or 16 bits"
    tifffile.imwrite(tmp_path/"rgb.tif", COLOURS.astype(np.float32), photometric="rgb")
    with pytest.raises(PhotoError, match="3 channels of 32 floating-point bits"): read_photo(tmp_path/"rgb.tif")


def bmp(rows, bits, masks=b"", colours=b"", height=HEIGHT, packing=0):
    data = b"".join(row + bytes(-len(row) % 4) for row in (rows if height < 0 else rows[::-1]))
    info = struct.pack("<IiiHHIIiiII", 40, WIDTH, height, 1, bits, packing, len(data), 0, 0, len(colours)//4, 0)
    start = 54 + len(masks) + len(colours)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + masks + colours + data


def test_bmp_files(tmp_path):
    "From the top or from the bottom, with 1 to 32 bits for a pixel; a fourth byte that means nothing is no transparency"
    blue_first = [row[:, ::-1].tobytes() for row in COLOURS]
    table = b"".join(bytes((b, g, r, 0)) for r, g, b in INKS.tolist())
    red, green, blue = (COLOURS[..., k].astype(int) >> (3 if k != 1 else 2) for k in range(3))
    five, six = (red << 10 | green >> 1 << 5 | blue), (red << 11 | green << 5 | blue)
    fourth = [np.dstack([row[None, :, ::-1], np.zeros((1, WIDTH, 1), np.uint8)]).tobytes() for row in COLOURS]
    fifths = np.stack([red*255/31, (green >> 1)*255/31, blue*255/31], 2)
    for data, want in ((bmp(blue_first, 24), COLOURS), (bmp(blue_first, 24, height=-HEIGHT), COLOURS), (bmp(fourth, 32), COLOURS),
                       (bmp(packed(STEPS, 4), 4, colours=table), INKS[STEPS]), (bmp(packed(STEPS % 2, 1), 1, colours=table[:8]), INKS[STEPS % 2]),
                       (bmp([row.astype("<u2").tobytes() for row in five], 16), fifths),
                       (bmp([row.astype("<u2").tobytes() for row in six], 16, struct.pack("<III", 0xF800, 0x7E0, 0x1F), packing=3),
                        np.stack([red*255/31, green*255/63, blue*255/31], 2))):
        photo = read(tmp_path, data, "a.bmp")
        assert gap(photo, want) < 1 and photo.alpha is None


def test_a_transparency_of_a_bmp_that_is_not_used(tmp_path):
    "Its header has a mask for transparency, and all its bytes are 0; if one is not, they count"
    for some in (0, 200):
        clear = np.zeros((HEIGHT, WIDTH), np.uint8)
        clear[3, 4] = some
        fourth = np.dstack([COLOURS[::-1, :, ::-1], clear[::-1]])
        info = struct.pack("<IiiHHIIiiII4I", 56, WIDTH, HEIGHT, 1, 32, 3, fourth.size, 0, 0, 0, 0, 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
        photo = read(tmp_path, b"BM" + struct.pack("<IHHI", 70 + fourth.size, 0, 0, 70) + info + fourth.tobytes(), "a.bmp")
        assert gap(photo, COLOURS) == 0 and (is_clear(photo, clear) if some else photo.alpha is None)


@pytest.mark.parametrize("kind", ["adobe", "plain", "ycck"])
def test_ink_in_a_jpeg(tmp_path, kind):
    "Adobe inverts its inks and says so; it may also mix three of them as YCbCr. A file without its mark means what it says"
    inks = np.kron(np.dstack([COLOURS, (X*5 % 120).astype(np.uint8)]), np.ones((8, 8, 1), np.uint8))
    want = (255. - inks[..., :3])*(255 - inks[..., 3:])/255
    stored = {"adobe": inks, "plain": 255 - inks,
              "ycck": 255 - np.dstack([np.asarray(Image.fromarray(inks[..., :3].copy()).convert("YCbCr")), 255 - inks[..., 3]])}[kind]
    buffer = BytesIO()
    Image.frombytes("CMYK", inks.shape[1::-1], stored.tobytes()).save(buffer, "JPEG", quality=100, subsampling=0)
    data = bytearray(buffer.getvalue())
    mark = data.index(b"Adobe") - 4
    if kind == "plain": del data[mark:mark + 2 + struct.unpack_from(">H", data, mark + 2)[0]]
    if kind == "ycck": data[mark + 15] = 2
    assert gap(read(tmp_path, bytes(data), "a.jpg"), want) <= 8


@pytest.mark.parametrize("kind", [b"P2", b"P3", b"P5", b"P6"])
@pytest.mark.parametrize("top", [100, 255, 1000, 65_535])
def test_a_deep_pnm_stays_deep(tmp_path, kind, top):
    colour = kind in (b"P3", b"P6")
    numbers = (np.arange(HEIGHT*WIDTH*(3 if colour else 1))*37 % (top + 1)).reshape((HEIGHT, WIDTH, 3) if colour else (HEIGHT, WIDTH))
    body = " ".join(map(str, numbers.ravel())).encode() if kind in (b"P2", b"P3") else numbers.astype(np.uint8 if top < 256 else ">u2").tobytes()
    (tmp_path/"a.pnm").write_bytes(kind + b" # from a museum\n%d %d\n%d\n" % (WIDTH, HEIGHT, top) + body)
    photo = read_photo(tmp_path/"a.pnm", deep=True)
    assert gap(photo, numbers/top*255) <= .51 and photo.words == ()
    assert photo.deep is None if top < 256 else np.abs(photo.deep - numbers/top*65_535).max() <= .51
    if top > 255: assert read_photo(save_photo(painted(one_colour, photo), tmp_path/"b.png"), deep=True).deep.shape == (HEIGHT, WIDTH, 3)


def test_bitmaps_of_one_bit(tmp_path):
    for data in (b"P4\n%d %d\n" % (WIDTH, HEIGHT) + b"".join(packed(STEPS % 2, 1)),
                 b"P1\n# a comment\n%d %d\n" % (WIDTH, HEIGHT) + "\n".join("".join(map(str, row)) for row in STEPS % 2).encode()):
        assert gap(read(tmp_path, data, "a.pbm"), 255*(1 - STEPS % 2)) == 0


@pytest.mark.parametrize("turn", range(10))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_every_orientation(tmp_path, form, turn):
    "The numbers that mean nothing, too; and a thumbnail does not count"
    notes = Image.Exif()
    notes[0x0112] = turn
    upright = {2: COLOURS[:, ::-1], 3: COLOURS[::-1, ::-1], 4: COLOURS[::-1], 5: COLOURS.swapaxes(0, 1), 6: np.rot90(COLOURS, -1),
               7: np.rot90(COLOURS, 2).swapaxes(0, 1), 8: np.rot90(COLOURS)}.get(turn, COLOURS)
    options = {"JPEG": dict(quality=100, subsampling=0), "WEBP": dict(lossless=True)}.get(form, {})
    photo = read(tmp_path, saved(COLOURS, form, exif=notes, **options), "a.jpg")  # the name may be wrong
    assert gap(photo, upright) <= (12 if form == "JPEG" else 0)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("white", [0, 1])
def test_dot_gain(tmp_path, deep, white):
    "A printer's gray: a table in a profile of its own class"
    dots = (np.arange(256)/255)**1.75
    table = struct.pack(">4s4xI256H", b"curv", 256, *np.rint(dots*65_535).astype(int))
    icc = make_icc(b"GRAY", {b"kTRC": table})
    icc = icc[:12] + b"prtr" + icc[16:]
    numbers = GRAY.astype(np.uint16)*257 if deep else GRAY
    tifffile.imwrite(tmp_path/"a.tif", numbers, photometric="minisblack" if white else "miniswhite", iccprofile=icc)
    shown = (GRAY if white else 255 - GRAY)/255
    assert gap(read_photo(tmp_path/"a.tif"), srgb_bytes(np.interp(shown, np.arange(256)/255, dots))) <= 1


def test_a_deep_photo_needs_more_room(tmp_path):
    "In the limit for one photo and in the bound for a batch"
    sizes = {}
    for kind in (np.uint8, np.uint16):
        for name, numbers in (("gray", GRAY), ("colour", COLOURS)):
            path = tmp_path/f"{name}{np.dtype(kind).itemsize}.tif"
            tifffile.imwrite(path, numbers.astype(kind), photometric="rgb" if name == "colour" else "minisblack")
            sizes[path.stem] = room_of(path)/GRAY.size
    assert sizes["gray1"] < sizes["colour1"] < sizes["colour2"] and sizes["gray1"] < sizes["gray2"] < sizes["colour2"]
    with open(tmp_path/"colour1.tif", "rb") as one, open(tmp_path/"colour2.tif", "rb") as two:
        assert _memory(open_photo(two)[0]) > 2*_memory(open_photo(one)[0])


# ---- which files are photos ----

def test_raw_data_of_a_camera(tmp_path):
    "A DNG holds a preview that could be taken for the photo"
    tags = Image.Exif()
    tags[50706] = b"\1\4\0\0"
    Image.new("L", (8, 8)).save(tmp_path/"a.dng", "TIFF", exif=tags)
    with pytest.raises(PhotoError, match="is a camera's raw file, which is not read; develop it"): read_photo(tmp_path/"a.dng")


@pytest.mark.parametrize("suffix, form", [(".jpe", "JPEG"), (".mpo", "MPO")])
def test_rare_names(tmp_path, suffix, form):
    Image.fromarray(RAMP).convert("RGB").save(tmp_path/f"a{suffix}", form, quality=95)
    assert read_photo(tmp_path/f"a{suffix}").image.size == (256, 6)
