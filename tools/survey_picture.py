"""The figure of the survey's page in chapter 6.5: three screens of a phone, side by side.

Run: python tools/survey_picture.py (needs selenium, chromium and chromedriver)."""
import io, shutil, tempfile
from pathlib import Path

from PIL import Image
from selenium import webdriver

from colorize_lib import core, survey_page
from colorize_lib.photos import sample_photos

WIDTH = 360   # of a screen, CSS pixels
HEIGHT = 780
GAP = 40      # between two screens, device pixels
SCREENS = [   # colours, language, what leads to the screen
    ("light", "en", "go(0)"),
    ("light", "en", "go(2); choose(4)"),
    ("dark", "vi", "go(steps.findIndex(s => s.screen === 'pair')); choose(0)"),
]
FLAGS = ("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run")


def phone(folder):
    "Headless Chromium in the size of a phone, with two device pixels a CSS pixel"
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*FLAGS, f"user-data-dir={folder/'profile'}"):
        options.add_argument(f"--{flag}")
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    size = dict(width=WIDTH, height=HEIGHT, deviceScaleFactor=2, mobile=True)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    return browser


def screenshot(browser, colours, language, script):
    "One screen of the survey"
    features = [dict(name="prefers-color-scheme", value=colours)]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dict(features=features))
    browser.execute_script(f"state.language = '{language}'; {script}")
    browser.execute_script("document.activeElement.blur()")
    return Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")


def build(folder):
    "A survey of the sample photos: the address of its page"
    for name, image in sample_photos().items(): image.save(folder/f"{name}.png")
    named = survey_page.named_photos([folder])
    sources = ["real", "l1", "bins"]
    survey_page.build_survey(named, sources, folder/"survey", side=480, seed=3)
    return (folder/"survey"/"survey.html").as_uri()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        address = build(folder)
        browser = phone(folder)
        try:
            browser.get(address)
            browser.execute_script("begin({...state, seed: 11})")
            screens = [screenshot(browser, *screen) for screen in SCREENS]
        finally: browser.quit()
    step = 2*WIDTH + GAP
    sheet = Image.new("RGB", (step*len(screens) - GAP, 2*HEIGHT), "white")
    for i, screen in enumerate(screens): sheet.paste(screen, (i*step, 0))
    small = sheet.resize((sheet.width//2, sheet.height//2), Image.Resampling.LANCZOS)
    with core.atomic_path(core.output_dir()/"survey_page.png") as draft:
        small.quantize(256).save(draft, optimize=True)


if __name__ == "__main__": main()
