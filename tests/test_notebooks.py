"""What is stored in the notebooks: a page shows only the outputs that were saved."""
import json, re
from configparser import ConfigParser
from pathlib import Path

import pytest

SHOWN = {"image/png", "image/jpeg", "text/html"}  # what a figure may be
NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent/"nbs").glob("*.ipynb"))

def code_cells(notebook):
    return [c for c in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if c["cell_type"] == "code"]

@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_figures_are_stored_and_nothing_else_leaks(notebook):
    cells = code_cells(notebook)
    assert any(c["outputs"] for c in cells), "no stored outputs: execute the notebook"
    for cell in cells:
        source = "".join(cell["source"])
        kinds = [o["output_type"] for o in cell["outputs"]]
        assert "error" not in kinds, source[:100]
        if re.search(r"^#\| *label: *fig-", source, re.M):
            assert any(SHOWN & o.get("data", {}).keys() for o in cell["outputs"]), source[:100]
        assert "site-packages" not in json.dumps(cell["outputs"]), f"a path of the machine: {source[:100]}"

@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_each_cell_has_an_id_of_its_own(notebook):
    ids = [c["id"] for c in json.loads(notebook.read_text(encoding="utf-8"))["cells"]]
    assert len(set(ids)) == len(ids), sorted(i for i in set(ids) if ids.count(i) > 1)

@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.stem)
def test_colab_installs_this_version_of_this_repository(notebook):
    config = ConfigParser()
    config.read(NOTEBOOKS[0].parent.parent/"settings.ini", encoding="utf-8")
    cfg = config["DEFAULT"]
    address = f"git+https://github.com/{cfg['user']}/{cfg['repo']}@v{cfg['version']}"
    found = re.findall(r"git\+https://[^\s\"\\]+", notebook.read_text(encoding="utf-8"))
    assert found and set(found) == {address}

@pytest.mark.parametrize("notebook", [p for p in NOTEBOOKS if p.name[:2].isdigit()], ids=lambda p: p.stem)
def test_papermill_finds_the_parameters(notebook):
    tagged = [c for c in code_cells(notebook) if "parameters" in c["metadata"].get("tags", [])]
    assert len(tagged) == 1 and "".join(tagged[0]["source"]).startswith("profile = ")
