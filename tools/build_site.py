"""Render the notebooks into _docs/ and renew README.md.

tools/pages.py prepares the pages for any renderer. Quarto renders them where it is installed, else
tools/without_quarto.py does. tools/finish.py finishes what either of them made.
"""
import os, re, shutil, subprocess, sys
from pathlib import Path

import finish, network, pages, yaml
from pages import label_of, source

ROOT = Path(__file__).resolve().parent.parent
REDIRECT = """<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={0}">
<title>Redirect</title><a href="{0}">Go to the course</a>
"""

# ---- README.md ----

def directive(text, key):
    found = re.search(rf'^#\|\s*{key}:\s*"?(.*?)"?$', text, re.M)
    return found and found[1]


def as_quote(match):
    "A callout of Quarto's as a quotation, which GitHub shows too"
    title = [f"**{match[1]}**", ""] if match[1] else []
    lines = title + match[2].strip().split("\n")
    return "\n".join(f"> {line}".rstrip() for line in lines)


def prose(text):
    "A cell of prose as GitHub shows it: links lead into nbs/"
    callout = re.compile(r'^:::+ *\{\.callout-\w+(?: title="([^"]*)")?.*?\}\n(.*?)^:::+ *$', re.M | re.S)
    return callout.sub(as_quote, re.sub(r"\]\((\d\d[a-z]?_\w+\.ipynb)", r"](nbs/\1", text)).strip()


def picture(text, label, figures):
    "A labelled figure: its file in figures/ and its caption"
    file = figures/f"{label.removeprefix('fig-')}.png"
    assert file.is_file(), f"the cell {label} does not write figures/{file.name}"
    return f"![{directive(text, 'fig-alt')}](figures/{file.name})\n\n*{directive(text, 'fig-cap')}*"


def code_and_outputs(cell, figures):
    text = source(cell)
    code = "\n".join(line for line in text.split("\n") if not line.startswith("#|")).strip()
    if code and directive(text, "echo") != "false": yield f"```python\n{code}\n```"
    if (label := label_of(cell)):
        yield picture(text, label, figures)
        return
    for output in cell["outputs"]:
        plain = output.get("data", {}).get("text/plain")
        if plain: yield f"```text\n{''.join(plain)}\n```"


def readme(notebook, figures):
    "The notebook as GitHub's Markdown"
    first, *cells = pages.read(notebook)["cells"]
    parts = [prose(re.sub(r"\n- \w[\w-]*:.*", "", source(first)))]  # without its front matter
    for cell in cells:
        silent = re.match(r"#\|\s*(hide|default_exp)\b", source(cell))
        if cell["cell_type"] == "markdown": parts.append(prose(source(cell)))
        elif not silent and "parameters" not in cell["metadata"].get("tags", []):
            parts += code_and_outputs(cell, figures)
    note = "<!-- Written by `make site` from nbs/index.ipynb: change that, not this. -->"
    return "\n\n".join([note, *parts]) + "\n"

# ---- the site ----

def with_quarto(work):
    "Quarto looks for Python and its tools on PATH, also where nobody activated the environment that runs this"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    subprocess.run([shutil.which("quarto"), "render", str(work), "--no-cache"], check=True, env={**os.environ, "PATH": path})
    return work/"_docs"


def render(work):
    if shutil.which("quarto"): return with_quarto(work)
    import without_quarto  # needs pandoc and smalldocs, which Quarto replaces
    return without_quarto.render(work)


def main():
    out = ROOT/"_docs"
    work = pages.process(ROOT)
    config = yaml.safe_load((ROOT/"_quarto.yml").read_text(encoding="utf-8"))
    places = {path.stem: pages.places_of(pages.read(path)) for path in (work/"nbs").glob("*.ipynb")}
    rendered = render(work)
    finish.finish(rendered, config, places)
    network.write(rendered/"assets"/"colour")
    shutil.rmtree(out, ignore_errors=True)
    shutil.move(rendered, out)
    home = out/"index.html"
    if not home.exists(): home.write_text(REDIRECT.format("nbs/index.html"), encoding="utf-8")
    (ROOT/"README.md").write_text(readme(ROOT/"nbs"/"index.ipynb", ROOT/"figures"), encoding="utf-8")
    print(f"site: {home}")


if __name__ == "__main__": main()
