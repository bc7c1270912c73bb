"""The house: each section of the thesis has its place, references lead there, imports point one way, lines are short."""
import ast, csv, re, subprocess, sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest, yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/"tools"))
import pages

NOTEBOOKS = {path.stem: pages.read(path)["cells"] for path in sorted((ROOT/"nbs").glob("*.ipynb"))}
NUMBERED = [stem for stem in NOTEBOOKS if stem[0].isdigit()]

# ---- sections, titles, file names, the sidebar ----

SECTIONS = """1.1 1.2  2.1 2.2 2.3 2.4 2.5 2.6  3.1 3.2 3.3 3.4  4.1 4.2 4.3 4.4  5.1 5.2 5.3  A""".split()
NUMBER = r"(?:\d|A)(?:\.\d+)?(?:–\d\.\d+)?[a-z]?"  # 2.3, 3.4a, 4, 4b, 4.1–4.3, A.2

def title(stem):
    return pages.source(NOTEBOOKS[stem][0]).split("\n")[0]

def number(stem):
    "The number of a page, as its title begins"
    found = re.match(rf"# ({NUMBER}) \S", title(stem))
    return found and found[1]

def plain(number):
    "3.4a -> 3.4"
    return number.rstrip("abcdefghij")

def covered(number):
    "The sections that a page's number names: 4.1–4.3 -> 4.1, 4.2, 4.3; A.2 -> A"
    first, _, last = plain(number).partition("–")
    if first[0] == "A": return ["A"]
    if not last: return [first]
    chapter, start = first.split(".")
    return [f"{chapter}.{i}" for i in range(int(start), int(last.split(".")[1]) + 1)]

def file_prefix(number):
    "How the file of a page begins: 3.4a -> 34a, 4 -> 40, 4b -> 40b, 4.1–4.3 -> 41, A.2 -> 92"
    first = plain(number).split("–")[0]
    chapter, _, section = first.replace("A", "9").partition(".")
    return f"{chapter}{section or 0}{number[len(plain(number)):]}"

def sidebar(entries):
    for entry in entries:
        if isinstance(entry, str): yield entry
        else: yield from sidebar(entry.get("contents") or [])

def listed():
    config = yaml.safe_load((ROOT/"_quarto.yml").read_text(encoding="utf-8"))
    return list(sidebar(config["website"]["sidebar"]["contents"]))

def test_numbers_are_understood():
    assert [covered(n) for n in ("3.4a", "4.1–4.3", "A.2", "4b")] == [["3.4"], ["4.1", "4.2", "4.3"], ["A"], ["4"]]
    assert [file_prefix(n) for n in ("3.4a", "4", "4b", "4.1–4.3", "A.2")] == ["34a", "40", "40b", "41", "92"]

def test_titles_begin_with_a_number_that_the_file_name_has_too():
    assert [stem for stem in NUMBERED if not number(stem)] == []
    assert {stem: number(stem) for stem in NUMBERED if not stem.startswith(f"{file_prefix(number(stem))}_")} == {}

def test_no_two_pages_have_the_same_number():
    numbers = [number(stem) for stem in NUMBERED]
    assert sorted({n for n in numbers if numbers.count(n) > 1}) == []

def test_the_sidebar_has_every_notebook_in_order():
    assert listed() == ["nbs/index.ipynb", *(f"nbs/{stem}.ipynb" for stem in NUMBERED)]

@pytest.mark.parametrize("section", SECTIONS)
def test_each_section_has_one_place(section):
    order = [Path(name).stem for name in listed()][1:]
    places = [i for i, stem in enumerate(order) if section in covered(number(stem))]
    assert places, f"section {section} has no page"
    assert places == list(range(places[0], places[0] + len(places))), [order[i] for i in places]

# ---- references ----

LINK = re.compile(rf"\[[Cc]hapter ({NUMBER})\]\((?:nbs/)?(\w+)\.ipynb")
# a number with a point or a letter is one of our pages; "chapter 4" alone may be the thesis's
MENTION = re.compile(r"\b[Cc]hapters? ((?:[\dA](?:\.\d+)?(?:[–-]\d\.\d+)?[a-z]?|\d\d[a-z]?)\b(?:(?:, | and | to )[\dA]\.\d+[a-z]?\b)*)")

def known_numbers():
    "What a reference may say: the numbers of pages, and the sections of a page that covers several"
    numbers = {number(stem) for stem in NUMBERED}
    return numbers | {section for n in numbers if "–" in n for section in covered(n)}

def unknown(text):
    "The references in a text that lead to no page"
    mentioned = [one for m in MENTION.findall(text) for one in re.split(", | and | to ", m.replace("-", "–"))]
    return [n for n in mentioned if not re.fullmatch(r"\d", n) and n not in known_numbers()]

def misled(text):
    "The links whose words and target disagree"
    links = LINK.findall(text)
    right = lambda n, stem: stem in NUMBERED and (n == number(stem) or "–" in number(stem) and n in covered(number(stem)))
    return [link for link in links if not right(*link)]

def texts():
    "Whatever a reader may read: prose, captions and comments of notebooks, and the texts beside them"
    for stem, cells in NOTEBOOKS.items():
        yield stem, "\n\n".join(map(pages.source, cells))
    for name in ("README.md", "CONTRIBUTING.md", "data/claims.yml", "data/glossary.csv", *sorted(
            str(path.relative_to(ROOT)) for path in (ROOT/"colorize_lib"/"weights").glob("*.md"))):
        yield name, (ROOT/name).read_text(encoding="utf-8")

def test_wrong_references_are_found():
    assert unknown("chapter 3.4 and Chapter 07b, chapters 2.1, 2.99 and 3.4b, chapter 9.9c") == ["3.4", "07b", "2.99", "9.9c"]
    assert unknown("chapter 3.4a, chapter 4b, chapter 4.1–4.3, chapter 4.2, chapter A.2; the thesis's chapter 4") == []
    assert misled("[chapter 3.4b](34a_pretraining.ipynb#x), [Chapter 2.3](23_gan.ipynb), [chapter 2.3](04_gan.ipynb)") == [
        ("3.4b", "34a_pretraining"), ("2.3", "04_gan")]

def test_every_reference_has_a_page():
    assert {name: found for name, text in texts() if (found := unknown(text))} == {}

def test_links_say_where_they_lead():
    assert {name: found for name, text in texts() if (found := misled(text))} == {}

def test_links_to_notebooks_lead_to_notebooks():
    target = re.compile(r"\]\((?:nbs/)?(\w+)\.ipynb")
    assert {name: lost for name, text in texts() if (lost := [s for s in target.findall(text) if s not in NOTEBOOKS])} == {}

# ---- the words of the primer: a link, or an explanation in italics, where a chapter uses them first ----

PRIMER = {  # how prose writes a term -> the place in chapter 1.2b that explains it
    r"[Tt]ensors?": "sec-tensor",
    r"[Cc]onvolutions?": "sec-convolution",
    r"[Kk]ernels?": "sec-convolution",
    r"[Aa]ctivations?|(?:leaky )?ReLU|tanh|[Ss]igmoid": "sec-activation",
    r"[Ll]oss(?:es)?": "sec-loss",
    r"[Gg]radients?": "sec-loss",
    r"[Ll]earning rates?": "sec-rate",
    r"[Bb]atch(?:es)?(?![ -]norm)": "sec-batch",
    r"[Ee]pochs?": "sec-batch",
    r"AdamW?": "sec-adam",
    r"[Mm]oment(?:um|a)": "sec-adam",
    r"[Bb]atch[ -]norm(?:s|alisation)?": "sec-norm",
    r"[Oo]verfit(?:s|ting)?": "sec-overfitting",
    r"[Vv]alidation": "sec-overfitting",
    r"[Nn]etworks?": "sec-network",
    r"[Ll]ayers?": "layer",
    r"[Ff]eature maps?": "feature-map",
    r"[Ss]trides?": "stride",
    r"[Rr]eceptive fields?": "receptive-field",
    r"[Ee]ncoders?": "encoder",
    r"[Dd]ecoders?": "decoder",
    r"[Ss]kip connections?|[Ss]kips": "skip",
    r"[Hh]yperparameters?": "hyperparameter",
    r"Jacobians?": "sec-jacobian",
}
OTHER_SENSES = (r"without a network|network drive|without loss|a sky has a gradient|into layers|over the layers"
                r"|transparent layer|that layer alone|layer was merged|a layer of 600")
NOT_PROSE = re.compile(
    r"```.*?```|`[^`\n]*`|\$\$.*?\$\$|(?<!\\)\$[^$\n]+\$"         # code and formulas
    r"|^#+ [^\n]*|^:::[^\n]*|^\|[^\n]*|\{[#=][^}]*\}|<[^>\n]+>"     # headings, boxes, tables, attributes
    r"|!?\[[^\[\]]*\]\([^)\s]*\)|\[-?@[^\]]*\]|" + OTHER_SENSES,  # links and citations
    re.S | re.M)

def as_prose(text):
    "The text with everything else blanked, character by character"
    return NOT_PROSE.sub(lambda found: re.sub(r"\S", "\0", found[0]), text)

def is_explained(cells, term, place):
    "Whether a chapter does without a term, or its first use is a link to the primer or stands in italics"
    plain = re.compile(rf"(?<![\w\-.])(?:{term})(?!\w|-\w)")
    explained = re.compile(rf"\[[^\]]*\b(?:{term})\b[^\]]*\]\(12b_primer\.ipynb#{place}\)|(?<!\*)\*(?:{term})\*(?!\*)")
    for cell in cells[1:]:  # the title has no links
        if cell["cell_type"] != "markdown": continue
        first = plain.search(as_prose(pages.source(cell)))
        helped = explained.search(pages.source(cell))
        if first or helped: return bool(helped) and (not first or helped.start() <= first.start())
    return True

def test_unexplained_words_are_found():
    def explained(text): return is_explained([{}, dict(cell_type="markdown", source=text)], *("[Ee]pochs?", "sec-batch"))
    link = "[epochs](12b_primer.ipynb#sec-batch)"
    assert [explained(text) for text in ("", f"20 {link}, and each epoch", "An *epoch* is", f"`epoch`\n# An epoch\n{link}")] == [True]*4
    assert [explained(text) for text in ("20 epochs", f"one epoch of 20 {link}", "[epoch](#sec-batch), epoch")] == [False]*3

@pytest.mark.parametrize("stem", [stem for stem in NUMBERED if stem[0] in "12345" and stem != "12b_primer"])
def test_words_of_the_primer_are_explained_at_their_first_use(stem):
    assert [term for term, place in PRIMER.items() if not is_explained(NOTEBOOKS[stem], term, place)] == []

def test_the_primer_has_these_places():
    text = "".join(map(pages.source, NOTEBOOKS["12b_primer"]))
    assert [place for place in PRIMER.values() if f"{{#{place}}}" not in text] == []

def test_links_to_words_lead_to_a_line_of_the_glossary():
    lines = (ROOT/"data"/"glossary.csv").read_text(encoding="utf-8").splitlines()[1:]
    words = {re.sub("[^a-z0-9]+", "-", next(csv.reader([line]))[0].casefold()).strip("-") for line in lines}
    links = {(stem, word) for stem, text in texts() for word in re.findall(r"92_glossary\.ipynb#word-([^)\s]+)\)", text)}
    assert links and {link for link in links if link[1] not in words} == set()

# ---- modules: one idea each, and imports that point one way ----

LAYERS = [layer.split() for layer in (
    "core",
    "photo_mending",
    "photo_lab engine photo_headers photo_xmp steady",
    "color",
    "photo_colours photo_notes photo_rows photo_writers",
    "photo_depth",
    "photos crew film_files",
    "folders film_parts",
    "console samples data cache recipes losses unet lpips intervals survey chapters processes",
    "sidecar batches patchgan compact colour_terms bins classical transfer survey_models ledger",
    "shards weights runs",
    "graphs metrics inference training stopping adversarial",
    "film",
    "looks widget survey_page survey_answers survey_report report_page trials",
    "experts mirror",
    "cli train_cli evaluate_cli survey_cli export_cli archive_cli",
)]
HEIGHT = {module: height for height, layer in enumerate(LAYERS) for module in layer}
MODULES = {path.stem: path for path in (ROOT/"colorize_lib").glob("*.py") if not path.stem.startswith("_")}

def imports(source):
    "The modules of this library that a piece of source imports, at its top or inside a function"
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom): continue
        name = re.sub(r"^colorize_lib\.?", "", node.module or "") if node.level == 0 else node.module or ""
        ours = node.level or (node.module or "").split(".")[0] == "colorize_lib"
        if ours: yield from [name] if name else [alias.name for alias in node.names]

def needs(module):
    return {name for name in imports(MODULES[module].read_text(encoding="utf-8")) if not name.startswith("_")}

def test_imports_are_found():
    text = "from .core import a\nfrom . import color\ndef f():\n    from colorize_lib.data import b\n    from colorize_lib import unet\nimport os"
    assert sorted(imports(text)) == ["color", "core", "data", "unet"]

def test_every_module_has_a_layer():
    assert sorted(HEIGHT) == sorted(MODULES)

def test_no_import_goes_up():
    assert [(m, n) for m in MODULES for n in needs(m) if HEIGHT[n] > HEIGHT[m]] == []

def test_no_circle():
    list(TopologicalSorter({module: needs(module) for module in MODULES}).static_order())

LOADS = """
import sys
for name in {blocked!r}: sys.modules[name] = None
import {module}
"""

@pytest.mark.parametrize("module, blocked", [("metrics", ["fastai"]), ("console", ["fastai", "torch"]), ("cli", ["fastai", "torch"]),
                                             ("inference", ["fastai", "torch", "timm", "skimage", "matplotlib", "pandas", "scipy"]),
                                             ("survey_page", ["fastai"])])
def test_light_modules_load_without(module, blocked):
    code = LOADS.format(module=f"colorize_lib.{module}", blocked=blocked)
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-1500:]

def test_no_module_is_long():
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: n for name, n in lengths.items() if n > 320} == {}

# ---- style ----

def code_of(cell):
    return pages.source(cell) if cell["cell_type"] == "code" else ""

def code_lines(cell):
    return [line for line in code_of(cell).split("\n") if line.strip() and not line.startswith(("#|", "!", "%"))]

def is_packed(tree):
    "a, b = 1, 2"
    return isinstance(tree.targets[0], ast.Tuple) and isinstance(tree.value, ast.Tuple)

def assignments(cells):
    trees = [tree for cell in cells for tree in pages.statements(cell)]
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Assign)]

CELLS = [cell for cells in NOTEBOOKS.values() for cell in cells]

def test_lines_are_short():
    lengths = sorted(len(line) for cell in CELLS for line in code_lines(cell))
    assert lengths[len(lengths)*9//10] <= 95
    assert sum(n > 120 for n in lengths)/len(lengths) <= 0.01

def test_unrelated_values_are_not_packed():
    found = assignments(CELLS)
    assert sum(map(is_packed, found))/len(found) <= 0.05

def test_one_statement_a_line():
    def twice(cell):
        starts = [node.lineno for tree in pages.statements(cell) for node in ast.walk(tree) if isinstance(node, ast.stmt)]
        inline = [node.body[0].lineno for tree in pages.statements(cell) for node in ast.walk(tree)
                  if isinstance(node, (ast.If, ast.For, ast.With, ast.FunctionDef, ast.Try, ast.ClassDef, ast.While)) and node.body]
        return any(starts.count(line) - inline.count(line) > 1 for line in starts)
    assert [(stem, cell["id"]) for stem, cells in NOTEBOOKS.items() for cell in cells if twice(cell)] == []

def test_cells_that_import_do_nothing_else():
    "nbdev runs cells with imports whenever it renders a page, and the values that the others need are not there"
    def mixed(cell):
        kinds = [pages.is_import(tree) for tree in pages.statements(cell)]
        return any(kinds) and not all(kinds) and not {"export", "exports"} & pages.directives(cell).keys()
    assert [(stem, cell["id"]) for stem, cells in NOTEBOOKS.items() for cell in cells if mixed(cell)] == []

def test_photos_stand_three_across_at_most():
    "A column of text has room for three of 220 pixels; a fourth would lie out of view"
    across = {(stem, cell["id"]): int(pages.directives(cell).get("photos-across", 0))
              for stem, cells in NOTEBOOKS.items() for cell in cells}
    assert [place for place, n in across.items() if n > 3] == []
