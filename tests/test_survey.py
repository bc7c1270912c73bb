"""The survey's page in a real browser (headless Chromium), with the keyboard alone, on a phone's width; and what the report refuses."""
import base64, hashlib, json, os, re, shutil, subprocess, sys, time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from typer.testing import CliRunner

from colorize_lib import survey, survey_answers, survey_cli, survey_page, survey_report
from colorize_lib.photos import sample_photos

AXE = "axe-core", "4.14.1", "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="  # name, version, sha512
SOURCES = "real", "l1", "vivid"


def command(*args):
    "colorize-survey in this process: exit code and everything it said"
    result = CliRunner().invoke(survey_cli.app, list(map(str, args)))
    return result.exit_code, result.output


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    "Three colour photos, one with notes that must not get out"
    folder = tmp_path_factory.mktemp("photos")
    for name in ("coffee", "chelsea", "flower"):
        image = sample_photos()[name]
        image.thumbnail((320, 320))
        exif = image.getexif()
        exif[0x010e] = "the secret note"
        image.save(folder/f"{name}.jpg", exif=exif, comment=b"the secret note")
    return folder


@pytest.fixture(scope="session")
def built(photos, tmp_path_factory):
    "A survey as the command makes it"
    folder = tmp_path_factory.mktemp("survey")
    code, said = command("build", photos, "--models", "vivid,l1", "--controls", "real,l1", "--side", "240", "--seed", "7", "--device", "cpu", "-o", folder)
    assert code == 0, said
    return folder


@pytest.fixture(scope="session")
def key(built): return json.loads((built/"key.json").read_text(encoding="utf-8"))


# ---- without a browser ----

def test_the_page_fetches_nothing_and_carries_no_notes(built):
    page = (built/"survey.html").read_text(encoding="utf-8")
    without_pictures = re.sub(r"data:image/jpeg;base64,[\w+/=]+", "", page)
    assert not re.search(r"https?:|wss?:|(src|href)=(?!\"?data:)|@import|url\(|\bfetch\(|XMLHttpRequest|sendBeacon|WebSocket", without_pictures)
    assert "default-src 'none'" in page
    pictures = [base64.b64decode(p) for p in re.findall(r"data:image/jpeg;base64,([\w+/=]+)", page)]
    assert len(pictures) == 9 and not any(b"secret" in p or b"Exif" in p for p in pictures)


def test_the_page_is_gray_around_the_pictures():
    "A coloured surround would change how the pictures look"
    style = survey_page.survey_page({}).split("<style>")[1].split("</style>")[0]
    found = re.findall(r"#([0-9a-f]{6})\b", style)
    assert len(found) > 8 and all(c[:2] == c[2:4] == c[4:] for c in found)


def test_the_page_does_not_say_which_is_which(built, key):
    data = json.loads((built/"survey.html").read_text(encoding="utf-8").split('id="data">')[1].split("</script>")[0])
    told = json.dumps({k: v for k, v in data.items() if k != "text"} | {"pictures": list(data["pictures"])})
    assert not re.search("real|vivid|l1|coffee|chelsea|flower", told) and str(key["seed"]) not in told.split()
    assert list(data["pictures"]) == sorted(data["pictures"]) and all(re.fullmatch("[0-9a-f]{8}", i) for i in data["pictures"])
    assert {source for _, source in key["pictures"].values()} == set(SOURCES)


def test_the_same_seed_builds_the_same_survey_and_a_key_is_never_lost(photos, built, tmp_path):
    options = ["--models", "vivid", "--controls", "real,l1", "--side", "240", "--seed", "7", "--device", "cpu"]
    command("build", photos, *options, "-o", tmp_path)
    again, first = (json.loads((folder/"key.json").read_text()) for folder in (tmp_path, built))
    assert set(again["pictures"]) == set(first["pictures"])
    code, said = command("build", photos, *options, "-o", tmp_path)
    assert code == 2 and "key" in said and "--force" in said
    assert command("build", photos, *options, "--force", "-o", tmp_path)[0] == 0


def test_photos_that_cannot_be_used_are_named(photos, tmp_path):
    folder = tmp_path/"in"
    shutil.copytree(photos, folder)
    sample_photos()["coffee"].convert("L").save(folder/"gray.png")
    (folder/"broken.jpg").write_text("no photo")
    code, said = command("build", folder, "--models", "l1", "--controls", "real", "--side", "100", "--device", "cpu", "-o", tmp_path/"out")
    assert code == 0 and "broken.jpg" in said and "gray.png: is gray" in said
    assert command("build", folder/"gray.png", folder/"coffee.jpg", "--models", "l1", "-o", tmp_path/"few")[0] == 2
    assert command("build", tmp_path/"nowhere", "-o", tmp_path/"none")[0] == 2
    assert command("build", folder, "--models", "nonsense", "-o", tmp_path/"none")[0] == 2


@pytest.fixture
def inbox(key, tmp_path):
    "Five good files of answers"
    people = survey_answers.simulated_answers(key, 5, dict(zip(SOURCES, (1.2, -0.5, 0.4))))
    for i, person in enumerate(people): (tmp_path/f"p{i}.json").write_text(survey_page.answer_file(person), encoding="utf-8")
    return tmp_path


def edited(path, **changes):
    "The same file with other content and a fresh checksum"
    content = json.loads(path.read_text(encoding="utf-8"))["content"]
    return survey_page.answer_file({**content, **changes})


def analysed(inbox, built, *options):
    return (*command("analyse", inbox, "--key", built/"key.json", "-o", inbox/"out", *options), inbox/"out")


def test_good_answers_make_a_report(inbox, built):
    code, said, out = analysed(inbox, built)
    assert code == 0, said
    report = json.loads((out/"report.json").read_text(encoding="utf-8"))
    assert report["raters"] == 5 and {m["source"] for m in report["means"]} == set(SOURCES)
    assert len((out/"ratings.csv").read_text(encoding="utf-8").splitlines()) == 1 + 5*9
    page = (out/"report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|<script|(src|href)=(?!\"?data:)", re.sub(r"data:image/\w+;base64,[\w+/=]+", "data:", page))


def test_the_report_holds_the_models_of_every_source(inbox, key, built):
    _, _, out = analysed(inbox, built)
    models = json.loads((out/"report.json").read_text(encoding="utf-8"))["models"]
    ratings = pd.read_csv(out/"ratings.csv")
    assert set(models) == set(SOURCES)
    for source, model in models.items():
        counts = survey_report.grade_counts(ratings[ratings.source == source], "photo")
        assert model["agreement"]["photos"] == pytest.approx(counts.apply(survey.agreement, axis=1).to_dict())
        assert model["reliability"]["icc"] == pytest.approx(survey.variances(counts)["icc"])
        assert model["power"]["other"] == pytest.approx(survey.power(counts, 3, 5))
        assert model["people"]["strictness_min"] <= model["people"]["strictness"] <= model["people"]["strictness_max"]
        if "why" in model["ordinal"]:
            with pytest.raises(ValueError, match=re.escape(model["ordinal"]["why"])): survey.ordinal_model(counts)
        else: assert model["ordinal"]["thresholds"] == pytest.approx(survey.ordinal_model(counts)[1].to_dict())
    page = (out/"report.html").read_text(encoding="utf-8")
    for title in ("Agreement about one photo", "Reliability", "Ordinal model", "Power"): assert page.count(f"<b>{title}:</b>") == 3


@pytest.mark.parametrize("make, reason", [
    (lambda p: p.read_text()[:-30], "not whole JSON"),
    (lambda p: p.read_text().replace('"grades": [\n   ', '"grades": [\n   1', 1), "checksum"),
    (lambda p: "", "not whole JSON"),
    (lambda p: "[1, 2]", "not a file of answers"),
    (lambda p: edited(p, survey="0"*12), "another survey"),
    (lambda p: edited(p, grades=[9] + [3]*8), "impossible value among its grades"),
    (lambda p: edited(p, grades=[2.5] + [3]*8), "impossible value among its grades"),
    (lambda p: edited(p, grades=[None] + [3]*8), "incomplete: 1 of 12"),
    (lambda p: edited(p, order=[]), "other questions"),
    (lambda p: edited(p, language="vi"), "same person"),
    (lambda p: edited(p, rater="0"*16), "same answers")])
def test_refused_with_a_reason_and_the_rest_counts(inbox, built, make, reason):
    (inbox/"z_bad.json").write_text(make(inbox/"p0.json"), encoding="utf-8")
    code, said, out = analysed(inbox, built)
    assert code == 1 and re.search(rf"z_bad\.json: .*{reason}", said), said
    report = json.loads((out/"report.json").read_text(encoding="utf-8"))
    assert report["raters"] == 5 and len(report["refused"]) == 1


def test_incomplete_files_count_when_allowed(inbox, built):
    (inbox/"z.json").write_text(edited(inbox/"p0.json", rater="1"*16, grades=[None] + [3]*8), encoding="utf-8")
    code, said, out = analysed(inbox, built, "--allow-incomplete")
    assert code == 0, said
    assert json.loads((out/"report.json").read_text())["raters"] == 6


def test_a_single_grade_is_enough_when_allowed(inbox, built):
    for file in sorted(inbox.glob("p*.json"))[1:]: file.unlink()
    (inbox/"p0.json").write_text(edited(inbox/"p0.json", grades=[4] + [None]*8, grade_ms=[None]*9, choices=[None]*3, choice_ms=[None]*3), encoding="utf-8")
    code, said, out = analysed(inbox, built, "--allow-incomplete")
    assert code == 0, said
    assert "<b>Ordinal model:</b> not known here: an ordinal model needs two photos" in (out/"report.html").read_text(encoding="utf-8")
    (inbox/"p0.json").write_text(edited(inbox/"p0.json", grades=[None]*9), encoding="utf-8")
    code, said, _ = analysed(inbox, built, "--allow-incomplete")
    assert code == 1 and "holds no grade" in said


def test_the_key_is_needed(inbox, built):
    assert command("analyse", inbox, "-o", inbox/"out")[0] == 2
    assert command("analyse", inbox, "--key", inbox/"p0.json", "-o", inbox/"out")[0] == 2
    assert command("analyse", inbox, "--key", inbox/"nowhere.json", "-o", inbox/"out")[0] == 2
    (inbox/"none").mkdir()
    code, said = command("analyse", inbox/"none", "--key", built/"key.json", "-o", inbox/"out")
    assert code == 1 and "no answers" in said


def test_the_intervals_of_the_choices_keep_their_promise():
    "95 % intervals of the share that takes `other` for `one`, in 100 surveys of 30 people and 20 photos; each person sees a third of the pairs"
    truth, held, names = norm.cdf(-0.8/np.sqrt(2*(0.5**2 + 0.8**2))), 0, ["one", "other"]
    for seed in range(100):
        rng = np.random.default_rng(seed)
        _, appeal = survey_answers.feelings([0.8, 0.0], 30, 20, rng=rng)
        rater, photo = (i.ravel() for i in np.indices(appeal.shape[:2]))
        chosen = np.array(names)[np.argmax(appeal, axis=2).ravel()]
        choices = pd.DataFrame(dict(rater=rater, photo=photo, left="one", right="other", chosen=chosen)).sample(frac=1/3, random_state=seed)
        share = survey_report.choice_shares(choices, names, seed=seed).iloc[0]
        held += share.low <= truth <= share.high
    assert held >= 90


def test_without_ipywidgets_the_widget_says_what_to_install(key, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match="pip install ipywidgets"): survey_answers.rating_widget({}, key)


def test_help_is_quick():
    script = "import sys, time; from colorize_lib.survey_cli import app\ntry: app(['build', '--help'])\nexcept SystemExit: pass\nprint('CPU', time.process_time(), *(m for m in ('torch', 'pandas', 'scipy') if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    seconds, *heavy = run.stdout.rsplit("CPU", 1)[1].split()
    assert float(seconds) < 0.5 and not heavy, run.stdout


# ---- with a browser ----

@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    "axe-core's script, from the npm registry, checked against its hash"
    if not shutil.which("npm"): pytest.skip("no npm to fetch axe-core with")
    name, version, sha512 = AXE
    folder = tmp_path_factory.mktemp("axe")
    try: subprocess.run(["npm", "pack", "--silent", "--fetch-retries=1", f"{name}@{version}"], cwd=folder, capture_output=True, timeout=120)
    except subprocess.TimeoutExpired: pass
    archive = folder/f"{name}-{version}.tgz"
    if not archive.is_file(): pytest.skip("npm cannot fetch axe-core")
    assert base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() == sha512
    shutil.unpack_archive(archive, folder)
    return (folder/"package"/"axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def browser(tmp_path):
    "Headless Chromium, as wide as a phone; what it downloads lands in tmp_path/downloads"
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not (chromium and driver): pytest.skip("no chromium and chromedriver (on Debian: apt-get install chromium chromium-driver)")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update",
                 "disable-sync", "disable-dev-shm-usage", f"user-data-dir={tmp_path/'profile'}"): options.add_argument(f"--{flag}")
    options.add_experimental_option("prefs", {"download.default_directory": str(tmp_path/"downloads"), "intl.accept_languages": "en"})
    found = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    found.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", dict(width=360, height=740, deviceScaleFactor=1, mobile=True))
    yield found
    found.quit()


def press(browser, *keys):
    from selenium.webdriver import ActionChains
    for key in keys: ActionChains(browser).send_keys(key).perform()


def screen(browser): return browser.execute_script("return document.querySelector('main > section:not([hidden])').id")


def tab_to(browser, name):
    "Press Tab until the element with this id has the focus"
    from selenium.webdriver import Keys
    for _ in range(30):
        press(browser, Keys.TAB)
        if browser.execute_script("return document.activeElement.id") == name: return
    raise AssertionError(f"{name} cannot be reached with Tab")


def start(browser, built):
    from selenium.webdriver import Keys
    browser.get((built/"survey.html").as_uri())
    assert screen(browser) == "intro"
    tab_to(browser, "consent")
    press(browser, Keys.SPACE, Keys.ENTER)
    assert screen(browser) == "rate"


def narrow(browser): return browser.execute_script("return document.documentElement.scrollWidth <= 360 && innerWidth === 360")


def downloaded(folder, name="*.json"):
    "The file that arrives"
    for _ in range(100):
        if found := list(folder.glob(name)): return found[0]
        time.sleep(0.1)
    raise AssertionError(f"nothing arrived: {list(folder.glob('*'))}")


def test_the_whole_survey_with_the_keyboard_alone(browser, built, key, tmp_path):
    from selenium.webdriver import Keys
    start(browser, built)
    alts, grades = [], [1, 2, 3, 4, 5, 5, 4, 3, 2]
    press(browser, Keys.ENTER)
    assert browser.execute_script("return document.getElementById('problem').textContent").startswith("Please choose")
    for grade in grades[:-1]:
        alts.append(browser.execute_script("return document.getElementById('picture').alt"))
        assert narrow(browser)
        press(browser, str(grade), Keys.ENTER)
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ENTER)  # 1, then 2
    assert alts[2] == "The photograph to judge, number 3" and screen(browser) == "pairs"
    press(browser, Keys.ENTER)
    for choice in (Keys.ARROW_LEFT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT):
        assert screen(browser) == "pair" and narrow(browser)
        press(browser, choice, Keys.ENTER)
    assert screen(browser) == "end" and narrow(browser)
    tab_to(browser, "save")
    press(browser, Keys.ENTER)
    file = downloaded(tmp_path/"downloads")
    content = survey_answers.opened(file.read_text(encoding="utf-8"))
    survey_answers.check_answers(content, key)  # the page's order is Python's for the same seed
    assert content["grades"] == grades and content["choices"] == [0, 1, 1] and all(t >= 0 for t in content["grade_ms"])
    code, said = command("analyse", file, "--key", built/"key.json", "-o", tmp_path/"out")
    assert code == 0 and json.loads((tmp_path/"out"/"report.json").read_text())["raters"] == 1, said
    assert not [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]


def played(browser, built, person, folder):
    "Let the page ask what it asks a person with this seed, answer as that person does, and save: the file that arrives"
    from selenium.webdriver import ActionChains, Keys
    browser.get((built/"survey.html").as_uri())
    browser.execute_script("localStorage.setItem(place, JSON.stringify({...newState(), seed: arguments[0], rater: arguments[1]}))", person["seed"], person["rater"])
    start(browser, built)
    grades = [key for grade in person["grades"] for key in (str(grade), Keys.ENTER)]
    choices = [key for choice in person["choices"] for key in ((Keys.ARROW_LEFT, Keys.ARROW_RIGHT)[choice], Keys.ENTER)]
    ActionChains(browser, duration=0).send_keys(*grades, Keys.ENTER, *choices).perform()
    assert screen(browser) == "end"
    tab_to(browser, "save")
    press(browser, Keys.ENTER)
    return downloaded(folder, f"survey-*-{person['rater']}.json")


def test_the_planted_order_comes_out_of_the_page(browser, built, key, tmp_path):
    people = survey_answers.simulated_answers(key, 4, dict(real=2., l1=-2., vivid=0.), seed=3)
    for person in people:
        file = played(browser, built, person, tmp_path/"downloads")
        content = survey_answers.opened(file.read_text(encoding="utf-8"))
        assert [content[name] for name in ("order", "grades", "pairs", "choices")] == [person[name] for name in ("order", "grades", "pairs", "choices")]
    code, said, out = analysed(tmp_path/"downloads", built)
    assert code == 0, said
    report = json.loads((out/"report.json").read_text(encoding="utf-8"))
    means = {row["source"]: row["mean"] for row in report["means"]}
    assert report["raters"] == 4 and sorted(means, key=means.get) == ["l1", "vivid", "real"]
    for row in report["choices"]: assert (row["share"] > 0.5) == (means[row["source"]] > means[row["against"]]), row


def test_answers_and_language_survive_a_reload(browser, built):
    from selenium.webdriver import Keys
    start(browser, built)
    press(browser, "4", Keys.ENTER, "2")
    browser.execute_script("document.querySelector('[data-language=vi]').click()")
    state = "return [document.documentElement.lang, document.getElementById('progress').textContent, document.querySelector('[name=grade]:checked').value, state.rater]"
    before = browser.execute_script(state)
    assert before[:3] == ["vi", "Ảnh 2 trên 9", "2"]
    browser.refresh()
    assert browser.execute_script(state) == before
    tab_to(browser, "back")
    press(browser, Keys.ENTER)
    assert browser.execute_script(state)[1:3] == ["Ảnh 1 trên 9", "4"]


def test_stopping_going_back_and_deleting(browser, built):
    from selenium.webdriver import Keys
    start(browser, built)
    press(browser, "3", Keys.ENTER)
    tab_to(browser, "stop")
    press(browser, Keys.ENTER)
    assert screen(browser) == "end" and "1 of 12" in browser.execute_script("return document.getElementById('answered').textContent")
    tab_to(browser, "back")
    press(browser, Keys.ENTER)
    assert browser.execute_script("return document.getElementById('progress').textContent") == "Picture 2 of 9"
    rater = browser.execute_script("return state.rater")
    tab_to(browser, "stop")
    press(browser, Keys.ENTER)
    tab_to(browser, "forget")
    press(browser, Keys.ENTER)
    browser.switch_to.alert.accept()
    assert screen(browser) == "intro" and browser.execute_script("return state.rater") != rater
    assert browser.execute_script("return Object.keys(state.grades).length") == 0


def test_a_browser_that_keeps_nothing_is_no_obstacle(browser, built):
    forbid = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('forbidden'); }})"
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", dict(source=forbid))
    start(browser, built)
    press(browser, "5")
    assert browser.execute_script("return state.grades[0]") == 5 and browser.execute_script("return keeps") is False
    browser.execute_script("go(0)")
    assert browser.execute_script("return !document.getElementById('forgetful').hidden")


def test_the_browser_refuses_to_send_anything(browser, built):
    browser.get((built/"survey.html").as_uri())
    told = browser.execute_async_script("""const tell = arguments[0], seen = [];
        document.addEventListener('securitypolicyviolation', e => seen.push(e.effectiveDirective));
        fetch('https://example.org/').catch(() => 0);
        navigator.sendBeacon('https://example.org/', 'x');
        new Image().src = 'https://example.org/x.png';
        setTimeout(() => tell(seen), 500);""")
    assert set(told) >= {"connect-src", "img-src"}


def test_a_damaged_memory_is_no_obstacle(browser, built):
    browser.get((built/"survey.html").as_uri())
    for text in ("{", "null", '{"rater": 1}', '{"rater": "0123456789abcdef", "seed": 1, "language": "en", "at": 999, "grades": {}, "choices": {}, "times": {}}'):
        browser.execute_script("localStorage.setItem(place, arguments[0])", text)
        browser.refresh()
        assert screen(browser) in ("intro", "end")


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "vi"])
def test_no_axe_violation_on_any_screen(browser, built, axe, language, colours):
    features = [dict(name="prefers-color-scheme", value=colours), dict(name="prefers-reduced-motion", value="reduce")]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dict(features=features))
    browser.get((built/"survey.html").as_uri())
    browser.execute_script(axe)
    browser.execute_script(f"document.querySelector('[data-language={language}]').click()")
    seen = set()
    for step in browser.execute_script("return steps.map((s, i) => i)"):
        browser.execute_script("go(arguments[0])", step)
        name = screen(browser)
        if name in seen: continue
        seen.add(name)
        if name in ("intro", "rate", "pair"): browser.execute_script("next()")  # with the message that something is missing
        if name in ("rate", "pair") and step % 2: browser.execute_script("choose(1)")
        if name == "end": browser.execute_script("document.querySelector('details').open = true; save()")
        result = browser.execute_async_script("const tell = arguments[arguments.length - 1]; axe.run().then(tell, e => tell({error: String(e)}))")
        assert "error" not in result, result
        assert [(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in result["violations"]] == [], name
        assert narrow(browser), name
    assert seen == {"intro", "rate", "pairs", "pair", "end"}
    assert browser.execute_script("return getComputedStyle(document.querySelector('progress')).transitionDuration") in ("0s", "")


def test_no_axe_violation_in_the_report(browser, built, inbox, axe):
    analysed(inbox, built)
    browser.get((inbox/"out"/"report.html").as_uri())
    browser.execute_script(axe)
    result = browser.execute_async_script("axe.run().then(arguments[0])")
    assert [(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in result["violations"]] == []


def test_axe_sees_what_is_wrong(browser, built, axe):
    browser.get((built/"survey.html").as_uri())
    browser.execute_script(axe)
    browser.execute_script("go(1); document.getElementById('picture').removeAttribute('alt'); document.documentElement.lang = ''")
    found = browser.execute_async_script("axe.run().then(arguments[0])")["violations"]
    assert {"image-alt", "html-has-lang"} <= {v["id"] for v in found}
