"""How much of each page is code? Height of the visible code blocks / height of the main column, page by page.

The pages are taken as delivered: what is folded stays folded. A code block is everything that is set as
code: cells, signatures, commands in the prose. What a cell printed is output, not code. Pictures are figures
and the things to touch, with their buttons.
Run it after `make site`, on a machine with Chromium and its driver (Debian: apt-get install chromium chromium-driver):

    .venv/bin/python tools/page_heights.py            # all pages of _docs/nbs
    .venv/bin/python tools/page_heights.py 23_gan 24_unet

The width of the window decides how lines wrap, so it is fixed: 1280 pixels. The aim is a share of code of at
most 35 % on each page of chapters 1 to 5; the exit code is 1 where a page is above it.
"""
import shutil, sys
from pathlib import Path

from selenium import webdriver

ROOT = Path(__file__).resolve().parent.parent
MOST = 0.35
WINDOW = "1280,900"
MEASURE = """
const main = document.querySelector("main");
// a closed <details> keeps the boxes of what it hides, so being visible is asked for
const all = selector => Array.from(main.querySelectorAll(selector)).filter(e => e.checkVisibility());
const outermost = list => list.filter(e => !list.some(other => other !== e && other.contains(e)));
const height = list => outermost(list).reduce((sum, e) => sum + e.getBoundingClientRect().height, 0);
const printed = e => e.closest(".cell-output") && !e.closest(".cell-output-markdown");
const code = all("pre").filter(e => !printed(e)), outputs = all(".cell-output pre, .cell-output table").filter(printed);
return [height([main]), height(code), height(all("img, svg, video, [data-tool]")), height(outputs)];
"""


def browser():
    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size={WINDOW}"):
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def heights(driver, page):
    "(main column, code, pictures, printed outputs) of a page, in pixels"
    driver.get(page.resolve().as_uri())
    return driver.execute_script(MEASURE)


def measure(pages):
    "Print a line for each page; returns the names of those with too much code"
    too_much = []
    print(f"{'page':26} {'height':>7} {'code':>6} {'pictures':>9} {'outputs':>8}")
    driver = browser()
    try:
        for page in pages:
            main, *parts = heights(driver, page)
            code, pictures, outputs = (part/main for part in parts)
            print(f"{page.stem:26} {main:7.0f} {code:6.0%} {pictures:9.0%} {outputs:8.0%}")
            if code > MOST and page.stem[:1] in "12345": too_much.append(page.stem)
    finally:
        driver.quit()
    return too_much


def main(names):
    pages = sorted((ROOT/"_docs"/"nbs").glob("*.html"))
    if names: pages = [page for page in pages if page.stem in names]
    if not pages: raise SystemExit("no such pages in _docs/nbs: run `make site` first")
    too_much = measure(pages)
    print(f"above {MOST:.0%}: {', '.join(too_much) or 'none'}")
    return 1 if too_much else 0


if __name__ == "__main__": sys.exit(main(sys.argv[1:]))
