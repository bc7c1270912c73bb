"""Put each chapter's badges, its claims in the ledger, into the notebook: the cell, and its output as executing it would store it.

Run this after a change of data/claims.yml: .venv/bin/python tools/badges.py
No chapter has to be executed, and nothing else in it changes. A chapter without claims has no such cell.
"""
import json, os
from pathlib import Path

from colorize_lib import ledger

ROOT = Path(__file__).resolve().parent.parent


def stored(page):
    "The output of a cell that shows a page"
    data = {"text/html": page.markup.splitlines(keepends=True), "text/plain": repr(page).splitlines(keepends=True)}
    return dict(data=data, execution_count=None, metadata={}, output_type="execute_result")


def badge_cell(name):
    # an expression without an import statement: nbdev runs cells that hold one whenever it renders a page
    source = ["#| echo: false\n", f'__import__("colorize_lib.ledger").ledger.badges("{name}")']
    return dict(cell_type="code", execution_count=None, id="claims", metadata={}, outputs=[stored(ledger.badges(name))], source=source)


def place(cells):
    "Before the exercises, else before the references, else at the end"
    heads = ["".join(cell["source"]) if cell["cell_type"] == "markdown" else "" for cell in cells]
    found = [i for start in ("## Exercises", "## References") for i, head in enumerate(heads) if head.startswith(start)]
    return [*found, len(cells)][0]


def renew(path, has_claims):
    "Replace the cell of badges, or insert it before the exercises"
    text = path.read_text(encoding="utf-8")
    nb = json.loads(text)
    cells = [cell for cell in nb["cells"] if cell["id"] != "claims"]
    if has_claims: cells.insert(place(cells), badge_cell(path.stem))
    nb["cells"] = cells
    new = json.dumps(nb, ensure_ascii=False, indent=1) + "\n"
    if new != text: path.write_text(new, encoding="utf-8")


def main():
    os.chdir(ROOT)
    with_claims = {claim.notebook for claim in ledger.load_claims().values()}
    for path in sorted((ROOT/"nbs").glob("*.ipynb")):
        if path.stem not in ("51_conclusion", "index"): renew(path, path.stem in with_claims)


if __name__ == "__main__": main()
