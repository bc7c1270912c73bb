"""The rendered site: no raw citations or cross-references, every page there, every figure described."""
import html, os, re, shutil, subprocess, sys
from pathlib import Path

import pytest, yaml

ROOT = Path(__file__).resolve().parent.parent

@pytest.fixture(scope="module")
def site(tmp_path_factory):
    "The site as smalldocs renders it, from a copy of the project"
    copy = tmp_path_factory.mktemp("site")/"project"
    skip = shutil.ignore_patterns(".git", ".venv", "_proc", "_docs", "build", "dist", "runs", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=skip)
    without_quarto = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if not (Path(p)/"quarto").exists())
    run = subprocess.run([sys.executable, "tools/build_site.py"], cwd=copy, env={**os.environ, "PATH": without_quarto},
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout[-3000:]
    return copy/"_docs"

def pages(site):
    found = sorted((site/"nbs").glob("*.html"))
    assert found
    return found

def prose(page):
    "What a reader sees of a page, without code"
    text = re.sub(r"<(pre|code|script|style|math)\b.*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.S)
    return html.unescape(re.sub(r"<[^>]+>", "", text))

def sidebar(entries):
    for entry in entries:
        if isinstance(entry, str): yield entry
        else: yield from sidebar(entry["contents"])

RAW = re.compile(r"\[-?@\w+[^\]]*\]?|(?<![\w/.])@(?:fig|eq|tbl|sec)-[\w-]+|\{#\w[^}]*\}|\{=html\}")

def test_no_raw_citations_or_cross_references(site):
    assert {page.name: found for page in pages(site) if (found := RAW.findall(prose(page)))} == {}

def test_the_search_for_raw_citations_finds_them():
    assert len(RAW.findall("as in [@zhang2016, p. 3], by @fig-loss and $$x$$ {#eq-x}, not a@b.org")) == 3

def test_no_markdown_links_in_code(site):
    assert {page.name: found for page in pages(site) if (found := re.findall(r"\[`[^`]+`\]\(http", page.read_text(encoding="utf-8")))} == {}

def test_every_page_of_the_sidebar_exists_and_every_notebook_is_in_it(site):
    config = yaml.safe_load((ROOT/"_quarto.yml").read_text(encoding="utf-8"))
    listed = list(sidebar(config["website"]["sidebar"]["contents"]))
    assert sorted(listed) == sorted(f"nbs/{nb.name}" for nb in (ROOT/"nbs").glob("*.ipynb"))
    assert all((site/name).with_suffix(".html").exists() for name in listed)
    assert (site/"index.html").exists()

def test_every_figure_is_described(site):
    for page in pages(site):
        for image in re.findall(r"<img\b[^>]*>", page.read_text(encoding="utf-8")):
            alt = re.search(r'alt="([^"]*)"', image)
            assert alt and len(alt.group(1)) > 10, (page.name, re.sub(r"base64,[^\"]*", "base64,...", image)[:200])

def test_links_between_pages_lead_somewhere(site):
    ids = {page.name: set(re.findall(r'\bid="([^"]+)"', page.read_text(encoding="utf-8"))) for page in pages(site)}
    for page in pages(site):
        links = re.findall(r'<a href="([\w-]+\.(?:html|ipynb))(?:#([^"]*))?"', page.read_text(encoding="utf-8"))
        assert [(name, place) for name, place in links if name not in ids or place and place not in ids[name]] == [], page.name
    assert 'href="06_patchgan.html#fig-layers"' in (site/"nbs"/"14_ledger.html").read_text(encoding="utf-8")
    assert 'href="14_ledger.html#figure-2.13"' in (site/"nbs"/"06_patchgan.html").read_text(encoding="utf-8")
