"""The page that colours a reader's photos, in a browser: the same colours as the command line, notes, refusals, downloads."""
import base64, functools, hashlib, io, threading, zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

pytest.importorskip("selenium", reason="selenium is not installed")
from selenium.webdriver import Keys
from selenium.webdriver.support.ui import WebDriverWait

from colorize_lib.inference import Colorizer, network_size
from colorize_lib.photo_lab import photo_to_lab, tint
from colorize_lib.photo_notes import SOFTWARE
from colorize_lib.photo_xmp import COMPOSITE, NOTE
from colorize_lib.photos import sample_photos
from test_browser import dressed, faults

ROOT = Path(__file__).resolve().parent.parent
PAGE = "nbs/69d_in_the_page.html"
FETCH = """
const done = arguments[1], reader = new FileReader();
reader.onload = () => done(reader.result.split(",")[1]);
fetch(arguments[0]).then(answer => answer.blob()).then(blob => reader.readAsDataURL(blob));
"""
SHRINK = """
const [width, height, done] = arguments, strip = 7*4*width;
const rgba = Uint8Array.from({length: 4*width*height}, (_, i) => Math.imul(i, i) >>> 7);
import("../assets/colour/pixels.js").then(({Shrinker}) => {
  const shrinker = new Shrinker(width, height);
  for (let at = 0; at < rgba.length; at += strip) shrinker.add(rgba.subarray(at, at + strip), at/(4*width));
  done(Array.from(shrinker.finish()));
});
"""
JOIN = """
const [ab, rgba, done] = arguments;
import("../assets/colour/pixels.js").then(({Joiner}) => {
  const colours = Uint8ClampedArray.from(rgba);
  new Joiner(Float32Array.from(ab), 16, 16, 64, 64).colour(colours, 0);
  done(Array.from(colours));
});
"""

@pytest.fixture(scope="module")
def server(site):
    "The site behind an address: (address, list of (method, path) that were asked, set of paths that it denies)"
    asked, denied = [], set()
    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self): self.send_error(404) if self.path in denied else super().do_GET()
        def log_request(self, *_): asked.append((self.command, self.path))
        def log_message(self, *_): pass
        def end_headers(self):
            self.send_header("Cache-Control", "no-store")  # so that everything is asked for
            super().end_headers()
    running = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site)))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}", asked, denied
    running.shutdown()
    running.server_close()

def notes(width, height):
    "EXIF notes of a camera that was held on its side, with a colour space that the result does not have"
    exif = Image.Exif()
    exif[0x010F] = "Hand made"
    exif[0x0112] = 6
    for tag, gray in ((0x0102, 8), (0x0106, 1), (0x0115, 1)): exif[tag] = gray
    exif.get_ifd(0x8769).update({0x9003: "1931:05:02 10:00:00", 0xA001: 65535, 0xA002: width, 0xA003: height})
    return exif

def described():
    info = PngInfo()
    info.add_text("Description", "a flower")
    return info

@pytest.fixture(scope="module")
def album(tmp_path_factory):
    "name -> file: a photo large enough to be reduced first, one with notes, one with broken ones, and two that are none"
    folder = tmp_path_factory.mktemp("album")
    gray = {name: photo.convert("L") for name, photo in sample_photos().items()}
    gray["china"].resize((1301, 1007)).save(folder/"large.png")
    gray["coffee"].save(folder/"camera.jpg", exif=notes(*gray["coffee"].size), quality=95)
    gray["chelsea"].save(folder/"broken.jpg", exif=b"Exif\0\0II*\0\xff\xff\0\0")
    gray["rocket"].save(folder/"scan.tif")
    cut = gray["flower"].copy()
    cut.putalpha(cut.point(lambda v: 255*(v > 60)))
    cut.save(folder/"cut.png", pnginfo=described())
    gray["flower"].convert("RGBA").save(folder/"opaque.png")
    gray["astronaut"].save(folder/"press.jpg", comment="box 7", xmp=b"<x/>")
    (folder/"letter.jpg").write_text("Dear Sir or Madam")
    return {path.name: path for path in folder.iterdir()}

def wait(browser, found, seconds=120):
    WebDriverWait(browser, seconds, poll_frequency=0.1).until(lambda _: found())

def tool(browser):
    return browser.find_element("css selector", "[data-tool=colour]")

def status(browser):
    return tool(browser).find_element("css selector", "[role=status]").text

def heavy(asked):
    return [path for _, path in asked if path.endswith((".wasm", ".onnx"))]

def data_of(browser, link):
    return base64.b64decode(browser.execute_async_script(FETCH, link.get_attribute("href")))

@pytest.fixture(scope="module")
def coloured(browser, server, album):
    "The open page with the album in it: (name of a result -> its bytes, the words of the list)"
    address, asked, _ = server
    dressed(browser, "light", 1280)
    browser.get(f"{address}/{PAGE}")
    assert heavy(asked) == []
    load = tool(browser).find_element("css selector", "button")
    load.send_keys(Keys.ENTER)
    wait(browser, lambda: status(browser) == "The network is here.")
    assert len(heavy(asked)) == 2 and not load.is_displayed()
    tool(browser).find_element("css selector", "input[type=file]").send_keys("\n".join(map(str, album.values())))
    wait(browser, lambda: status(browser).startswith("Done"))
    links = tool(browser).find_elements("css selector", "a[download]")
    found = {link.get_attribute("download"): data_of(browser, link) for link in links}
    return found, [item.text for item in tool(browser).find_elements("css selector", "li")]

def opened(data):
    return Image.open(io.BytesIO(data))

def pixels(image):
    return np.asarray(image.convert("RGB")).astype(float)

def test_the_colours_are_those_of_the_command_line(coloured, album):
    want = Colorizer.from_pretrained()(album["large.png"])
    result = opened(coloured[0]["large_color.png"])
    assert result.size == want.size and result.format == "PNG"
    assert abs(pixels(result) - pixels(want)).mean() < 0.1  # of 255

def test_bright_yellow_stays_yellow_as_on_the_command_line(coloured, browser):
    rng = np.random.default_rng(0)
    sign = (np.int16([250, 245, 8]) + rng.integers(-8, 9, (64, 64, 3))).clip(0, 255).astype(np.uint8)
    ab = photo_to_lab(sign)[1:].reshape(2, 16, 4, 16, 4).mean((2, 4))
    rgba = np.dstack([sign, np.full((64, 64), 255)])
    found = browser.execute_async_script(JOIN, (ab/110).ravel().tolist(), rgba.ravel().tolist())
    got = np.uint8(found).reshape(64, 64, 4)[..., :3]
    assert abs(got.astype(float) - tint(sign, ab)).mean() < 0.1
    assert np.hypot(*photo_to_lab(got)[1:]).min() > 48  # half of the sign's chroma

def test_a_jpeg_stays_one_and_stands_upright(coloured, album):
    want = Colorizer.from_pretrained()(album["camera.jpg"])
    result = opened(coloured[0]["camera_color.jpg"])
    assert result.format == "JPEG" and result.size == want.size == (400, 600)
    assert abs(pixels(result) - pixels(want)).mean() < 3  # JPEG alone moves it by so much

def test_notes_go_along_and_say_what_is_true(coloured):
    result = opened(coloured[0]["camera_color.jpg"])
    exif = result.getexif()
    camera = exif.get_ifd(0x8769)
    assert exif[0x010F] == "Hand made" and exif[0x0112] == 1 and camera[0x9003] == "1931:05:02 10:00:00"
    assert [camera[tag] for tag in (0xA001, 0xA002, 0xA003)] == [1, 400, 600]
    assert not {0x0102, 0x0106, 0x0115} & set(exif)  # they were of the gray file

def test_every_result_says_that_it_was_coloured(coloured):
    for name, data in coloured[0].items():
        result = opened(data)
        assert result.getexif()[SOFTWARE] == NOTE, name
        assert COMPOSITE.encode() in result.info["xmp"], name

def test_a_batch_says_what_became_of_each(coloured, browser):
    results, items = coloured
    assert set(results) == {"large_color.png", "camera_color.jpg", "broken_color.jpg", "cut_color.png", "opaque_color.png", "press_color.jpg"}
    lost = {name: next(item for item in items if f"Download {name}" in item) for name in results}
    assert "what was transparent is white; left out: texts" in lost["cut_color.png"]
    assert "transparent" not in lost["opaque_color.png"] and "left out: XMP, comment" in lost["press_color.jpg"]
    said = {name: next(item for item in items if name in item) for name in ("broken", "scan", "letter")}
    assert "EXIF notes are broken" in said["broken"]
    assert "do not read TIFF" in said["scan"] and "colorize" in said["scan"]
    assert "not a photo" in said["letter"]
    assert status(browser) == "Done: 6 in colour, 2 refused."

def test_nothing_leaves_the_machine(coloured, server):
    assert {method for method, _ in server[1]} == {"GET"}

def test_each_result_has_a_border_to_move(coloured, browser):
    slider = tool(browser).find_element("css selector", "input[type=range]")
    slider.send_keys(Keys.HOME)
    after = tool(browser).find_elements("css selector", ".compare-stage img")[1]
    assert after.value_of_css_property("clip-path") == "inset(0px 0px 0px 0%)"

def test_the_results_shut_nobody_out(coloured, browser):
    for theme, width in (("light", 1280), ("dark", 390)):
        dressed(browser, theme, width)
        wait(browser, lambda: not faults(browser))  # the page is not loaded anew, and its styles follow in their time
    dressed(browser, "light", 1280)

def test_all_results_come_in_one_file(coloured, browser, tmp_path):
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", dict(behavior="allow", downloadPath=str(tmp_path)))
    button = next(b for b in tool(browser).find_elements("css selector", "button") if b.text == "Download all")
    button.send_keys(Keys.ENTER)
    wait(browser, (tmp_path/"coloured.zip").exists)
    with zipfile.ZipFile(tmp_path/"coloured.zip") as packed:
        assert packed.testzip() is None
        assert {name: packed.read(name) for name in packed.namelist()} == coloured[0]

# ---- parts of it ----

@pytest.mark.parametrize("size", [(1301, 1007), (300, 451), (40, 20), (9001, 7)])
def test_photos_are_shrunk_as_pillow_does(coloured, browser, size):
    places = np.arange(4*size[0]*size[1], dtype=np.uint32)
    noise = (places*places >> 7).astype(np.uint8).reshape(size[1], size[0], 4)
    photo = Image.fromarray(noise[..., :3])
    want = np.asarray(photo.resize(network_size(*size), Image.Resampling.BICUBIC, reducing_gap=2)).astype(int)
    found = browser.execute_async_script(SHRINK, *size)
    gap = abs(np.reshape(found, want.shape) - want)
    assert gap.max() <= 1 and gap.mean() < 1e-3

def test_a_canvas_too_large_is_told(coloured, browser, tmp_path):
    Image.new("L", (70_000, 2)).save(tmp_path/"long.png")
    tool(browser).find_element("css selector", "input[type=file]").send_keys(str(tmp_path/"long.png"))
    wait(browser, lambda: "1 refused" in status(browser))
    assert "70000 × 2 pixels are too many" in tool(browser).text

def test_results_are_named_as_the_command_names_them(coloured, browser):
    def name(*asked): return browser.execute_script("return colourTool.resultName(arguments[0], arguments[1], new Set(arguments[2]))", *asked)
    assert name("a.b.JPG", "image/jpeg", []) == "a.b_color.JPG"
    assert name("a.gif", "image/png", []) == "a.gif_color.png"
    assert name("a", "image/png", []) == "a_color.png"
    assert name("a.png", "image/png", ["a_color.png", "a_color (2).png"]) == "a_color (3).png"
    assert name("old.jfif", "image/jpeg", []) == "old_color.jfif"
    assert name("A.jpg", "image/jpeg", ["a_color.jpg"]) == "A_color (2).jpg"  # one name to many file systems

@pytest.mark.parametrize("lost, told", [("colour/network.onnx", "network.onnx could not be fetched (404)"), ("colour/worker.js", "did not start"),
                                        ("ort/ort-wasm-simd-threaded.mjs", "backend")])
def test_what_does_not_come_is_told_and_asked_for_again(coloured, browser, server, lost, told):
    address, _, denied = server
    denied.add(f"/assets/{lost}")
    browser.get(f"{address}/{PAGE}")
    load = tool(browser).find_element("css selector", "button")
    load.send_keys(Keys.ENTER)
    wait(browser, lambda: told in status(browser))
    denied.clear()
    load.send_keys(Keys.ENTER)
    wait(browser, lambda: status(browser) == "The network is here.")
    assert browser.switch_to.active_element.get_attribute("type") == "file"

def test_where_it_cannot_run_it_says_so(coloured, browser, site):
    def refusal(place): return browser.execute_script(f"return colourTool.refusal({{protocol: 'https:'}}, {place})")
    assert refusal("window") == ""
    assert "too old" in refusal("{}") and "too old" in refusal("{Worker, WebAssembly}")
    assert "SIMD" in refusal("{Worker, OffscreenCanvas, WebAssembly: {validate: () => false}}")
    assert "SIMD" in refusal("{Worker, OffscreenCanvas}")
    browser.get((site/PAGE).as_uri())
    assert "python -m http.server" in status(browser)
    assert tool(browser).find_elements("css selector", "input, button") == []

# ---- what was made elsewhere ----

def test_the_runtime_is_the_one_that_was_checked():
    folder = ROOT/"tools"/"site"/"ort"
    sums = dict(reversed(line.split()) for line in (folder/"SHA256SUMS").read_text().splitlines())
    assert sums == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.suffix in (".mjs", ".wasm")}
    assert "MIT License" in (folder/"LICENSE.txt").read_text()

def test_the_button_says_how_much_comes(site):
    size = sum((site/"assets"/name).stat().st_size for name in ("ort/ort-wasm-simd-threaded.wasm", "colour/network.onnx"))
    assert f"({size/1e6:.0f} MB)" in (site/"assets"/"colour.js").read_text(encoding="utf-8")
