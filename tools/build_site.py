"""Render the notebooks into _docs/ and renew README.md.

Quarto does it when it is installed. Otherwise smalldocs (pure Python) does; it knows neither citations nor
cross-references, and shows formulas only with a network, so `prepare` resolves all three first, in the processed
copies under _proc/, never in the notebooks.
"""
import html, json, re, shutil, subprocess, sys
from pathlib import Path

import pypandoc, yaml

ROOT = Path(__file__).resolve().parent.parent
KINDS = dict(fig="Figure", eq="Equation", tbl="Table", sec="Section")
CODE = re.compile(r"(```.*?```|~~~.*?~~~|``.*?``|`[^`\n]*`)", re.S)  # where a [@key] is only an example
CITATION = re.compile(r"\[[^\[\]]*?-?@(?!(?:fig|eq|tbl|sec)-)\w[^\[\]]*\](?!\()|(?<![\w/.\[@])@(?!(?:fig|eq|tbl|sec)-)[a-zA-Z]\w*")
CROSSREF = re.compile(r"(?<![\w\[])\[?@((fig|eq|tbl|sec)-[\w-]*\w)\]?")
EQUATION = re.compile(r"\$\$(.+?)\$\$[ \t]*\{#(eq-[\w-]+)\}", re.S)
MATH = re.compile(r"\$\$(.+?)\$\$|(?<![\\$])\$(?=[^\s$])((?:[^$\\\n]|\\.|\n(?!\s*\n))+?)(?<=\S)\$(?![\d$])", re.S)
REDIRECT = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={0}"><title>Redirect</title><a href="{0}">Go to the course</a>\n'

def source(cell): return "".join(cell["source"])

def outside_code(text, change, inside=str):
    "Apply `change` to the parts of Markdown `text` that are not code, and `inside` to those that are"
    return "".join(inside(part) if i % 2 else change(part) for i, part in enumerate(CODE.split(text)))

def unlinked(code):
    "Take out the links that nbdev puts around names in the comments of a signature: in a code block they show as they are written"
    return re.sub(r"\[(`[^`\]]+`)\]\(http[^)\s]*\)", r"\1", code)

# ---- citations and cross-references ----

def label_of(cell):
    found = re.search(r"^#\|\s*label:\s*(\S+)", source(cell), re.M) if cell["cell_type"] == "code" else None
    return found and found.group(1)

def number_labels(cells):
    "label -> (word, number) for all figures, tables, equations and sections of a page, in order"
    labels = []
    for cell in cells:
        if (label := label_of(cell)): labels.append(label)
        elif cell["cell_type"] == "markdown": labels += re.findall(r"\{#((?:fig|eq|tbl|sec)-[\w-]+)", source(cell))
    numbers, count = {}, {}
    for label in labels:
        kind = label.split("-")[0]
        if kind not in KINDS: continue
        count[kind] = count.get(kind, 0) + 1
        numbers[label] = (KINDS[kind], count[kind])
    return numbers

def cite(groups, bibliography):
    "Citation groups as written -> (their HTML, the HTML of the reference list), by pandoc's citeproc"
    known = set(re.findall(r"^@\w+\{([^,\s]+)", bibliography.read_text(encoding="utf-8"), re.M))
    used = {key for group in groups for key in re.findall(r"@(\w+)", group)}
    if used - known: raise SystemExit(f"not in {bibliography.name}: {', '.join(sorted(used - known))}")
    text = "\n\n".join(f"::: {{.one}}\n{group}\n:::" for group in groups) + "\n\n::: {#refs}\n:::\n"
    page = pypandoc.convert_text(text, "html", format="markdown", extra_args=[
        "--citeproc", f"--bibliography={bibliography}", "--metadata=link-citations:true", "--wrap=none"])
    rendered = re.findall(r'<div class="one">\s*<p>(.*?)</p>\s*</div>', page, re.S)
    assert len(rendered) == len(groups), "pandoc changed the form of its citations"
    as_markdown = lambda markup: html.unescape(re.sub(r"<[^>]+>", "", re.sub(r'<a href="(#[^"]+)"[^>]*>(.*?)</a>', r"[\2](\1)", markup)))
    return dict(zip(groups, map(as_markdown, rendered))), page[page.index('<div id="refs"'):]

def mathml(formulas):
    "Formulas with their dollars -> MathML, which every browser shows without a network"
    page = pypandoc.convert_text("\n\n".join(f"::: {{.one}}\n{f}\n:::" for f in formulas), "html", format="markdown",
                                 extra_args=["--mathml", "--wrap=none"])
    found = re.findall(r'<div class="one">\s*<p>(.*?)</p>\s*</div>', page, re.S)
    wrong = [f for f, m in zip(formulas, found) if not re.fullmatch(r"<math\b.*</math>", m.strip(), re.S)]
    if wrong or len(found) != len(formulas): raise SystemExit(f"pandoc cannot read these formulas: {wrong}")
    quiet = lambda m: ">" + re.sub(r"[*_`\[\]\\|~^$]", lambda c: f"&#{ord(c[0])};", m[1]) + "<"  # not Markdown's marks
    bare = [re.sub(r"<annotation\b.*?</annotation>|</?semantics>", "", m, flags=re.S) for m in found]
    return {f: re.sub(r">([^<]+)<", quiet, spaced(m.strip().replace("\n", " "))) for f, m in zip(formulas, bare)}

def spaced(math):
    "MathML with thin spaces around the names of functions: p log 2, not plog2; a bracket needs none"
    thin, name = '<mspace width="0.17em"></mspace>', r"<mrow><mi\b[^>]*>[^<]*</mi><mo>&#8289;</mo></mrow>"
    math = re.sub(rf"(</m(?:i|n|frac|sub|sup)>)(?=(?:<m(?:sub|sup|under)>)?{name})", rf"\1{thin}", math)
    after = lambda m: m[0] if m[1] else m[0] + thin  # min with its index under it: the space would become a part of it
    return re.sub(rf"(<m(?:sub|sup|under|over)\w*>)?{name}(?!<mo|<mrow><mo|</|$)", after, math)

def texts(nb):
    "The places that hold Markdown: (container, key) of each prose cell, and of outputs such as docstrings"
    for cell in nb["cells"]:
        if cell["cell_type"] == "markdown": yield cell, "source"
        for output in cell.get("outputs", []):
            if "text/markdown" in output.get("data", {}): yield output["data"], "text/markdown"

def prepare(path, bibliography):
    "Resolve the citations and cross-references of one processed notebook, in place"
    nb = json.loads(path.read_text(encoding="utf-8"))
    numbers, groups, formulas = number_labels(nb["cells"]), [], []
    if nb["cells"][0]["cell_type"] == "raw":  # front matter: these two keys are Quarto's alone
        nb["cells"][0]["source"] = re.sub(r"^(output-file|aliases):.*\n(?:- .*\n)*", "", source(nb["cells"][0]), flags=re.M)
    def note(part):
        groups.extend(CITATION.findall(part))
        formulas.extend(m[0] for m in MATH.finditer(part))
        return part
    for place, key in texts(nb): outside_code("".join(place[key]), note)
    links, references = cite(list(dict.fromkeys(groups)), bibliography) if groups else ({}, "")
    maths = mathml(list(dict.fromkeys(formulas))) if formulas else {}

    def name(match):
        label = match.group(1)
        if label not in numbers: raise SystemExit(f"{path.name}: @{label} refers to nothing")
        return "{} {}".format(*numbers[label])
    def resolve(part):
        part = EQUATION.sub(lambda m: f"```{{=html}}\n<div id='{m[2]}' class='equation'>{maths[f'$${m[1]}$$']}"
                                      f"<span>({numbers[m[2]][1]})</span></div>\n```\n", part)
        part = outside_code(part, lambda rest: MATH.sub(lambda m: maths[m[0]], rest))
        part = CITATION.sub(lambda m: links[m[0]], part)
        return CROSSREF.sub(lambda m: f"[{name(m)}](#{m[1]})", part)

    for place, key in texts(nb):
        text = outside_code("".join(place[key]), resolve, unlinked)
        place[key] = re.sub(r"^:{3,} *\{#refs\}\s*\n\s*:{3,}\s*$", lambda m: f"```{{=html}}\n{references}\n```", text, flags=re.M)
    for cell in nb["cells"]:
        for data in (o["data"] for o in cell.get("outputs", []) if "text/html" in o.get("data", {})):  # smalldocs leads links of prose only
            data["text/html"] = re.sub(r'(<a href="[\w-]+)\.ipynb(?=[#"])', r"\1.html", "".join(data["text/html"]))
        label = label_of(cell)
        if label in numbers:  # captions are plain text for smalldocs
            number = "{} {}".format(*numbers[label])
            cell["source"] = re.sub(r"^(#\|\s*(?:fig|tbl)-cap:\s*)(.*)$", lambda m: m[1] + json.dumps(
                f"{number}: {CROSSREF.sub(name, str(yaml.safe_load(m[2])))}", ensure_ascii=False), source(cell), flags=re.M)
    path.write_text(json.dumps(nb, ensure_ascii=False, indent=1), encoding="utf-8")

# ---- README.md ----

def readme(notebook, figures):
    "The notebook as GitHub's Markdown: links point into nbs/, a labelled figure to its file in figures/"
    parts = []
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        text = source(cell)
        if cell["cell_type"] == "markdown":
            if not parts: text = re.sub(r"\n- \w[\w-]*:.*", "", text)  # front matter
            text = re.sub(r"\]\((\d\d[a-z]?_\w+\.ipynb)", r"](nbs/\1", text)
            text = re.sub(r'^:::+ *\{\.callout-\w+(?: title="([^"]*)")?.*?\}\n(.*?)^:::+ *$', as_quote, text, flags=re.M | re.S)
            parts.append(text.strip())
        elif not re.match(r"#\|\s*(hide|default_exp)\b", text) and "parameters" not in cell["metadata"].get("tags", []):
            code = "\n".join(line for line in text.split("\n") if not line.startswith("#|")).strip()
            label, alt = label_of(cell), re.search(r'^#\|\s*fig-alt:\s*"?(.*?)"?$', text, re.M)
            if code and "echo: false" not in text: parts.append(f"```python\n{code}\n```")
            if label:
                picture = figures/f"{label.removeprefix('fig-')}.png"
                assert picture.is_file(), f"the cell {label} does not write figures/{picture.name}"
                caption = re.search(r'^#\|\s*fig-cap:\s*"?(.*?)"?$', text, re.M)
                parts.append(f"![{alt.group(1)}](figures/{picture.name})\n\n*{caption.group(1)}*")
            else: parts += [f"```text\n{''.join(o['data']['text/plain'])}\n```" for o in cell["outputs"] if "text/plain" in o.get("data", {})]
    return "<!-- Written by `make site` from nbs/index.ipynb: change that, not this. -->\n\n" + "\n\n".join(parts) + "\n"

def as_quote(match):
    lines = ([f"**{match[1]}**", ""] if match[1] else []) + match[2].strip().split("\n")
    return "\n".join(f"> {line}".rstrip() for line in lines)

# ---- the site ----

def with_quarto():
    subprocess.run(["nbdev_docs"], cwd=ROOT, check=True)

def with_smalldocs():
    from nbdev.serve import proc_nbs
    work, out = ROOT/"_proc", ROOT/"_docs"
    shutil.rmtree(work, ignore_errors=True)
    proc_nbs(n_workers=0, force=True)
    config = yaml.safe_load((work/"_quarto.yml").read_text(encoding="utf-8"))
    bibliography = work/config.pop("bibliography")
    del config["link-citations"]
    (work/"_quarto.yml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    for path in sorted((work/"nbs").glob("*.ipynb")): prepare(path, bibliography)
    for command in ("check", "render"): subprocess.run([sys.executable, "-m", "smalldocs.cli", command, str(work)], check=True)
    shutil.rmtree(out, ignore_errors=True)
    shutil.move(work/"_docs", out)

def main():
    if shutil.which("quarto"): with_quarto()
    else: with_smalldocs()
    home = ROOT/"_docs"/"index.html"
    if not home.exists(): home.write_text(REDIRECT.format("nbs/index.html"), encoding="utf-8")
    (ROOT/"README.md").write_text(readme(ROOT/"nbs"/"index.ipynb", ROOT/"figures"), encoding="utf-8")
    print(f"site: {home}")

if __name__ == "__main__": main()
