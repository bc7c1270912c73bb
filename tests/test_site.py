"""The site: how pages are prepared, and that nothing raw is left on them, every page is there, every figure described."""
import html, os, re, shutil, subprocess, sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/"tools"))
import build_site, pages, without_quarto

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

def test_cells_are_stored_as_lists_of_lines(tmp_path):
    pages.write(tmp_path/"x.ipynb", dict(cells=[code("a = 1\nb = 2"), prose("")]))
    assert [cell["source"] for cell in pages.read(tmp_path/"x.ipynb")["cells"]] == [["a = 1\n", "b = 2"], []]

def test_quarto_renders_the_prepared_pages_where_it_is_installed(tmp_path, monkeypatch):
    quarto = tmp_path/"bin"/"quarto"
    quarto.parent.mkdir()
    quarto.write_text('#!/bin/sh\necho "$@" > "$2/asked"\nmkdir "$2/_docs"\n')
    quarto.chmod(0o755)
    monkeypatch.setenv("PATH", str(quarto.parent), prepend=os.pathsep)
    assert build_site.render(tmp_path) == tmp_path/"_docs"
    assert (tmp_path/"asked").read_text().split() == ["render", str(tmp_path), "--no-cache"]

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

# ---- the rendered site ----

@pytest.fixture(scope="module")
def site(tmp_path_factory):
    "The site as smalldocs renders it, from a copy of the project"
    copy = tmp_path_factory.mktemp("site")/"project"
    skip = shutil.ignore_patterns(".git", ".venv", "_proc", "_docs", "build", "dist", "runs", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=skip)
    without = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if not (Path(p)/"quarto").exists())
    run = subprocess.run([sys.executable, "tools/build_site.py"], cwd=copy, env={**os.environ, "PATH": without},
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout[-3000:]
    return copy/"_docs"

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

def test_every_figure_is_described(site):
    for page in pages_of(site):
        for image in re.findall(r"<img\b[^>]*>", markup(page)):
            alt = re.search(r'alt="([^"]*)"', image)
            assert alt and len(alt[1]) > 10, (page.name, re.sub(r"base64,[^\"]*", "base64,...", image)[:200])

def test_links_between_pages_lead_somewhere(site):
    ids = {page.name: set(re.findall(r'\bid="([^"]+)"', markup(page))) for page in pages_of(site)}
    for page in pages_of(site):
        links = re.findall(r'<a href="([\w-]+\.(?:html|ipynb))(?:#([^"]*))?"', markup(page))
        lost = [(name, place) for name, place in links if name not in ids or place and place not in ids[name]]
        assert lost == [], page.name
    assert 'href="25_patchgan.html#fig-layers"' in markup(site/"nbs"/"51_conclusion.html")
    assert 'href="51_conclusion.html#figure-2.13"' in markup(site/"nbs"/"25_patchgan.html")
