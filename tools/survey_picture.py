"""The figure of the survey's page in chapter 4.4b: three screens of a phone, side by side. Run: python tools/survey_picture.py"""
import io, shutil, tempfile
from pathlib import Path

from PIL import Image
from selenium import webdriver

from colorize_lib import core, survey_page
from colorize_lib.photos import sample_photos
from colorize_lib.weights import default_weights

SIZE = 360, 780
SCREENS = [("light", "en", "go(0)"), ("light", "en", "go(2); choose(4)"), ("dark", "vi", "go(steps.findIndex(s => s.screen === 'pair')); choose(0)")]


def phone(folder):
    "Headless Chromium in the size of a phone"
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", f"user-data-dir={folder/'profile'}"): options.add_argument(f"--{flag}")
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", dict(width=SIZE[0], height=SIZE[1], deviceScaleFactor=2, mobile=True))
    return browser


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for photo, image in sample_photos().items(): image.save(folder/f"{photo}.png")
        survey_page.build_survey(survey_page.named_photos([folder]), ["real", "l1", default_weights()], folder/"survey", side=480, seed=3)
        browser, sheet = phone(folder), Image.new("RGB", (SIZE[0]*2*3 + 80, SIZE[1]*2), "white")
        try:
            browser.get((folder/"survey"/"survey.html").as_uri())
            browser.execute_script("begin({...state, seed: 11})")
            for i, (colours, language, script) in enumerate(SCREENS):
                browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dict(features=[dict(name="prefers-color-scheme", value=colours)]))
                browser.execute_script(f"state.language = '{language}'; {script}")
                browser.execute_script("document.activeElement.blur()")
                sheet.paste(Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB"), (i*(SIZE[0]*2 + 40), 0))
        finally: browser.quit()
    with core.atomic_path(core.output_dir()/"survey_page.png") as draft: sheet.resize((sheet.width//2, sheet.height//2), Image.Resampling.LANCZOS).quantize(256).save(draft, optimize=True)


if __name__ == "__main__": main()
