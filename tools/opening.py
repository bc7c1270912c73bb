"""How a lesson opens: what its reader will be able to say, how long it takes to read, and the picture that it explains.

The words come from the table of chapters in nbs/index.ipynb, the minutes from the prose, the picture from the page's own figures.
Nothing of it is written twice, so nothing of it can be out of date.
"""
import html, re

ROW = re.compile(r"^\| \[[^\]]+\]\((\w+)\.ipynb\) \| (.+?) \|$", re.M)
ANSWER = re.compile(r"^::: \{\.callout-tip collapse.*?^:::$", re.M | re.S)
NO_WORDS = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$|\]\([^)]*\)|[{<][^}>\n]*[}>]", re.S)
WORDS_A_MINUTE = 200  # of a text that one thinks about

# where the first figure is not the one that the page is about
PICTURES = {
    "11_introduction": "fig-path",
    "12b_primer": "fig-network",
    "21_color_spaces": "fig-lab",
    "22_classical": "fig-families",
    "26_transfer": "fig-kernels",
    "34a_pretraining": "fig-l1-strip",
    "34f_stopping": "fig-stop",
    "41_results": "fig-fail-patches",
    "52a_distributions": "fig-temperature",
    "52b_colour_terms": "fig-belief",
    "52c_samples": "fig-arrows",
    "53_restoration": "fig-faded",
}


def source(cell):
    return "".join(cell["source"])


def promises(index):
    "page -> what its reader will be able to say, from the cells of the index"
    return dict(ROW.findall("\n".join(source(cell) for cell in index if cell["cell_type"] == "markdown")))


def minutes(cells):
    "How long the prose takes to read, in whole minutes; folded answers are left out"
    prose = "\n".join(source(cell) for cell in cells if cell["cell_type"] == "markdown")
    words = re.findall(r"\w+", NO_WORDS.sub(" ", ANSWER.sub("", prose)))
    return max(1, round(len(words)/WORDS_A_MINUTE))


def option(cell, key):
    found = re.search(rf'^#\|\s*{key}:\s*"?(.*?)"?\s*$', source(cell), re.M)
    return found and found[1]


def stored(cell):
    "(kind, base64) of the picture that a cell left, or None; a film is no still picture"
    for output in cell.get("outputs", []):
        for kind in ("image/png", "image/jpeg"):
            if kind in output.get("data", {}): return kind, "".join(output["data"][kind]).replace("\n", "")
    return None


def picture(cells, wanted):
    "The figure that opens a page, as HTML that leads to it: the wanted one, else the first; '' where there is none"
    figures = {label: cell for cell in cells if cell["cell_type"] == "code" and (label := option(cell, "label") or "").startswith("fig-") and stored(cell)}
    if not figures: return ""
    label = wanted or next(iter(figures))
    kind, data = stored(figures[label])
    alt = html.escape(option(figures[label], "fig-alt") or "")
    return f'<p class="opening"><a href="#{label}"><img src="data:{kind};base64,{data}" alt="{alt}"></a></p>'


def opening(stem, cells, promise):
    "The cell that opens a page"
    n = minutes(cells)
    words = f"**After this chapter you can say** {promise}. Reading takes about {n} minute{'s' * (n > 1)}."
    shown = picture(cells, PICTURES.get(stem))
    text = f"{words}\n\n```{{=html}}\n{shown}\n```" if shown else words
    return dict(cell_type="markdown", id="opening", metadata={}, source=text)


def open_page(nb, stem, index):
    "Put the opening of a page that the index promises below its links to Colab and to the source, in place"
    promise = promises(index).get(stem)
    if promise is None: return
    at = next(i for i, cell in enumerate(nb["cells"]) if "colab-badge.svg" in source(cell))
    nb["cells"].insert(at + 1, opening(stem, nb["cells"], promise))
