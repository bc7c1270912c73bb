"""Links between pages. A page is called like its notebook, whoever renders it, and a link that was made automatically leads there.

nbdev turns every name in backticks that a module defines into a link to the published site, under page names of its own:
`.../nbs/gan.html` for 23_gan.ipynb. `lead` turns them into links to the pages beside; those that would mislead it takes out.
"""
import re

PLAIN_WORD = re.compile(r"[a-z]+")  # `results` may be any results, `results()` is the function
IN_OUTPUT = re.compile(r'(<a href="[\w-]+)\.ipynb(?=[#"])')
NAMES_OF_NBDEV = re.compile(r"^(output-file|aliases):.*\n(?:- .*\n)*", re.M)
BADGE = re.compile(r"\[!\[(Open [Ii]n Colab)\]\([^)]*\)\]")


def short_name(stem):
    "What nbdev calls the page of a notebook: 34a_pretraining -> pretraining"
    return re.sub(r"^\d+[a-zA-Z0-9]*_", "", stem.lower())


def automatic(site):
    "A pattern for nbdev's links to the published `site`: the name as written, the page, the place"
    return re.compile(rf"\[`([^`\]]+)`\]\({re.escape(site)}/nbs/(\w+)\.html#([^)\s]+)\)")


def lead(text, site, places):
    "Lead nbdev's links to the pages beside; `places` is page -> ids on it, by the notebook's name"
    stems = {short_name(stem): stem for stem in places}
    def local(match):
        name, page, place = match.groups()
        stem = stems.get(page)
        if PLAIN_WORD.fullmatch(name) or place not in places.get(stem, ()): return f"`{name}`"
        return f"[`{name}`]({stem}.html#{place})"
    return automatic(site).sub(local, text)


def as_words(text):
    "Badges as words: their pictures would come from another host"
    return BADGE.sub(r"[\1]", text)


def in_output(markup):
    "Links to notebooks in a cell's output, where no renderer looks, lead to pages"
    return IN_OUTPUT.sub(r"\1.html", markup)


def plain_names(front_matter):
    "Front matter without nbdev's own names of pages"
    return NAMES_OF_NBDEV.sub("", front_matter)
