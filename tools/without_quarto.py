"""The site without Quarto: smalldocs, which is pure Python, renders it.

It knows neither citations nor cross-references, and shows formulas only with a network. So all three are
resolved first, in the prepared copies under _proc/.
"""
import html, json, re, subprocess, sys

import pypandoc, yaml
from pages import label_of, read, source, texts, write

KINDS = dict(fig="Figure", eq="Equation", tbl="Table", sec="Section")
REFERENCE = r"(?:fig|eq|tbl|sec)-"
CODE = re.compile(r"(```.*?```|~~~.*?~~~|``.*?``|`[^`\n]*`)", re.S)  # where a [@key] is only an example
CITATION = re.compile(rf"\[[^\[\]]*?-?@(?!{REFERENCE})\w[^\[\]]*\](?!\()"
                      rf"|(?<![\w/.\[@])@(?!{REFERENCE})[a-zA-Z]\w*")
CROSSREF = re.compile(rf"(?<![\w\[])\[?@({REFERENCE}[\w-]*\w)\]?")
EQUATION = re.compile(r"\$\$(.+?)\$\$[ \t]*\{#(eq-[\w-]+)\}", re.S)
DISPLAYED = r"\$\$(.+?)\$\$"
INLINE = r"(?<![\\$])\$(?=[^\s$])((?:[^$\\\n]|\\.|\n(?!\s*\n))+?)(?<=\S)\$(?![\d$])"
MATH = re.compile(f"{DISPLAYED}|{INLINE}", re.S)
REFERENCES = re.compile(r"^:{3,} *\{#refs\}\s*\n\s*:{3,}\s*$", re.M)
ONE = re.compile(r'<div class="one">\s*<p>(.*?)</p>\s*</div>', re.S)


def outside_code(text, change, inside=str):
    "Apply `change` to the parts of Markdown `text` that are not code, and `inside` to those that are"
    parts = CODE.split(text)
    return "".join(inside(part) if i % 2 else change(part) for i, part in enumerate(parts))


def unique(items):
    return list(dict.fromkeys(items))

# ---- what pandoc does for us ----

def by_pandoc(pieces, *extra, after=""):
    "Pieces of Markdown -> the HTML of each, and the whole page"
    text = "\n\n".join(f"::: {{.one}}\n{piece}\n:::" for piece in pieces) + after
    page = pypandoc.convert_text(text, "html", format="markdown", extra_args=[*extra, "--wrap=none"])
    return ONE.findall(page), page


def as_markdown(markup):
    "A citation's HTML as Markdown: links and plain text"
    linked = re.sub(r'<a href="(#[^"]+)"[^>]*>(.*?)</a>', r"[\2](\1)", markup)
    return html.unescape(re.sub(r"<[^>]+>", "", linked))


def cite(groups, bibliography):
    "Citation groups as written -> (group -> Markdown, the HTML of the reference list), by pandoc's citeproc"
    if not groups: return {}, ""
    known = set(re.findall(r"^@\w+\{([^,\s]+)", bibliography.read_text(encoding="utf-8"), re.M))
    used = {key for group in groups for key in re.findall(r"@(\w+)", group)}
    if used - known:
        raise SystemExit(f"not in {bibliography.name}: {', '.join(sorted(used - known))}")
    options = ["--citeproc", f"--bibliography={bibliography}", "--metadata=link-citations:true"]
    rendered, page = by_pandoc(groups, *options, after="\n\n::: {#refs}\n:::\n")
    assert len(rendered) == len(groups), "pandoc changed the form of its citations"
    return dict(zip(groups, map(as_markdown, rendered))), page[page.index('<div id="refs"'):]


def mathml(formulas):
    "Formulas with their dollars -> MathML, which every browser shows without a network"
    if not formulas: return {}
    found, _ = by_pandoc(formulas, "--mathml")
    is_math = re.compile(r"<math\b.*</math>", re.S)
    wrong = [f for f, m in zip(formulas, found) if not is_math.fullmatch(m.strip())]
    if wrong or len(found) != len(formulas):
        raise SystemExit(f"pandoc cannot read these formulas: {wrong}")
    return {f: one_line(m) for f, m in zip(formulas, found)}


def one_line(math):
    "MathML that passes through Markdown unharmed"
    bare = re.sub(r"<annotation\b.*?</annotation>|</?semantics>", "", math, flags=re.S)
    safe = lambda m: ">" + re.sub(r"[*_`\[\]\\|~^$]", lambda c: f"&#{ord(c[0])};", m[1]) + "<"
    return re.sub(r">([^<]+)<", safe, spaced(bare.strip().replace("\n", " ")))


def spaced(math):
    "MathML with thin spaces around the names of functions: p log 2, not plog2; a bracket needs none"
    thin = '<mspace width="0.17em"></mspace>'
    name = r"<mrow><mi\b[^>]*>[^<]*</mi><mo>&#8289;</mo></mrow>"
    before = rf"(</m(?:i|n|frac|sub|sup)>)(?=(?:<m(?:sub|sup|under)>)?{name})"
    math = re.sub(before, rf"\1{thin}", math)
    # min with its index under it: there the space would become a part of it
    after = lambda m: m[0] if m[1] else m[0] + thin
    return re.sub(rf"(<m(?:sub|sup|under|over)\w*>)?{name}(?!<mo|<mrow><mo|</|$)", after, math)

# ---- one page ----

def labels_of(cell):
    if (label := label_of(cell)): return [label]
    if cell["cell_type"] != "markdown": return []
    return re.findall(rf"\{{#({REFERENCE}[\w-]+)", source(cell))


def number_labels(cells):
    "label -> (word, number) for all figures, tables, equations and sections of a page, in order"
    numbers = {}
    count = dict.fromkeys(KINDS, 0)
    for label in (label for cell in cells for label in labels_of(cell)):
        kind = label.split("-")[0]
        if kind not in KINDS: continue
        count[kind] += 1
        numbers[label] = (KINDS[kind], count[kind])
    return numbers


class Page:
    "One prepared notebook: its numbers, citations and formulas, found before anything is changed"
    def __init__(self, nb, bibliography):
        self.nb = nb
        self.missing = []  # labels that are referred to and not there
        self.numbers = number_labels(nb["cells"])
        groups = []
        formulas = []
        def note(part):
            groups.extend(CITATION.findall(part))
            formulas.extend(m[0] for m in MATH.finditer(part))
            return part
        for place, key in texts(nb): outside_code("".join(place[key]), note)
        self.links, self.references = cite(unique(groups), bibliography)
        self.maths = mathml(unique(formulas))

    def word(self, match):
        "What a cross-reference is called: Figure 3"
        label = match[1]
        if label not in self.numbers: self.missing.append(label)
        return "{} {}".format(*self.numbers.get(label, ("?", label)))

    def equation(self, match):
        math = self.maths[f"$${match[1]}$$"]
        number = self.numbers[match[2]][1]
        box = f'<div id="{match[2]}" class="equation">{math}<span>({number})</span></div>'
        return f"```{{=html}}\n{box}\n```\n"

    def resolve(self, part):
        part = EQUATION.sub(self.equation, part)
        part = outside_code(part, lambda rest: MATH.sub(lambda m: self.maths[m[0]], rest))
        part = CITATION.sub(lambda m: self.links[m[0]], part)
        return CROSSREF.sub(lambda m: f"[{self.word(m)}](#{m[1]})", part)

    def resolve_texts(self):
        references = f"```{{=html}}\n{self.references}\n```"
        for place, key in texts(self.nb):
            text = outside_code("".join(place[key]), self.resolve)
            place[key] = REFERENCES.sub(lambda m: references, text)

    def number_captions(self):
        "Captions are plain text for smalldocs, so the number goes into them"
        def numbered(match):
            text = CROSSREF.sub(self.word, str(yaml.safe_load(match[2])))
            return match[1] + json.dumps(f"{number}: {text}", ensure_ascii=False)
        for cell in self.nb["cells"]:
            if label_of(cell) not in self.numbers: continue
            number = "{} {}".format(*self.numbers[label_of(cell)])
            cell["source"] = re.sub(r"^(#\|\s*(?:fig|tbl)-cap:\s*)(.*)$", numbered, source(cell), flags=re.M)


def resolve(path, bibliography):
    "Resolve citations, cross-references and formulas of a prepared notebook, in place; returns what refers to nothing"
    page = Page(read(path), bibliography)
    page.resolve_texts()
    page.number_captions()
    write(path, page.nb)
    return [f"{path.name}: @{label} refers to nothing" for label in unique(page.missing)]

# ---- the site ----

# MathML is what this renderer makes anyway, it follows the system's light or dark by itself,
# and it takes its widths from nbs/styles.css
QUARTO_ONLY = ("html-math-method", "respect-user-color-scheme", "grid")


def render(work):
    "Render the prepared notebooks in `work` with smalldocs; returns the folder of the site"
    config = yaml.safe_load((work/"_quarto.yml").read_text(encoding="utf-8"))
    bibliography = work/config.pop("bibliography")
    del config["link-citations"]
    for option in QUARTO_ONLY: config["format"]["html"].pop(option)
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (work/"_quarto.yml").write_text(text, encoding="utf-8")
    missing = [line for path in sorted((work/"nbs").glob("*.ipynb")) for line in resolve(path, bibliography)]
    if missing: raise SystemExit("\n".join(missing))
    for command in ("check", "render"):
        subprocess.run([sys.executable, "-m", "smalldocs.cli", command, str(work)], check=True)
    return work/"_docs"
