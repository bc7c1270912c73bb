"""What every page gets, whoever renders it: documentation once and in order, folded plumbing, figures that are one picture.

nbdev makes the processed copies of the notebooks in _proc/. `prepare` changes such a copy, never the notebook.
"""
import ast, json, re
from collections import Counter

import links, opening, yaml
from nbdev.showdoc import showdoc_nm

MAGIC = re.compile(r"^\s*[!%].*", re.M)
NBDEV_FOLD = '#| code-fold: show\n#| code-summary: "Exported source"\n'
SHOW_DOC = re.compile(r"^show_doc\(([\w.]+)", re.M)
SIGNATURE = re.compile(r"```.*?```", re.S)
LINKED_NAME = re.compile(r"\[(`[^`\]]+`)\]\(http[^)\s]*\)")
LINK_IN_LINK = re.compile(r"\[([^\[\]\n]*(?:\[`[^`\]]+`\]\(http[^)\s]*\)[^\[\]\n]*)+)\]\(")
PICTURES = ("image/png", "image/svg+xml", "image/jpeg", "image/gif")

# ---- reading cells ----

def source(cell):
    return "".join(cell["source"])


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def write(path, nb):
    "Store a notebook as Jupyter does, with the source of a cell as a list of lines: Quarto reads no other form"
    for cell in nb["cells"]:
        cell["source"] = source(cell).splitlines(keepends=True)
    path.write_text(json.dumps(nb, ensure_ascii=False, indent=1), encoding="utf-8")


def directives(cell):
    "The `#|` lines of a code cell: key -> value, None where nbdev's words stand alone"
    lines = re.findall(r"^#\|\s*(.*?)\s*$", source(cell), re.M) if cell["cell_type"] == "code" else []
    return {key: value.strip() or None for key, _, value in (line.partition(":") for line in lines)}


def label_of(cell):
    found = re.search(r"^#\|\s*label:\s*(\S+)", source(cell), re.M)
    return found[1] if found and cell["cell_type"] == "code" else None


def is_figure(cell):
    return (label_of(cell) or "").startswith("fig-")


def statements(cell):
    "The syntax trees of a code cell's statements; none where the cell is not Python"
    if cell["cell_type"] != "code": return []
    try:
        return ast.parse(MAGIC.sub("", source(cell))).body
    except SyntaxError:
        return []

# ---- documentation: once, and in the order of the source ----

def definitions(cell):
    "The functions and classes that a cell defines, as `show_doc` names them; many are called `_`, and none of them is looked for"
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = [showdoc_nm(tree) for tree in statements(cell) if isinstance(tree, kinds)]
    return [name for name in names if name != "_"]


def documented(cell):
    "What a cell of nbdev's documentation is about, or None"
    found = SHOW_DOC.search(source(cell)) if cell["cell_type"] == "code" else None
    return found and found[1]


def anchors(names):
    "A cell that links to these functions can lead to; their documentation would have held the headings"
    marks = "\n".join(f'<a id="{name.lower()}"></a>' for name in names)
    id = re.sub(r"\W", "-", f"anchors-{names[0]}")
    return dict(cell_type="markdown", id=id, metadata={}, source=f"```{{=html}}\n{marks}\n```")


def titles(cells):
    "The headings of a lesson in small letters: each is the id of its section, if it is one word"
    prose = (source(cell) for cell in cells if cell["cell_type"] == "markdown")
    return {line.lower() for text in prose for line in re.findall(r"^#+ (.+?) *$", text, re.M)}


def document_once(cells, lesson):
    "Leave out the documentation of functions whose source is on the page; put the rest in the order of `lesson`"
    place = {name: i for i, name in enumerate(name for cell in lesson for name in definitions(cell))}
    in_source = [name for cell in lesson if "exports" in directives(cell) for name in definitions(cell)]
    taken = titles(lesson)
    result = []
    for cell in cells:
        if documented(cell) in in_source: continue
        if cell["cell_type"] == "code" and source(cell).startswith(NBDEV_FOLD):
            cell["source"] = source(cell).removeprefix(NBDEV_FOLD)
            if names := [name for name in definitions(cell) if name.lower() not in taken]: result.append(anchors(names))
        result.append(cell)
    return in_order(result, place)


def in_order(cells, place):
    "Sort each run of documentation cells by `place`, a dict of name -> number"
    result, run = [], []
    for cell in [*cells, None]:
        if cell is not None and documented(cell) in place:
            run.append(cell)
            continue
        result += sorted(run, key=lambda c: place[documented(c)])
        run = []
        if cell is not None: result.append(cell)
    return result


def unlinked(code):
    "Take out the links that nbdev puts around names in a signature: in a code block they show as they are written"
    return LINKED_NAME.sub(r"\1", code)


def one_link(text):
    "nbdev links every name in backticks, also inside the text of a link that an author wrote: the author's stays"
    return LINK_IN_LINK.sub(lambda m: f"[{unlinked(m[1])}](", text)


def with_asterisks(line):
    "A docstring is set in *italics*; asterisks inside it are escaped, so that (6/29)**3 stays a power"
    found = re.fullmatch(r"(\s*)\*(.+)\*(\s*)", line)
    if not found: return line
    code_or_star = re.compile(r"`[^`]*`|\*")
    escaped = code_or_star.sub(lambda m: r"\*" if m[0] == "*" else m[0], found[2])
    return f"{found[1]}*{escaped}*{found[3]}"


def tidy_documentation(text):
    "The Markdown of one `show_doc`: no links inside the signature, no lost asterisks after it"
    end = max((m.end() for m in SIGNATURE.finditer(text)), default=0)
    signature = SIGNATURE.sub(lambda m: unlinked(m[0]), text[:end])
    return signature + "\n".join(with_asterisks(line) for line in text[end:].split("\n"))

# ---- folding ----

def is_import(tree):
    return isinstance(tree, (ast.Import, ast.ImportFrom))


def is_test(tree):
    "An assert, a call of test_…, or a block of nothing else"
    if isinstance(tree, ast.Assert): return True
    if isinstance(tree, (ast.For, ast.If, ast.With, ast.Try)):
        blocks = [tree.body, getattr(tree, "orelse", []), *(h.body for h in getattr(tree, "handlers", []))]
        return all(is_test(inner) for block in blocks for inner in block)
    called = tree.value.func if isinstance(tree, ast.Expr) and isinstance(tree.value, ast.Call) else None
    return getattr(called, "id", getattr(called, "attr", "")).startswith("test_")


def names(trees, context):
    "The names that statements set (`ast.Store`) or use (`ast.Load`)"
    found = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name))
    return {node.id for node in found if isinstance(node.ctx, context)}


def count_uses(cells):
    "name -> in how many cells it is used"
    return Counter(name for cell in cells for name in names(statements(cell), ast.Load))


def draws_only(cell, uses, uses_in_figures):
    "Functions that nothing but figures call"
    trees = statements(cell)
    if not trees or cell["outputs"] or not all(isinstance(tree, ast.FunctionDef) for tree in trees): return False
    here = names(trees, ast.Load)
    return all(0 < uses_in_figures[f.name] >= uses[f.name] - (f.name in here) for f in trees)


def tests_only(cell, uses):
    "Tests, and the values that they alone need; a value that another cell uses is part of the lesson"
    *before, last = statements(cell) or [None]
    others = [tree for tree in before if not is_test(tree)]
    if last is None or not is_test(last): return False
    if not all(isinstance(tree, ast.Assign) for tree in others) or others and cell["outputs"]: return False
    here = names(statements(cell), ast.Load)
    return all(uses[name] <= (name in here) for name in names(others, ast.Store))


def is_tagged(cell):
    return "fold" in cell["metadata"].get("tags", [])


def title_of(cell):
    "What stands on the fold of a cell that is tagged `fold`: what it defines"
    found = ", ".join(definitions(cell))
    return f"Source of {found}" if found else "The code"


def summary_of(cell, uses, uses_in_figures):
    "What stands on a cell's fold; None for a cell that stays open"
    trees = statements(cell)
    if is_figure(cell): return "The code of this figure"
    if is_tagged(cell): return title_of(cell)
    if trees and all(map(is_import, trees)): return "Imports"
    if tests_only(cell, uses): return "Tests"
    if draws_only(cell, uses, uses_in_figures): return "A helper that draws"
    return None


def fold(cell, *uses):
    "Fold what a reader may skip, unless the cell itself says what it wants"
    said = directives(cell)
    summary = summary_of(cell, *uses)
    if summary is None or said.get("code-fold") is not None or said.get("echo") == "false": return
    lines = ["#| code-fold: true"]
    if "code-summary" not in said: lines.append(f'#| code-summary: "{summary}"')
    cell["source"] = "\n".join([*lines, source(cell)])

# ---- figures ----

def kinds_of(output):
    return output.get("data", {}).keys()


def only_picture(cell):
    "A labelled figure shows its picture alone: Quarto would make a printed value a second figure with the same id"
    drawn = [o for o in cell["outputs"] if kinds_of(o) & set(PICTURES)]
    if not drawn: drawn = [o for o in cell["outputs"] if "text/html" in kinds_of(o)]
    cell["outputs"] = drawn

def with_room(cells):
    "A figure that says `#| photos-across: n` gets 220 pixels for each of n photos; where the page is narrower, it scrolls"
    for cell in cells:
        n = directives(cell).get("photos-across")
        if n:
            id = label_of(cell)
            style = f"#{id} {{ overflow-x: auto; }} #{id} img {{ min-width: {220*int(n)}px; }}"
            style += f" #{id} figcaption {{ position: sticky; left: 0; width: min(38rem, 86vw); }}"  # the words stay in view
            style = f"<style>@media screen {{ {style} }}</style>"
            yield dict(cell_type="markdown", id=f"room-{id}", metadata={}, source=f"```{{=html}}\n{style}\n```")
        yield cell

# ---- links ----

def texts(nb):
    "The places that hold Markdown: (container, key) of each prose cell, and of outputs such as docstrings"
    for cell in nb["cells"]:
        if cell["cell_type"] == "markdown": yield cell, "source"
        for output in cell.get("outputs", []):
            if "text/markdown" in output.get("data", {}): yield output["data"], "text/markdown"


def places_of(nb):
    "The ids that links to functions may lead to on a prepared page"
    shown = {name.lower() for cell in nb["cells"] if (name := documented(cell))}
    return shown | {id for cell in nb["cells"] for id in re.findall(r'<a id="([^"]+)">', source(cell))}


def lead_links(nb, site, places):
    "Change the links of a prepared page in place, so that they lead to the pages beside it"
    for place, key in texts(nb): place[key] = links.as_words(links.lead("".join(place[key]), site, places))
    for output in (output for cell in nb["cells"] for output in cell.get("outputs", [])):
        if "text/html" in kinds_of(output):
            output["data"]["text/html"] = links.in_output("".join(output["data"]["text/html"]))

# ---- a page ----

def prepare(nb, lesson):
    "Change a processed notebook in place; `lesson` is the notebook it was made from"
    nb["cells"] = list(with_room(document_once(nb["cells"], lesson["cells"])))
    uses = count_uses(lesson["cells"])
    uses_in_figures = count_uses(filter(is_figure, lesson["cells"]))
    exported = [cell["id"] for cell in lesson["cells"] if "exports" in directives(cell)]
    for cell in nb["cells"]:
        if cell["cell_type"] == "raw": cell["source"] = links.plain_names(source(cell))
        if cell["cell_type"] == "markdown": cell["source"] = one_link(source(cell))
        if cell["cell_type"] != "code": continue
        for output in cell["outputs"]:
            if documented(cell) and "text/markdown" in kinds_of(output):
                output["data"]["text/markdown"] = tidy_documentation("".join(output["data"]["text/markdown"]))
        if is_figure(cell): only_picture(cell)
        if cell["id"] not in exported or is_tagged(cell): fold(cell, uses, uses_in_figures)
    return nb


def process(root):
    "nbdev's processed copies in _proc/, prepared for any renderer; returns that folder"
    from nbdev.serve import proc_nbs  # imports the library's own modules: slow, and not needed by the functions above
    proc_nbs(n_workers=0, force=True)
    work = root/"_proc"
    site = yaml.safe_load((root/"_quarto.yml").read_text(encoding="utf-8"))["website"]["site-url"]
    paths = sorted((work/"nbs").glob("*.ipynb"))
    made = {path: prepare(read(path), read(root/"nbs"/path.name)) for path in paths}
    index = read(root/"nbs"/"index.ipynb")["cells"]
    for path, nb in made.items(): opening.open_page(nb, path.stem, index)
    places = {path.stem: places_of(nb) for path, nb in made.items()}
    for path, nb in made.items():
        lead_links(nb, site, places)
        write(path, nb)
    return work
