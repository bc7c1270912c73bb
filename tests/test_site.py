"""The site: how pages are prepared, and that nothing raw is left on them, every page is there, every figure described."""
import base64, html, io, os, re, sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/"tools"))
import build_site, finish, links, opening, pages, without_quarto

# ---- the preparation, on small made-up notebooks ----

def code(source, outputs=(), id="c"):
    return dict(cell_type="code", id=id, metadata={}, source=source, outputs=list(outputs), execution_count=None)

def prose(source, id="m"):
    return dict(cell_type="markdown", id=id, metadata={}, source=source)

def output(**data):
    return dict(output_type="display_data", metadata={}, data={kind.replace("_", "/"): text for kind, text in data.items()})

def shown_doc(name, text="### f\n\n```python\ndef f()\n```\n\n*It does*"):
    return code(f"#| echo: false\n#| output: asis\nshow_doc({name})", [output(text_markdown=text)])

def nbdev_exports(source):
    "What nbdev makes of an `#| exports` cell"
    return code(pages.NBDEV_FOLD + source)

def prepared(cells, lesson=None):
    nb = pages.prepare(dict(cells=cells), dict(cells=lesson or cells))
    return nb["cells"]

def sources(cells):
    return [pages.source(cell) for cell in cells]

def test_a_function_whose_source_is_shown_stands_once():
    lesson = [code("#| exports\ndef first(x): return x\nclass Second: pass"), code("#| export\ndef third(): pass")]
    processed = [shown_doc("Second"), nbdev_exports("def first(x): return x\nclass Second: pass"), shown_doc("first"), shown_doc("third")]
    anchors, shown, documentation = prepared(processed, lesson)
    assert '<a id="first"></a>' in anchors["source"] and '<a id="second"></a>' in anchors["source"]
    assert shown["source"] == "def first(x): return x\nclass Second: pass"
    assert pages.documented(documentation) == "third"

def test_a_function_called_like_a_heading_gets_no_second_id():
    lesson = [prose("## Summary"), code("#| exports\ndef summary(): pass\ndef other(): pass")]
    anchors, _ = prepared([nbdev_exports("def summary(): pass\ndef other(): pass")], lesson)
    assert 'id="other"' in anchors["source"] and 'id="summary"' not in anchors["source"]

def test_documentation_comes_in_the_order_of_the_source():
    lesson = [code("#| export\ndef zebra(): pass\ndef apple(): pass"), code("#| export\ndef mango(): pass")]
    processed = [shown_doc("apple"), shown_doc("zebra"), shown_doc("mango"), prose("## More"), shown_doc("elsewhere")]
    cells = prepared(processed, lesson)
    assert [pages.documented(cell) for cell in cells] == ["zebra", "apple", "mango", None, "elsewhere"]

def test_a_docstring_keeps_its_asterisks_and_a_signature_loses_its_links():
    link = "[`Path`](https://example.org/path.html)"
    text = f"### f\n\n```python\ndef f(\n    *x, # a {link} **\n)\n```\n\n*At (6/29)**3, L*a*b*, as {link} or `**x`*"
    (cell,) = prepared([shown_doc("f", text)], [code("#| export\ndef f(*x): pass")])
    signature, docstring = cell["outputs"][0]["data"]["text/markdown"].split("```\n\n")
    assert "    *x, # a `Path` **\n" in signature
    assert docstring == rf"*At (6/29)\*\*3, L\*a\*b\*, as {link} or `**x`*"

FOLDED = {
    "import os\nfrom pathlib import Path": "Imports",
    "assert 1 < 2\ntest_eq(1, 1)": "Tests",
    "for k in (1, 2):\n    assert k": "Tests",
    "with quiet(): test_fail(run, contains='no')": "Tests",
    "alone = 3\ntest_eq(alone, 3)": "Tests",
    '#| label: fig-x\n#| fig-cap: "A picture"\nplt.plot(x)': "The code of this figure",
    "import os\nos.getcwd()": None,
    "shared = 3\ntest_eq(shared, 3)": None,
    "test_eq(1, 1)\n1 + 1": None,
    "#| code-fold: false\nassert True": None,
    "#| echo: false\nassert True": None,
    "! pip install x": None,
}

@pytest.mark.parametrize("text", FOLDED)
def test_what_a_reader_may_skip_is_folded(text):
    cell, _ = prepared([code(text), code("print(shared)", id="d")])
    summary = FOLDED[text]
    start = f'#| code-fold: true\n#| code-summary: "{summary}"\n'
    assert cell["source"] == (start + text if summary else text)

def test_a_function_that_only_figures_call_is_folded():
    draw = "def draw(x): plt.plot(x)"
    figure = code("#| label: fig-x\ndraw(1)", id="f")
    assert prepared([code(draw), figure])[0]["source"].startswith('#| code-fold: true\n#| code-summary: "A helper that draws"')
    assert sources(prepared([code(draw), figure, code("draw(2)", id="d")]))[0] == draw
    assert sources(prepared([code(draw), code("1", id="d")]))[0] == draw
    lesson = [code(f"#| exports\n{draw}", id="e"), figure]
    assert sources(prepared([{**nbdev_exports(draw), "id": "e"}, figure], lesson))[1] == draw

def test_a_fold_of_its_own_stays():
    text = '#| code-fold: true\n#| code-summary: "How the table is made"\nassert True'
    assert sources(prepared([code(text)])) == [text]

def test_an_author_s_link_around_a_name_stays_one_link():
    name = "[`run`](https://a.b/c.html#run)"
    assert pages.one_link(f"see [{name}](62a.ipynb) and {name}") == f"see [`run`](62a.ipynb) and {name}"
    assert pages.one_link(f"[{name} and {name}](#x)") == "[`run` and `run`](#x)"

def test_a_cell_with_the_tag_is_folded():
    tagged = {**code("def plumbing(x): return x", id="t"), "metadata": {"tags": ["fold"]}}
    folded, _ = prepared([tagged, code("plumbing(1)", id="d")])
    assert folded["source"].startswith('#| code-fold: true\n#| code-summary: "Source of plumbing"\ndef')

def test_a_labelled_figure_is_one_picture():
    image = output(image_png="...", text_plain="<Figure>")
    printed = output(text_plain="3.5")
    stream = dict(output_type="stream", name="stdout", text="done")
    drawn, plain, explorer = prepared([code("#| label: fig-x\nplot()", [printed, image, stream]), code("plot()", [printed, image]),
                                       code("#| label: fig-y\nexplore()", [output(text_html="<div>"), stream])])
    assert drawn["outputs"] == [image]
    assert plain["outputs"] == [printed, image]
    assert explorer["outputs"] == [output(text_html="<div>")]

def test_a_strip_of_photos_gets_room():
    cells = prepared([code("#| label: fig-x\n#| photos-across: 5\nplot()"), code("#| label: fig-y\nplot()")])
    assert ["#fig-x img { min-width: 1100px; }" in source for source in sources(cells)] == [True, False, False]

INDEX = [prose("| page | what |\n|---|---|\n| [1.1 One](1_one.ipynb) | what one is |\n| [1.2 Two](1_two.ipynb) | how `two` goes |")]
BADGE = "[![Open in Colab](colab-badge.svg)](x)"

def test_a_lesson_opens_with_words_minutes_and_its_picture():
    figure = code('#| label: fig-x\n#| fig-alt: "A \'hat\' & a cat"\nplot()', [output(image_png="QUJD")])
    nb = dict(cells=[prose("# 1.1 One"), prose(BADGE), prose("word "*410), figure, code("#| label: fig-z\nplot()", [output(image_png="eA==")])])
    opening.open_page(nb, "1_one", INDEX)
    text = sources(nb["cells"])[2]
    assert text.startswith("**After this chapter you can say** what one is. Reading takes about 2 minutes.")
    assert '<a href="#fig-x"><img src="data:image/png;base64,QUJD" alt="A &#x27;hat&#x27; &amp; a cat">' in text and "fig-z" not in text

def test_a_page_without_a_figure_opens_with_words_alone():
    nb = dict(cells=[prose("# 1.2 Two"), prose(BADGE), prose("::: {.callout-tip collapse=\"true\"}\n" + "word "*900 + "\n:::")])
    opening.open_page(nb, "1_two", INDEX)
    assert sources(nb["cells"])[2] == "**After this chapter you can say** how `two` goes. Reading takes about 1 minute."
    other = dict(cells=[prose("# A.9 Other"), prose(BADGE)])
    opening.open_page(other, "99_other", INDEX)
    assert len(other["cells"]) == 2  # the index promises nothing

def test_cells_are_stored_as_lists_of_lines(tmp_path):
    pages.write(tmp_path/"x.ipynb", dict(cells=[code("a = 1\nb = 2"), prose("")]))
    assert [cell["source"] for cell in pages.read(tmp_path/"x.ipynb")["cells"]] == [["a = 1\n", "b = 2"], []]

def test_quarto_renders_the_prepared_pages_where_it_is_installed(tmp_path, monkeypatch):
    quarto = tmp_path/"bin"/"quarto"
    quarto.parent.mkdir()
    quarto.write_text('#!/bin/sh\necho "$@" > "$2/asked"\ncommand -v nbdev_docs > "$2/found"\nmkdir "$2/_docs"\n')
    quarto.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(quarto.parent), "/usr/bin", "/bin"]))  # .venv is not activated
    assert build_site.render(tmp_path) == tmp_path/"_docs"
    assert (tmp_path/"asked").read_text().split() == ["render", str(tmp_path), "--no-cache"]
    assert (tmp_path/"found").read_text().strip() == str(Path(sys.executable).parent/"nbdev_docs")

def test_a_reference_to_nothing_is_told(tmp_path):
    path = tmp_path/"x.ipynb"
    pages.write(path, dict(cells=[prose("See @fig-here and @fig-gone.", id="a"), code("#| label: fig-here\nplot()")]))
    assert without_quarto.resolve(path, ROOT/"nbs"/"references.bib") == ["x.ipynb: @fig-gone refers to nothing"]
    assert "[Figure 1](#fig-here)" in "".join(pages.read(path)["cells"][0]["source"])

def test_citations_and_formulas_are_resolved(tmp_path):
    path = tmp_path/"x.ipynb"
    pages.write(path, dict(cells=[prose("As in [@isola2017], $x^2$.\n\n$$y = 1$$ {#eq-y}\n\nBy @eq-y.\n\n::: {#refs}\n:::\n")]))
    assert without_quarto.resolve(path, ROOT/"nbs"/"references.bib") == []
    text = "".join(pages.read(path)["cells"][0]["source"])
    assert "@" not in re.sub(r"```.*?```", "", text, flags=re.S) and "[Equation 1](#eq-y)" in text
    assert text.count("<math") == 2 and "csl-entry" in text

# ---- links, on small texts ----

SITE = "https://a.b/c"

def test_automatic_links_lead_to_pages_called_like_their_notebooks():
    places = {"34a_pretraining": {"l1_step"}, "23_gan": {"train", "play"}}
    text = f"[`l1_step`]({SITE}/nbs/pretraining.html#l1_step) and [`play()`]({SITE}/nbs/gan.html#play)"
    assert links.lead(text, SITE, places) == "[`l1_step`](34a_pretraining.html#l1_step) and [`play()`](23_gan.html#play)"

def test_automatic_links_that_mislead_are_taken_out():
    places = {"23_gan": {"train"}}
    word = f"[`train`]({SITE}/nbs/gan.html#train)"
    unknown = f"[`l1_step`]({SITE}/nbs/gan.html#l1_step), [`of_old()`]({SITE}/nbs/gone.html#of_old)"
    assert links.lead(f"{word}, {unknown}, [mine]({SITE}/x)", SITE, places) == f"`train`, `l1_step`, `of_old()`, [mine]({SITE}/x)"

def test_pages_are_called_like_their_notebooks():
    front = dict(cell_type="raw", id="r", metadata={}, source="---\naliases:\n- /gan\noutput-file: gan.html\ntitle: T\n---\n")
    assert sources(prepared([front])) == ["---\ntitle: T\n---\n"]
    assert links.in_output('<a href="23_gan.ipynb#play"> <a href="x.ipynb">') == '<a href="23_gan.html#play"> <a href="x.html">'

def test_badges_are_words():
    assert links.as_words("[![Open In Colab](https://c.d/e.svg)](https://f.g)") == "[Open In Colab](https://f.g)"

# ---- the finish, on small pages ----

def inline(image, kind="png", **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"

def test_pictures_become_files_with_the_same_pixels(tmp_path):
    image = Image.linear_gradient("L").convert("RGB")
    tag = finish.with_file(f'<img alt="A" src="{inline(image)}">', tmp_path/"x.html")
    name = re.fullmatch(r'<img alt="A" src="(images/\w+\.(?:png|webp))" width="256" height="256" loading="lazy" decoding="async">', tag)
    assert Image.open(tmp_path/name[1]).convert("RGB").tobytes() == image.tobytes()
    assert finish.with_file(tag, tmp_path/"x.html") == tag
    in_code = f"<script>'<img src=\"{inline(image)}\">'</script>"
    assert finish.outside_code(in_code, lambda part: finish.PICTURE.sub("", part)) == in_code

def test_pictures_that_are_files_already_wait_too(tmp_path):
    folder = tmp_path/"23_gan_files"
    folder.mkdir()
    Image.new("RGB", (30, 20), "red").save(folder/"x.png")
    tag = finish.with_file('<img src="23_gan_files/x.png" class="img-fluid" width="3" height="2">', tmp_path/"23_gan.html")
    assert re.fullmatch(r'<img src="images/\w+\.\w+" loading="lazy" decoding="async" class="img-fluid" width="3" height="2">', tag)

def test_a_film_shows_its_first_frame(tmp_path):
    first, second = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    tag = finish.with_file(f'<img src="{inline(first, save_all=True, append_images=[second])}">', tmp_path/"x.html")
    still, moving = re.search(r'src="([^"]+)".* data-moving="([^"]+)"', tag).groups()
    assert Image.open(tmp_path/still).convert("RGB").getpixel((0, 0)) == (255, 0, 0)
    assert Image.open(tmp_path/moving).n_frames == 2

def test_style_sheets_fetch_nothing():
    font = "@import url(https://a.b/css2?family=Sans:wght@300;400;700&display=swap);"
    assert finish.FOREIGN_IMPORT.sub("", f'{font}a{{}}@import "https://a.b/c.css";@import "mine.css";') == 'a{}@import "mine.css";'

def test_columns_get_the_width_that_they_need():
    widths = '<table><colgroup>\n<col style="width: 25%">\n<col style="width: 75%">\n</colgroup><thead>'
    assert finish.EQUAL_WIDTHS.sub("", widths) == "<table><thead>"

def test_the_search_knows_prose_from_functions():
    page = '''<nav>menu</nav><h2>On this page</h2><main><h1>One</h1><p>First</p><section id="why"><h2 class="a">Why</h2><p>Be<em>cause</em></p>
      <pre>code</pre></section><h3 id="f_of">f_of</h3><p>It does</p></main><p>foot</p>'''
    assert list(finish.search_index({"nbs/1_a.html": page}, {"1_a": {"f_of"}})) == [
        ["nbs/1_a.html", "One", "", "", "First", 0], ["nbs/1_a.html", "One", "why", "Why", "Because", 0],
        ["nbs/1_a.html", "One", "f_of", "f_of", "It does", 1]]

def test_a_site_of_quarto_s_is_finished_too(tmp_path):
    (tmp_path/"nbs").mkdir()
    page = tmp_path/"nbs"/"23_gan.html"
    page.write_text('''<html><head><meta name="description" content="A &amp; B"></head><body class="nav-fixed">
      <main class="content" id="quarto-document-content"><h1 class="title">2.3 Game</h1><div data-tool="game"></div></main></body></html>''')
    (tmp_path/"bootstrap.css").write_text("@import url(https://a.b/c;d);p{}")
    config = dict(website={"title": "T", "description": "D", "site-url": SITE})
    finish.finish(tmp_path, config, {"23_gan": set()})
    text = page.read_text()
    for tag in ("../assets/site.js", "../assets/game.js", 'class="skip-link" href="#quarto-document-content"', 'tabindex="-1"',
                'property="og:title" content="2.3 Game"', f'content="{SITE}/nbs/23_gan.html"'): assert text.count(tag) == 1, tag
    assert (tmp_path/"bootstrap.css").read_text() == "p{}" and (tmp_path/"assets"/"game.js").is_file()
    assert (tmp_path/"llms.txt").read_text().endswith(f"- [2.3 Game]({SITE}/nbs/23_gan.html): A & B\n")
    assert (tmp_path/"assets"/"search-index.js").read_text() == 'const searchIndex = [["nbs/23_gan.html", "2.3 Game", "", "", "", 0]];\n'

# ---- the rendered site ----

def pages_of(site):
    found = sorted((site/"nbs").glob("*.html"))
    assert found
    return found

def markup(page):
    return page.read_text(encoding="utf-8")

def seen(page):
    "What a reader sees of a page, without code"
    text = re.sub(r"<(pre|code|script|style|math)\b.*?</\1>", "", markup(page), flags=re.S)
    return html.unescape(re.sub(r"<[^>]+>", "", text))

RAW = re.compile(r"\[-?@\w+[^\]]*\]?|(?<![\w/.])@(?:fig|eq|tbl|sec)-[\w-]+|\{#\w[^}]*\}|\{=html\}")

def test_no_raw_citations_or_cross_references(site):
    assert {page.name: found for page in pages_of(site) if (found := RAW.findall(seen(page)))} == {}

def test_the_search_for_raw_citations_finds_them():
    assert len(RAW.findall("as in [@zhang2016, p. 3], by @fig-loss and $$x$$ {#eq-x}, not a@b.org")) == 3

def test_no_markdown_links_in_code(site):
    assert {page.name: found for page in pages_of(site) if (found := re.findall(r"\[`[^`]+`\]\(http", markup(page)))} == {}

def test_every_exported_function_stands_once_on_its_page(site):
    for page in pages_of(site):
        cells = pages.read(ROOT/"nbs"/f"{page.stem}.ipynb")["cells"]
        shown = [name for cell in cells if "exports" in pages.directives(cell) for name in pages.definitions(cell)]
        headings = re.findall(r'<h3\b[^>]*\bid="([^"]+)"', markup(page))
        assert [name for name in shown if name.lower() in headings] == [], page.name
        assert len(headings) == len(set(headings)), page.name
        missing = [name for name in shown if name[0] != "_" and f'id="{name.lower()}"' not in markup(page)]
        assert missing == [], page.name

def test_every_page_is_there(site):
    for notebook in (ROOT/"nbs").glob("*.ipynb"): assert (site/"nbs"/f"{notebook.stem}.html").exists(), notebook
    assert (site/"index.html").exists()

def test_every_lesson_opens_with_its_picture(site):
    lessons = [page for page in pages_of(site) if page.stem[0] in "12345"]
    opened = {page.stem: markup(page) for page in lessons}
    assert {stem for stem, text in opened.items() if "After this chapter you can say" not in text or "Reading takes about" not in text} == set()
    assert {stem for stem, text in opened.items() if not re.search(r'<p class="opening"><a href="#fig-[\w-]+"><img ', text)} == set()
    assert {stem for stem, text in opened.items() if not re.search(r"[Rr]uns in (about|a few)", text)} == set()

def test_every_figure_is_described(site):
    for page in pages_of(site):
        for image in re.findall(r"<img\b[^>]*>", markup(page)):
            alt = re.search(r'alt="([^"]*)"', image)
            assert alt and len(alt[1]) > 10, (page.name, re.sub(r"base64,[^\"]*", "base64,...", image)[:200])

def lost_links(site):
    "The links of each page that lead to no file or to no place on it"
    ids = {page: set(re.findall(r'\s(?:id|data-anchor-id)="([^"]+)"', markup(page))) for page in pages_of(site)}
    for page in ids:
        for link in re.findall(r'<a\b[^>]*\shref="([^"]+)"', re.sub(r"<script\b.*?</script>", "", markup(page), flags=re.S)):
            if re.match(r"\w+:", link): continue
            name, _, place = link.partition("#")
            file = (page.parent/unquote(name)).resolve() if name else page
            if not file.exists() or place and file in ids and unquote(place) not in ids[file]: yield page.name, link

def test_every_link_inside_the_site_leads_somewhere(site):
    assert list(lost_links(site)) == []
    assert 'href="25_patchgan.html#fig-layers"' in markup(site/"nbs"/"51_conclusion.html")
    assert 'href="51_conclusion.html#figure-2.13"' in markup(site/"nbs"/"25_patchgan.html")

def test_lost_links_are_found(tmp_path):
    (tmp_path/"nbs").mkdir()
    (tmp_path/"nbs"/"a.html").write_text('<p id="x"><a href="#x"> <a href="#y"> <a href="b.html"> <a href="https://c.d#z"> <a href="a.html#x">')
    assert list(lost_links(tmp_path)) == [("a.html", "#y"), ("a.html", "b.html")]

def test_no_link_leaves_for_the_published_site(site):
    assert {page.name: found for page in pages_of(site) if (found := re.findall(r'<a [^>]*href="https://colorize-course\.github[^"]*"', markup(page)))} == {}

def test_no_id_stands_twice(site):
    for page in pages_of(site):
        found = re.findall(r'<[^>]*?\sid="([^"]+)"', re.sub(r"<script\b.*?</script>", "", markup(page), flags=re.S))
        assert len(found) == len(set(found)), (page.name, {id for id in found if found.count(id) > 1})

def test_a_labelled_figure_has_one_output(site):
    "Quarto would make a second one a figure of its own, under the same id"
    prepared_cells = {path.stem: pages.read(path)["cells"] for path in (site.parent/"_proc"/"nbs").glob("*.ipynb")}
    found = {(stem, pages.label_of(cell)): len(cell["outputs"]) for stem, cells in prepared_cells.items() for cell in cells if pages.is_figure(cell)}
    assert found and {label: n for label, n in found.items() if n != 1} == {}

LARGEST = 2.5e6  # bytes of a page with all it shows

def test_pages_are_light(site):
    def weight(page):
        shown = set(re.findall(r'\s(?:src|href)="([^":?#]+\.(?:css|js|webp|png|jpe?g|svg|gif))"', markup(page)))
        return page.stat().st_size + sum((page.parent/name).stat().st_size for name in shown)
    assert {page.name: n for page in pages_of(site) if (n := weight(page)) > LARGEST} == {}
    assert {page.name for page in pages_of(site) if re.search(r'<img\b[^>]*src="data:', re.sub(finish.CODE, "", markup(page)))} == set()

def test_machines_and_other_sites_are_told(site):
    listed = re.findall(r"/(nbs/\w+\.html)\): \S", (site/"llms.txt").read_text(encoding="utf-8"))
    assert sorted(listed) == [f"nbs/{page.name}" for page in pages_of(site)]
    assert (site/"sitemap.xml").read_text(encoding="utf-8").count("<loc>") == len(listed)
    page = markup(site/"nbs"/"23_gan.html")
    assert 'property="og:title" content="2.3 The adversarial game"' in page and (site/"assets"/"card.jpg").is_file()

def test_nothing_is_left_behind(site):
    expected = {path.name for path in ROOT.iterdir()} | {"_proc", "_docs"}
    assert {path.name for path in site.parent.iterdir()} - expected == set()
