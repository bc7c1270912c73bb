"""The survey's page in a real browser (headless Chromium), with the keyboard alone and on a
phone's width; and what the report refuses."""
import base64, hashlib, json, os, re, shutil, subprocess, sys, threading, time, types

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from typer.testing import CliRunner

from colorize_lib import (
    survey, survey_answers, survey_cli, survey_models, survey_page, survey_report,
)
from colorize_lib.photos import sample_photos

AXE = "4.14.1"  # version of axe-core
AXE_SHA512 = ("FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NP"
              "jCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==")
SOURCES = ("real", "l1", "bins")
TITLES = ("Agreement about one photo", "Reliability", "Ordinal model", "Power")
JPEG = r"data:image/jpeg;base64,([\w+/=]+)"
SMALL = ("--side", "240", "--seed", "7", "--device", "cpu")


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
    sources = ("--models", "bins,l1", "--controls", "real,l1")
    code, said = command("build", photos, *sources, *SMALL, "-o", folder)
    assert code == 0, said
    return folder


@pytest.fixture(scope="session")
def key(built): return json.loads((built/"key.json").read_text(encoding="utf-8"))


# ---- without a browser ----

def test_the_page_fetches_nothing_and_carries_no_notes(built):
    page = (built/"survey.html").read_text(encoding="utf-8")
    calls = (r"https?:|wss?:|(src|href)=(?!\"?data:)|@import|url\(|\bfetch\("
             "|XMLHttpRequest|sendBeacon|WebSocket")
    assert not re.search(calls, re.sub(JPEG, "", page))
    assert "default-src 'none'" in page
    pictures = [base64.b64decode(p) for p in re.findall(JPEG, page)]
    assert len(pictures) == 9
    assert not any(b"secret" in p or b"Exif" in p for p in pictures)


def test_the_page_is_gray_around_the_pictures():
    "A coloured surround would change how the pictures look"
    style = survey_page.survey_page({}).split("<style>")[1].split("</style>")[0]
    found = re.findall(r"#([0-9a-f]{6})\b", style)
    assert len(found) > 8 and all(c[:2] == c[2:4] == c[4:] for c in found)


def test_the_page_does_not_say_which_is_which(built, key):
    page = (built/"survey.html").read_text(encoding="utf-8")
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    del data["text"]
    names = list(data.pop("pictures"))
    told = json.dumps([data, names])
    assert not re.search("real|bins|l1|coffee|chelsea|flower", told)
    assert str(key["seed"]) not in told.split()
    assert names == sorted(names) and all(re.fullmatch("[0-9a-f]{8}", i) for i in names)
    assert {source for _, source in key["pictures"].values()} == set(SOURCES)


def test_the_same_seed_builds_the_same_survey_and_a_key_is_never_lost(photos, built, tmp_path):
    options = ("--models", "bins", "--controls", "real,l1", *SMALL)
    command("build", photos, *options, "-o", tmp_path)
    again = survey_page.read_key(tmp_path/"key.json")
    first = survey_page.read_key(built/"key.json")
    assert set(again["pictures"]) == set(first["pictures"])
    code, said = command("build", photos, *options, "-o", tmp_path)
    assert code == 2 and "key" in said and "--force" in said
    assert command("build", photos, *options, "--force", "-o", tmp_path)[0] == 0


def test_photos_that_cannot_be_used_are_named(photos, tmp_path):
    folder = tmp_path/"in"
    shutil.copytree(photos, folder)
    sample_photos()["coffee"].convert("L").save(folder/"gray.png")
    (folder/"broken.jpg").write_text("no photo")
    def build(photos, *options, out="none"):
        return command("build", *photos, *options, "--device", "cpu", "-o", tmp_path/out)
    small = ("--models", "l1", "--controls", "real", "--side", "100")
    code, said = build([folder], *small, out="out")
    assert code == 0 and "broken.jpg" in said and "gray.png: is gray" in said
    assert build([folder/"gray.png", folder/"coffee.jpg"], *small)[0] == 2
    (tmp_path/"empty").mkdir()
    (folder/"list.txt").write_text("coffee.jpg")
    for given, reason in (
        (folder/"gray.png", "gray.png: is gray"), (folder/"broken.jpg", "broken.jpg: is "),
        (folder/"list.txt", "list.txt: is not a photo"), (tmp_path/"nowhere", "nowhere: no such file"),
        (tmp_path/"empty", "empty: no photos in it"),
    ):
        code, said = build([given], *small)
        assert code == 2 and reason in said and "none can be used here" in said, said
        assert not (tmp_path/"none").exists()
    assert build([folder], "--models", "nonsense")[0] == 2


def test_files_of_somebody_else_stay(photos, built, tmp_path):
    mine = {"survey.html": "<p>my own survey", "key.json": '{"door": 7}'}
    for name, text in mine.items():
        (tmp_path/name).mkdir()
        (tmp_path/name/name).write_text(text)
        for force in ((), ("--force",)):
            code, said = command("build", photos, "--models", "l1", *SMALL, *force, "-o", tmp_path/name)
            assert code == 2 and f"{name} is not a file of this command" in said, said
        assert [(f.name, f.read_text()) for f in (tmp_path/name).iterdir()] == [(name, text)]
    survey_cli._check_folder(built, survey_cli.SURVEY)


@pytest.fixture
def inbox(key, tmp_path):
    "Five good files of answers"
    people = survey_answers.simulated_answers(key, 5, dict(zip(SOURCES, (1.2, -0.5, 0.4))))
    for i, person in enumerate(people):
        text = survey_page.answer_file(person)
        (tmp_path/f"p{i}.json").write_text(text, encoding="utf-8")
    return tmp_path


def edited(path, **changes):
    "The same file with other content and a fresh checksum"
    content = json.loads(path.read_text(encoding="utf-8"))["content"]
    return survey_page.answer_file({**content, **changes})


def analysed(inbox, built, *options):
    out = inbox/"out"
    return (*command("analyse", inbox, "--key", built/"key.json", "-o", out, *options), out)


def test_good_answers_make_a_report(inbox, built):
    code, said, out = analysed(inbox, built)
    assert code == 0, said
    report = json.loads((out/"report.json").read_text(encoding="utf-8"))
    assert report["raters"] == 5 and {m["source"] for m in report["means"]} == set(SOURCES)
    assert len((out/"ratings.csv").read_text(encoding="utf-8").splitlines()) == 1 + 5*9
    page = (out/"report.html").read_text(encoding="utf-8")
    without_pictures = re.sub(r"data:image/\w+;base64,[\w+/=]+", "data:", page)
    assert not re.search(r"https?:|<script|(src|href)=(?!\"?data:)", without_pictures)


@pytest.mark.parametrize("name", ["ratings.csv", "report.html", "report.json"])
def test_a_report_replaces_a_report_and_nothing_else(inbox, built, name):
    code, said, out = analysed(inbox, built)
    assert code == 0, said
    survey_cli._check_folder(out, survey_cli.REPORT)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    before[name] = b"my own ratings\n"
    (out/name).write_bytes(before[name])
    code, said, _ = analysed(inbox, built)
    assert code == 2 and f"{name} is not a file of this command" in said
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_the_report_holds_the_models_of_every_source(inbox, key, built):
    _, _, out = analysed(inbox, built)
    models = json.loads((out/"report.json").read_text(encoding="utf-8"))["models"]
    ratings = pd.read_csv(out/"ratings.csv")
    assert set(models) == set(SOURCES)
    for source, model in models.items():
        counts = survey_report.grade_counts(ratings[ratings.source == source], "photo")
        A = counts.apply(survey_models.agreement, axis=1)
        assert model["agreement"]["photos"] == pytest.approx(A.to_dict())
        icc = survey_models.variances(counts)["icc"]
        assert model["reliability"]["icc"] == pytest.approx(icc)
        assert model["power"]["other"] == pytest.approx(survey_models.power(counts, 3, 5))
        people = model["people"]
        assert people["strictness_min"] <= people["strictness"] <= people["strictness_max"]
        why = model["ordinal"].get("why")
        if why:
            with pytest.raises(ValueError, match=re.escape(why)):
                survey_models.ordinal_model(counts)
            continue
        thresholds = survey_models.ordinal_model(counts)[1].to_dict()
        assert model["ordinal"]["thresholds"] == pytest.approx(thresholds)
    page = (out/"report.html").read_text(encoding="utf-8")
    for title in TITLES: assert page.count(f"<b>{title}:</b>") == 3


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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_in_a_folder_is_not_waited_for(inbox, key):
    os.mkfifo(inbox/"pipe.json")
    people, refused = survey_answers.read_answers([inbox], key)
    assert len(people) == 5 and refused == [f"{inbox/'pipe.json'}: is not a regular file"]
    send = lambda: (inbox/"pipe.json").write_text((inbox/"p0.json").read_text())
    writer = threading.Thread(target=send)
    writer.start()
    assert survey_answers.read_answers([inbox/"pipe.json"], key)[1] == []  # named, it is read
    writer.join()


def test_incomplete_files_count_when_allowed(inbox, built):
    person = edited(inbox/"p0.json", rater="1"*16, grades=[None] + [3]*8)
    (inbox/"z.json").write_text(person, encoding="utf-8")
    code, said, out = analysed(inbox, built, "--allow-incomplete")
    assert code == 0, said
    assert json.loads((out/"report.json").read_text())["raters"] == 6


def test_a_single_grade_is_enough_when_allowed(inbox, built):
    for file in sorted(inbox.glob("p*.json"))[1:]: file.unlink()
    nothing = dict(grade_ms=[None]*9, choices=[None]*3, choice_ms=[None]*3)
    person = edited(inbox/"p0.json", grades=[4] + [None]*8, **nothing)
    (inbox/"p0.json").write_text(person, encoding="utf-8")
    code, said, out = analysed(inbox, built, "--allow-incomplete")
    assert code == 0, said
    page = (out/"report.html").read_text(encoding="utf-8")
    assert "<b>Ordinal model:</b> not known here: an ordinal model needs two photos" in page
    person = edited(inbox/"p0.json", grades=[None]*9)
    (inbox/"p0.json").write_text(person, encoding="utf-8")
    code, said, _ = analysed(inbox, built, "--allow-incomplete")
    assert code == 1 and "holds no grade" in said


def test_the_key_is_needed(inbox, built, tmp_path_factory):
    assert command("analyse", inbox, "-o", inbox/"out")[0] == 2
    assert command("analyse", inbox, "--key", inbox/"p0.json", "-o", inbox/"out")[0] == 2
    assert command("analyse", inbox, "--key", inbox/"nowhere.json", "-o", inbox/"out")[0] == 2
    key = json.loads((built/"key.json").read_text(encoding="utf-8"))
    edited_key = tmp_path_factory.mktemp("key")/"edited.json"
    def changed(**parts):
        whole = {name: part for name, part in {**key, **parts}.items() if part is not None}
        edited_key.write_text(json.dumps(whole), encoding="utf-8-sig")
        return command("analyse", inbox, "--key", edited_key, "-o", inbox/"out")
    lost = [dict.fromkeys([name]) for name in ("survey", "pairs", "sources", "groups", "pictures")]
    for parts in (*lost, dict(groups=[]), dict(sources=["real"]), dict(groups=key["groups"][:2])):
        code, said = changed(**parts)
        assert code == 2 and "edited.json is not a whole key: " in said, said
        assert not (inbox/"out").exists()
    assert changed()[0] == 0  # a mark at the beginning does no harm
    (inbox/"none").mkdir()
    code, said = command("analyse", inbox/"none", "--key", built/"key.json", "-o", inbox/"out")
    assert code == 1 and "no answers" in said


def test_the_intervals_of_the_choices_keep_their_promise():
    "100 surveys of 30 people and 20 photos; each person sees a third of the pairs"
    truth = norm.cdf(-0.8/np.sqrt(2*(0.5**2 + 0.8**2)))
    names = ["one", "other"]
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        _, appeal = survey_answers.feelings([0.8, 0.0], 30, 20, rng=rng)
        rater, photo = (i.ravel() for i in np.indices(appeal.shape[:2]))
        chosen = np.array(names)[np.argmax(appeal, axis=2).ravel()]
        every = dict(rater=rater, photo=photo, left="one", right="other", chosen=chosen)
        choices = pd.DataFrame(every).sample(frac=1/3, random_state=seed)
        share = survey_report.choice_shares(choices, names, seed=seed).iloc[0]
        held += share.low <= truth <= share.high
    assert held >= 90


def test_without_ipywidgets_the_widget_says_what_to_install(key, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    with pytest.raises(ImportError, match="pip install ipywidgets"):
        survey_answers.rating_widget({}, key)


def test_help_loads_nothing_heavy():
    script = (
        "import sys\n"
        "from colorize_lib.survey_cli import app\n"
        "try: app(['build', '--help'])\n"
        "except SystemExit: pass\n"
        "print('loaded', *(m for m in ('torch', 'pandas', 'scipy') if m in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.stdout.splitlines()[-1] == "loaded", run.stdout + run.stderr


def test_two_equal_sets_of_votes_do_not_differ(monkeypatch):
    "Whatever scipy says about them: 1.17 has 1, 1.18 has NaN"
    nan = types.SimpleNamespace(pvalue=np.nan, statistic=np.nan)
    monkeypatch.setattr(survey_models.stats, "mannwhitneyu", lambda *votes, **options: nan)
    rows = [[0, 0, 5, 0, 0], [0, 0, 9, 0, 0], [0, 0, 5, 0, 0]]
    for counts in (rows, [[1, 2, 3, 4, 5]]*3):
        counts = pd.DataFrame(counts, list("abc"), survey.GRADES)
        pairs = survey_models.differing_pairs(counts, level=1)
        assert pairs.p.tolist() == pairs.p_holm.tolist() == [1, 1, 1]
        assert survey_models.differing_pairs(counts).empty


# ---- with a browser ----

@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    "axe-core's script, from the npm registry, checked against its hash"
    if not shutil.which("npm"): pytest.skip("no npm to fetch axe-core with")
    folder = tmp_path_factory.mktemp("axe")
    fetch = ["npm", "pack", "--silent", "--fetch-retries=1", f"axe-core@{AXE}"]
    try: subprocess.run(fetch, cwd=folder, capture_output=True, timeout=120)
    except subprocess.TimeoutExpired: pass
    archive = folder/f"axe-core-{AXE}.tgz"
    if not archive.is_file(): pytest.skip("npm cannot fetch axe-core")
    found = hashlib.sha512(archive.read_bytes()).digest()
    assert base64.b64encode(found).decode() == AXE_SHA512
    shutil.unpack_archive(archive, folder)
    return (folder/"package"/"axe.min.js").read_text(encoding="utf-8")


FLAGS = (
    "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
    "disable-sync", "disable-background-networking", "disable-component-update",
    "disable-dev-shm-usage",
)


@pytest.fixture
def browser(tmp_path):
    "Headless Chromium, as wide as a phone; what it downloads lands in tmp_path/downloads"
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no chromedriver (on Debian: apt-get install chromium chromium-driver)")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"user-data-dir={tmp_path/'profile'}"):
        options.add_argument(f"--{flag}")
    downloads = {"download.default_directory": str(tmp_path/"downloads")}
    options.add_experimental_option("prefs", downloads | {"intl.accept_languages": "en"})
    found = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    size = dict(width=360, height=740, deviceScaleFactor=1, mobile=True)
    found.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield found
    found.quit()


def press(browser, *keys):
    from selenium.webdriver import ActionChains
    for key in keys: ActionChains(browser).send_keys(key).perform()


def get(browser, expression):
    "The value of a JavaScript expression"
    return browser.execute_script(f"return {expression}")


def text_of(browser, name):
    "What the element with this id says"
    return get(browser, f"document.getElementById('{name}').textContent")


def screen(browser):
    return get(browser, "document.querySelector('main > section:not([hidden])').id")


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


def narrow(browser):
    return get(browser, "document.documentElement.scrollWidth <= 360 && innerWidth === 360")


def downloaded(folder, name="*.json"):
    "The file that arrives; Chromium makes an empty one first, and fills it at the end"
    for _ in range(100):
        if found := [f for f in folder.glob(name) if f.stat().st_size]: return found[0]
        time.sleep(0.1)
    raise AssertionError(f"nothing arrived: {list(folder.glob('*'))}")


def test_the_whole_survey_with_the_keyboard_alone(browser, built, key, tmp_path):
    from selenium.webdriver import Keys
    start(browser, built)
    alts = []
    grades = [1, 2, 3, 4, 5, 5, 4, 3, 2]
    press(browser, Keys.ENTER)
    assert text_of(browser, "problem").startswith("Please choose")
    for grade in grades[:-1]:
        alts.append(get(browser, "document.getElementById('picture').alt"))
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
    content = survey_page.opened(file.read_text(encoding="utf-8"))
    survey_answers.check_answers(content, key)  # the page's order is Python's, too
    assert content["grades"] == grades and content["choices"] == [0, 1, 1]
    assert all(t >= 0 for t in content["grade_ms"])
    code, said = command("analyse", file, "--key", built/"key.json", "-o", tmp_path/"out")
    assert code == 0, said
    assert json.loads((tmp_path/"out"/"report.json").read_text())["raters"] == 1
    assert not [e for e in browser.get_log("browser") if e["level"] == "SEVERE"]


def played(browser, built, person, folder):
    "The file that arrives when the page is answered as this simulated person would"
    from selenium.webdriver import ActionChains, Keys
    browser.get((built/"survey.html").as_uri())
    state = "JSON.stringify({...newState(), seed: arguments[0], rater: arguments[1]})"
    script = f"localStorage.setItem(place, {state})"
    browser.execute_script(script, person["seed"], person["rater"])
    start(browser, built)
    grades = [key for grade in person["grades"] for key in (str(grade), Keys.ENTER)]
    arrows = (Keys.ARROW_LEFT, Keys.ARROW_RIGHT)
    choices = [key for choice in person["choices"] for key in (arrows[choice], Keys.ENTER)]
    ActionChains(browser, duration=0).send_keys(*grades, Keys.ENTER, *choices).perform()
    assert screen(browser) == "end"
    tab_to(browser, "save")
    press(browser, Keys.ENTER)
    return downloaded(folder, f"survey-*-{person['rater']}.json")


def test_the_planted_order_comes_out_of_the_page(browser, built, key, tmp_path):
    people = survey_answers.simulated_answers(key, 4, dict(real=2., l1=-2., bins=0.), seed=3)
    for person in people:
        file = played(browser, built, person, tmp_path/"downloads")
        content = survey_page.opened(file.read_text(encoding="utf-8"))
        for name in ("order", "grades", "pairs", "choices"):
            assert content[name] == person[name]
    code, said, out = analysed(tmp_path/"downloads", built)
    assert code == 0, said
    report = json.loads((out/"report.json").read_text(encoding="utf-8"))
    means = {row["source"]: row["mean"] for row in report["means"]}
    assert report["raters"] == 4 and sorted(means, key=means.get) == ["l1", "bins", "real"]
    for row in report["choices"]:
        ahead = means[row["source"]] > means[row["against"]]
        assert (row["share"] > 0.5) == ahead, row


def test_answers_and_language_survive_a_reload(browser, built):
    from selenium.webdriver import Keys
    start(browser, built)
    press(browser, "4", Keys.ENTER, "2")
    browser.execute_script("document.querySelector('[data-language=vi]').click()")
    def state():
        grade = get(browser, "document.querySelector('[name=grade]:checked').value")
        language = get(browser, "document.documentElement.lang")
        return language, text_of(browser, "progress"), grade, get(browser, "state.rater")
    before = state()
    assert before[:3] == ("vi", "Ảnh 2 trên 9", "2")
    browser.refresh()
    assert state() == before
    tab_to(browser, "back")
    press(browser, Keys.ENTER)
    assert state()[1:3] == ("Ảnh 1 trên 9", "4")


def test_stopping_going_back_and_deleting(browser, built):
    from selenium.webdriver import Keys
    start(browser, built)
    press(browser, "3", Keys.ENTER)
    tab_to(browser, "stop")
    press(browser, Keys.ENTER)
    assert screen(browser) == "end" and "1 of 12" in text_of(browser, "answered")
    tab_to(browser, "back")
    press(browser, Keys.ENTER)
    assert text_of(browser, "progress") == "Picture 2 of 9"
    rater = get(browser, "state.rater")
    tab_to(browser, "stop")
    press(browser, Keys.ENTER)
    tab_to(browser, "forget")
    press(browser, Keys.ENTER)
    browser.switch_to.alert.accept()
    assert screen(browser) == "intro" and get(browser, "state.rater") != rater
    assert get(browser, "Object.keys(state.grades).length") == 0


def test_a_browser_that_keeps_nothing_is_no_obstacle(browser, built):
    forbid = ("Object.defineProperty(window, 'localStorage', "
              "{get() { throw new Error('forbidden'); }})")
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", dict(source=forbid))
    start(browser, built)
    press(browser, "5")
    assert get(browser, "state.grades[0]") == 5 and get(browser, "keeps") is False
    browser.execute_script("go(0)")
    assert get(browser, "!document.getElementById('forgetful').hidden")


def test_the_browser_refuses_to_send_anything(browser, built):
    browser.get((built/"survey.html").as_uri())
    told = browser.execute_async_script("""const tell = arguments[0], seen = [];
        document.addEventListener('securitypolicyviolation',
                                  e => seen.push(e.effectiveDirective));
        fetch('https://example.org/').catch(() => 0);
        navigator.sendBeacon('https://example.org/', 'x');
        new Image().src = 'https://example.org/x.png';
        setTimeout(() => tell(seen), 500);""")
    assert set(told) >= {"connect-src", "img-src"}


def test_a_damaged_memory_is_no_obstacle(browser, built):
    browser.get((built/"survey.html").as_uri())
    far = dict(rater="0123456789abcdef", seed=1, language="en", at=999)
    far |= dict(grades={}, choices={}, times={})
    for text in ("{", "null", '{"rater": 1}', json.dumps(far)):
        browser.execute_script("localStorage.setItem(place, arguments[0])", text)
        browser.refresh()
        assert screen(browser) in ("intro", "end")


def violations(browser):
    "What axe-core finds wrong: names of rules, and where"
    script = "axe.run().then(arguments[0], e => arguments[0]({error: String(e)}))"
    result = browser.execute_async_script(script)
    assert "error" not in result, result
    return [(v["id"], [n["html"][:120] for n in v["nodes"]]) for v in result["violations"]]


@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "vi"])
def test_no_axe_violation_on_any_screen(browser, built, axe, language, colours):
    features = [dict(name="prefers-color-scheme", value=colours),
                dict(name="prefers-reduced-motion", value="reduce")]
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
        # with the message that something is missing
        if name in ("intro", "rate", "pair"): browser.execute_script("next()")
        if name in ("rate", "pair") and step % 2: browser.execute_script("choose(1)")
        if name == "end":
            browser.execute_script("document.querySelector('details').open = true; save()")
        assert violations(browser) == [], name
        assert narrow(browser), name
    assert seen == {"intro", "rate", "pairs", "pair", "end"}
    progress = "getComputedStyle(document.querySelector('progress'))"
    assert get(browser, f"{progress}.transitionDuration") in ("0s", "")


def test_no_axe_violation_in_the_report(browser, built, inbox, axe):
    analysed(inbox, built)
    browser.get((inbox/"out"/"report.html").as_uri())
    browser.execute_script(axe)
    assert violations(browser) == []


def test_axe_sees_what_is_wrong(browser, built, axe):
    browser.get((built/"survey.html").as_uri())
    browser.execute_script(axe)
    browser.execute_script("go(1); document.getElementById('picture').removeAttribute('alt')")
    browser.execute_script("document.documentElement.lang = ''")
    assert {"image-alt", "html-has-lang"} <= {name for name, _ in violations(browser)}
