"""Put each chapter's badges, its claims in the ledger, into the notebook: the cell, and its output as executing it would store it.

Run this after a change of data/claims.yml. No chapter has to be executed, and nothing else in it changes.
"""
import json, os
from pathlib import Path

from colorize_lib import ledger

ROOT = Path(__file__).resolve().parent.parent

def badge_cell(name):
    page = ledger.badges(name)
    data = {"text/html": page.markup.splitlines(keepends=True), "text/plain": repr(page).splitlines(keepends=True)}
    output = dict(data=data, execution_count=None, metadata={}, output_type="execute_result")
    # an expression without an import statement: nbdev runs cells that hold one whenever it renders a page
    source = ["#| echo: false\n", f'__import__("colorize_lib.ledger").ledger.badges("{name}")']
    return dict(cell_type="code", execution_count=None, id="claims", metadata={}, outputs=[output], source=source)

def renew(path):
    "Replace the cell of badges, or insert it before the exercises"
    nb = json.loads(path.read_text(encoding="utf-8"))
    cells = [c for c in nb["cells"] if c["id"] != "claims"]
    at = next(i for i, c in enumerate(cells) if c["cell_type"] == "markdown" and "".join(c["source"]).startswith("## Exercises"))
    nb["cells"] = [*cells[:at], badge_cell(path.stem), *cells[at:]]
    path.write_text(json.dumps(nb, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

if __name__ == "__main__":
    os.chdir(ROOT)
    for name in sorted({claim.notebook for claim in ledger.load_claims().values()} - {"51_conclusion"}): renew(ROOT/"nbs"/f"{name}.ipynb")
