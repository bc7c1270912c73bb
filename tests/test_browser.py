"""The site in a browser: nobody is shut out, in light and in dark, on a desk and on a phone; nothing comes from elsewhere."""
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("selenium", reason="selenium is not installed")
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.support.ui import WebDriverWait

AXE = (Path(__file__).parent/"vendor"/"axe.min.js").read_text(encoding="utf-8")
# what stands around the text of every page alike is looked at on these
SAMPLES = ("index", "24_unet", "25_patchgan")
# what may differ in the dark or on a phone; all other rules are about the page's structure, which does not
LOOKS = ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"]
RUN_AXE = """
const [place, only, done] = arguments, grave = ["serious", "critical"];
axe.run(place, {resultTypes: ["violations"], ...(only && {runOnly: only})}).then(result => done(result.violations
  .filter(v => grave.includes(v.impact)).map(v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.target.join(" ")).join(", "))));
"""
STICKS_OUT = """
const main = document.querySelector("main"), edge = main.getBoundingClientRect().right + 1;
const scrolled = e => { for (let p = e.parentElement; p !== main; p = p.parentElement) if (getComputedStyle(p).overflowX !== "visible") return true; };
return Array.from(main.querySelectorAll("*")).filter(e => e.checkVisibility() && e.getBoundingClientRect().right > edge && !scrolled(e))
  .map(e => e.tagName + "." + e.className).slice(0, 5);
"""

def dressed(browser, theme, width):
    "Set what the system prefers and how wide the window is"
    features = [dict(name="prefers-color-scheme", value=theme), dict(name="prefers-reduced-motion", value="reduce")]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dict(features=features))
    size = dict(width=width, height=844, deviceScaleFactor=1, mobile=width < 600)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

def open_page(browser, site, stem):
    "Load a page; returns the addresses it asked for, and complaints"
    for kind in ("browser", "performance"): browser.get_log(kind)
    browser.get((site/"nbs"/f"{stem}.html").as_uri())
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    return asked, [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]

def faults(browser, place="html", only=None):
    "What shuts somebody out of this place of the page that is open; by these rules of axe only, None: all"
    if not browser.execute_script("return typeof axe === 'object'"): browser.execute_script(AXE)
    found = browser.execute_async_script(RUN_AXE, place, only)
    wide = browser.execute_script("return document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return found + ["the page moves sideways"]*wide + browser.execute_script(STICKS_OUT)

def test_axe_finds_what_is_wrong(browser, tmp_path):
    (tmp_path/"nbs").mkdir()
    (tmp_path/"nbs"/"x.html").write_text("<!doctype html><html><title>x</title><main><img src='y.png'><p style='width:3000px;color:#ccc'>pale</p></main>")
    dressed(browser, "light", 1280)
    _, complaints = open_page(browser, tmp_path, "x")
    found = " ".join(faults(browser))
    assert complaints and all(word in found for word in ("image-alt", "color-contrast", "html-has-lang", "sideways", "P."))

def test_no_page_shuts_anybody_out(browser, site):
    "Every page in both themes and both widths; nothing from other hosts, no complaints"
    wrong = {}
    for page in sorted((site/"nbs").glob("*.html")):
        sample = page.stem in SAMPLES
        for theme, width in (("light", 1280), ("dark", 390)):
            dressed(browser, theme, width)
            asked, complaints = open_page(browser, site, page.stem)
            only = LOOKS if theme == "dark" and not sample else None
            found = faults(browser, "html" if sample else "main", only) + complaints + [url for url in asked if url.startswith("http")]
            if sample:
                dressed(browser, theme, 1670 - width)
                found += faults(browser)
            if found: wrong[page.stem, theme, width] = found
    assert wrong == {}

def test_a_theme_that_was_chosen_stays(browser, site):
    dressed(browser, "light", 1280)
    open_page(browser, site, "24_unet")
    light = "return getComputedStyle(document.body).backgroundColor"
    before = browser.execute_script(light)
    browser.find_element("css selector", ".quarto-color-scheme-toggle").send_keys(Keys.ENTER)
    after = browser.execute_script(light)
    open_page(browser, site, "23_gan")
    assert browser.execute_script(light) == after != before
    browser.execute_script("localStorage.clear()")

def test_answers_open_by_keyboard(browser, site):
    dressed(browser, "light", 1280)
    open_page(browser, site, "24_unet")
    answer = browser.find_element("css selector", "main .callout-header[data-bs-toggle]")
    assert answer.aria_role == "button" and answer.get_attribute("aria-expanded") == "false"
    answer.send_keys(Keys.ENTER)
    assert answer.get_attribute("aria-expanded") == "true"

def test_the_first_tab_leads_past_the_navigation(browser, site):
    open_page(browser, site, "24_unet")
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.switch_to.active_element.text == "Skip to the text"
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    assert browser.switch_to.active_element.tag_name == "main"

def test_a_formula_wider_than_a_phone_scrolls_by_keyboard(browser, site):
    dressed(browser, "light", 390)
    open_page(browser, site, "24_unet")
    box = browser.find_element("css selector", ".wide-math")
    assert box.get_attribute("tabindex") == "0" and "512" in box.text
    assert browser.execute_script(STICKS_OUT) == []

def test_a_figure_enlarges_and_escape_closes_it(browser, site):
    dressed(browser, "light", 1280)
    open_page(browser, site, "11_introduction")
    picture = browser.find_element("css selector", "main figure img")
    picture.send_keys(Keys.ENTER)
    dialog = browser.find_element("css selector", "dialog.enlarged")
    large = dialog.find_element("css selector", "img")
    assert dialog.is_displayed() and large.get_attribute("alt") == picture.get_attribute("alt")
    assert large.size["width"] > picture.size["width"]
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert not dialog.is_displayed() and browser.switch_to.active_element == picture

def test_a_film_waits_for_its_button(browser, site):
    open_page(browser, site, "23_gan")
    film = browser.find_element("css selector", "img[data-moving]")
    still = film.get_attribute("src")
    button = browser.find_element("css selector", ".film-button")
    assert button.text == "Play" and not still.endswith(film.get_attribute("data-moving"))
    button.send_keys(Keys.ENTER)
    assert button.text == "Stop" and film.get_attribute("src").endswith(film.get_attribute("data-moving"))
    button.send_keys(Keys.ENTER)
    assert film.get_attribute("src") == still

def test_the_search_finds_prose_before_functions(browser, site):
    open_page(browser, site, "index")
    ActionChains(browser).send_keys("/").perform()
    browser.switch_to.active_element.send_keys("gamut")
    hits = lambda: browser.find_elements("css selector", ".search-hits a")
    WebDriverWait(browser, 20).until(lambda _: len(hits()) > 5)
    texts = [hit.text for hit in hits()]
    functions = [i for i, text in enumerate(texts) if text.endswith(("in_gamut", "map_to_gamut"))]
    assert functions and min(functions) > texts.index("2.1 Colour spaces · Into the gamut, at constant lightness and hue")
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    WebDriverWait(browser, 20).until(lambda _: "index.html" not in browser.current_url)

# ---- things to touch ----

def test_the_border_between_two_pictures_moves_by_keyboard(browser, site):
    dressed(browser, "light", 1280)
    open_page(browser, site, "11_introduction")
    tool = browser.find_element("css selector", "[data-tool=compare]")
    before, after = tool.find_elements("css selector", "img")
    assert before.size == after.size and before.location == after.location
    slider = tool.find_element("css selector", "input")
    shown = lambda: after.value_of_css_property("clip-path")
    middle = shown()
    slider.send_keys(Keys.ARROW_LEFT)
    assert middle == "inset(0px 0px 0px 50%)" and shown() == "inset(0px 0px 0px 49%)"
    slider.send_keys(Keys.HOME)
    assert slider.get_attribute("aria-valuetext") == "100 % in colour"

def test_the_sliders_know_the_formulas_of_chapter_2_1(browser, site):
    from colorize_lib.color import photo_to_lab
    open_page(browser, site, "11_introduction")
    colours = [(0, 0, 0), (255, 255, 255), (3, 2, 9), (230, 120, 30), (12, 200, 99), (0, 0, 255)]
    found = browser.execute_script("return arguments[0].map(c => labTool.toLab(...c))", colours)
    expected = photo_to_lab(np.array([colours], dtype=np.uint8))[:, 0].T.tolist()
    assert np.abs(np.array(found) - expected).max() < 0.05
    back = browser.execute_script("return arguments[0].map(c => labTool.toRgb(...c))", found)
    assert np.abs(np.array(back) - colours).max() < 0.02

@pytest.mark.parametrize("stem", ["11_introduction", "21_color_spaces"])
def test_a_photo_follows_the_sliders(browser, site, stem):
    open_page(browser, site, stem)
    tool = browser.find_element("css selector", "[data-tool=lab]")
    WebDriverWait(browser, 20).until(lambda _: "L 0, a 0" in tool.text)
    mean = lambda: browser.execute_script("""const c = document.querySelector("[data-tool=lab] canvas");
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data, sum = [0, 0, 0];
        for (let i = 0; i < d.length; i++) if (i % 4 < 3) sum[i % 4] += d[i]; return sum.map(s => 4*s/d.length);""")
    before = mean()
    assert "0 % of the pixels have a colour that a screen cannot show" in tool.text  # all of them were in the photo
    light, _, _, chroma = tool.find_elements("css selector", "input[type=range]")
    chroma.send_keys(Keys.HOME)
    red, green, blue = mean()
    assert before[0] - before[2] > 10 > 1 > abs(red - green) + abs(green - blue)
    light.send_keys(Keys.END)
    assert mean()[0] > red + 30 and "L 50, a 0, b 0, colour 0 %" in tool.text
    tool.find_element("css selector", "button").send_keys(Keys.ENTER)
    assert mean() == before
    chroma.send_keys(Keys.END)
    assert " 0 % of the pixels" not in tool.text

PLAYED = "const game = gameTool.game(arguments[0]); for (let i = 0; i < 200; i++) game.play(arguments[1], 1e-2); const {mean, spread} = game.state(); return [mean, spread];"

def test_the_game_arrives_where_the_chapter_says(browser, site):
    open_page(browser, site, "23_gan")
    for seed in (42, 43):
        mean, spread = browser.execute_script(PLAYED, seed, 10**-2.25)
        assert abs(mean - 4) < 0.3 and 0.3 < spread < 0.7
    mean, spread = browser.execute_script(PLAYED, 42, 0.1)
    assert abs(mean - 4) > 1 or not 0.3 < spread < 0.7

def test_the_game_is_played_in_rounds_and_pauses(browser, site):
    open_page(browser, site, "23_gan")
    tool = browser.find_element("css selector", "[data-tool=game]")
    play, once, again = tool.find_elements("css selector", "button")
    said = tool.find_element("css selector", "p")
    assert said.text.startswith("Round 0:") and "gray hill" in tool.find_element("css selector", "canvas").get_attribute("aria-label")
    once.send_keys(Keys.ENTER)
    assert said.text.startswith("Round 1:")
    play.send_keys(Keys.ENTER)
    assert play.text == "Pause"
    WebDriverWait(browser, 30).until(lambda _: not said.text.startswith(("Round 1:", "Round 2:")))
    play.send_keys(Keys.ENTER)
    stopped = said.text
    assert play.text == "Play" and not browser.execute_async_script("setTimeout(arguments[0], 500)") and said.text == stopped
    again.send_keys(Keys.ENTER)
    assert said.text.startswith("Round 0:")

def pixels(browser, canvas):
    "The gray levels of a canvas at the size of the photo"
    return np.array(browser.execute_script("""const c = arguments[0], d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        return Array.from({length: c.height/2}, (_, y) => Array.from({length: c.width/2}, (_, x) => d[4*(2*y*c.width + 2*x)]));""", canvas))

def kernel_tool(browser, site):
    "The tool of the primer when it has begun, and the line in which it speaks"
    dressed(browser, "light", 1280)
    open_page(browser, site, "12b_primer")
    tool = browser.find_element("css selector", "[data-tool=kernel]")
    said = tool.find_element("css selector", "p")
    WebDriverWait(browser, 20).until(lambda _: said.text.startswith("Row "))
    return tool, said

def test_a_kernel_slides_as_the_primer_says(browser, site):
    tool, said = kernel_tool(browser, site)
    found = browser.execute_script("return Array.from(kernelTool.convolve([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 4, 3, [1, 0, 0, 0, 2, 0, 0, 0, -3]))")
    assert found == [1 + 12 - 33, 2 + 14 - 36]
    before, after = tool.find_elements("css selector", "canvas")
    preset = tool.find_element("css selector", "select")
    preset.send_keys("identity")
    photo, answer = pixels(browser, before), pixels(browser, after)
    inside = photo[1:-1, 1:-1]
    assert answer.shape == inside.shape and (answer != inside).mean() < 0.01  # but for the red squares
    box = tool.find_elements("css selector", ".kernel-grid input")[4]
    box.clear()
    box.send_keys("0")
    assert preset.get_property("value") == "my own" and said.text.endswith("= 0.0")

def test_the_kernel_is_moved_by_keys_and_waits_for_its_button(browser, site):
    tool, said = kernel_tool(browser, site)
    row, column = tool.find_elements("css selector", "input[type=range]")
    for slider in (row, column): slider.send_keys(Keys.HOME)
    column.send_keys(Keys.ARROW_RIGHT)
    assert said.text.startswith("Row 0, column 1:")
    run = tool.find_element("css selector", "button")
    run.send_keys(Keys.ENTER)  # the reader of this test asked for less motion
    assert run.text == "Slide it over the photo" and said.text.startswith("Row 0, column 1:")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dict(features=[dict(name="prefers-reduced-motion", value="no-preference")]))
    run.send_keys(Keys.ENTER)
    WebDriverWait(browser, 20).until(lambda _: run.text == "Stop" and not said.text.startswith("Row 0,"))
    run.send_keys(Keys.ENTER)
    assert run.text == "Slide it over the photo"

@pytest.mark.parametrize("stem, first, last", [("24_unet", "all skips", "all off"), ("34b_adversarial", "1", "100"), ("52a_distributions", "2", "0.05")])
def test_a_slider_shows_one_picture_at_a_time(browser, site, stem, first, last):
    dressed(browser, "light", 1280)
    open_page(browser, site, stem)
    tool = browser.find_element("css selector", "[data-tool=series]")
    slider = tool.find_element("css selector", "input")
    shown = lambda: [figure.get_attribute("data-step") for figure in tool.find_elements("css selector", "figure") if figure.is_displayed()]
    slider.send_keys(Keys.HOME)
    assert shown() == [first] == [slider.get_attribute("aria-valuetext")]
    slider.send_keys(Keys.END)
    assert shown() == [last] == [slider.get_attribute("aria-valuetext")]
    picture = tool.find_element("css selector", "figure:not([hidden]) img")
    WebDriverWait(browser, 20).until(lambda _: picture.get_property("naturalWidth") > 300)
    assert picture.get_attribute("alt")

def test_the_verdict_map_shows_what_a_verdict_saw(browser, site):
    from colorize_lib.patchgan import PATCHGAN_LAYERS, patch_start
    dressed(browser, "light", 1280)
    open_page(browser, site, "25_patchgan")
    verdicts = browser.find_element("id", "explorer-map")
    said = browser.find_element("id", "explorer-out")
    start = lambda i: patch_start(i, PATCHGAN_LAYERS[70])
    covers = lambda row, column: f"covers rows {start(row)} to {start(row) + 69}, columns {start(column)} to {start(column) + 69}."
    assert covers(15, 15) in said.text
    verdicts.send_keys(Keys.ARROW_DOWN, Keys.ARROW_LEFT)
    assert covers(16, 14) in said.text
    ActionChains(browser).move_to_element_with_offset(verdicts, -verdicts.size["width"]//2 + 3, -verdicts.size["height"]//2 + 3).perform()
    assert covers(0, 0) in said.text
    dark = browser.find_element("css selector", "#explorer .seen path").get_attribute("d")
    assert f"M{start(0)} {start(0)}h70v70h-70Z" in dark

def test_the_votes_are_counted_for_the_chosen_photos(browser, site):
    from colorize_lib.survey import load_survey, mean_scores
    dressed(browser, "light", 1280)
    open_page(browser, site, "44_survey")
    tool = browser.find_element("css selector", "[data-tool=votes]")
    said = tool.find_element("css selector", "p")
    bars = tool.find_elements("css selector", ".votes-bar")
    counts = load_survey()
    assert said.text == "20 of 20 photos, 2000 votes, mean 3.38."
    assert [bar.get_attribute("aria-label").split()[2] for bar in bars] == [str(votes) for votes in counts.sum()]
    everything, nothing, *toggles = tool.find_elements("css selector", ".votes-choice button")
    toggles[4].send_keys(Keys.ENTER)
    rest = counts.drop("05")
    assert toggles[4].get_attribute("aria-pressed") == "false"
    assert said.text == f"19 of 20 photos, 1900 votes, mean {mean_scores(rest).mean():.2f}."
    bars[4].send_keys(Keys.ENTER)
    assert said.text.startswith(f"Grade 5: {rest[5].sum()} votes")
    nothing.send_keys(Keys.ENTER)
    assert said.text == "No photo is chosen."

def test_an_old_print_lies_under_its_colours(browser, site):
    dressed(browser, "light", 390)
    open_page(browser, site, "53_restoration")
    before, after = browser.find_elements("css selector", "[data-tool=compare] img")[:2]
    assert before.size == after.size and before.location == after.location and before.size["width"] > 220
def test_a_picture_hears_the_mouse(browser, tmp_path):
    "What the desk of chapter 5.3b adds to a page: a stroke becomes points in a text field"
    from PIL import Image
    from colorize_lib.widget import listening, read_line
    picture = listening(Image.new("L", (200, 100), 128))
    page = f"<div class='colorize-desk'>{picture}<div class='colorize-line' style='display:none'><input></div></div>"
    (tmp_path/"desk.html").write_text(f"<!doctype html><html lang='en'><title>desk</title>{page}")
    dressed(browser, "light", 1280)
    browser.get((tmp_path/"desk.html").as_uri())
    browser.execute_script("window.heard = []; document.addEventListener('change', e => heard.push(e.target.value))")
    image = browser.find_element("css selector", "img")
    stroke = ActionChains(browser).move_to_element_with_offset(image, -50, 0).click_and_hold()
    stroke.move_by_offset(50, 0).move_by_offset(50, 25).release().perform()
    ActionChains(browser).move_to_element(image).click().perform()
    line, click = map(read_line, browser.execute_script("return heard"))
    assert np.allclose([line[0], line[-1]], [(.25, .5), (.75, .75)], atol=.02) and len(line) >= 3
    assert np.allclose(click, [(.5, .5)], atol=.02) # a click is a stroke of one point
