"""The ledger: every claim about the thesis is computed again, and each status must be true."""
import os, re, shutil, subprocess, sys
from pathlib import Path

import pytest
from colorize_lib import ledger

ROOT = Path(__file__).resolve().parent.parent
CLAIMS = ledger.load_claims()

@pytest.fixture(autouse=True)
def in_the_clone(monkeypatch): monkeypatch.chdir(ROOT)

@pytest.fixture(scope="module")
def rows():
    before = os.getcwd()
    os.chdir(ROOT)
    try: return ledger.check(CLAIMS)
    finally: os.chdir(before)

def test_every_status_is_true(rows):
    assert {row["claim"].id: (row["claim"].status, row["claim"].claims, row["computed"]) for row in rows if row["holds"] is False} == {}
    assert [row["claim"].id for row in rows if row["holds"] is None and row["claim"].compute] == []  # nothing left out

def test_it_is_cheap(rows): assert sum(row["seconds"] for row in rows) < 60

def test_a_claim_that_is_wrong_fails():
    true = CLAIMS["field-F0"]
    wrong = [("value", dict(claims=71)), ("tolerance", dict(claims=70.02, tolerance=.01)), ("a slip that agrees", dict(status="differs", because="?")),
             ("code", dict(compute="patchgan.nonesuch")), ("a name", dict(compute="nonesuch(1)"))]
    for name, changes in wrong:
        (row,) = ledger.check({name: ledger.Claim(**{**vars(true), **changes})})
        assert row["holds"] is False, name
    assert ledger.check({"": true})[0]["holds"] is True

@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda c: c.id)
def test_its_cell_is_there(claim): ledger.find_cell(claim.notebook, claim.cell)

def test_a_cell_that_is_gone_fails():
    with pytest.raises(LookupError, match="0 cells"): ledger.find_cell("06_patchgan", "06c999")
    with pytest.raises(LookupError, match="0 cells"): ledger.find_cell("99_nonesuch", "06c022")

def test_enough_claims_with_status_and_reason():
    assert len(CLAIMS) >= 120
    for claim in CLAIMS.values():
        assert claim.status in ledger.STATUSES and claim.quote and claim.english, claim.id
        if claim.status in ("differs", "out of reach"): assert len(claim.because) > 15, claim.id
        if claim.status != "out of reach": assert claim.claims is not None, claim.id
    with pytest.raises(ValueError, match="does not say why"): ledger.Claim(**{**vars(CLAIMS["a-range"]), "because": ""})

def test_all_parts_of_the_thesis_are_covered():
    of = lambda kind: {m[1] for m in (re.fullmatch(rf"{kind}-([\d.]+)", id) for id in CLAIMS) if m}
    figures = ["1.1", *(f"2.{i}" for i in range(1, 14)), "3.1", "3.2", *(f"4.{i}" for i in range(1, 13)), "5.1"]
    assert len(figures) == 29 and of("figure") == set(figures)
    assert of("table") == {"4.1", "4.2"}
    assert of("reference") == {str(i) for i in range(1, 38)}
    assert of("footnote") == {str(i) for i in range(1, 9)}
    for table in ("4.1", "4.2"): assert len([id for id in CLAIMS if id.startswith(f"table-{table}-photo-")]) == 20
    assert {claim.slip for claim in CLAIMS.values()} - {0} == set(range(1, 11))

def test_every_reference_is_cited_and_known():
    keys = ledger.thesis_references()
    assert sorted(keys) == list(range(1, 38)) and len(set(keys.values())) == 37
    assert [n for n, key in keys.items() if not ledger.cited_in(key)] == []

def test_every_chapter_shows_its_own_claims():
    for notebook in {claim.notebook for claim in CLAIMS.values()} - {"14_ledger"}:
        cells = [c for c in ledger.chapters()[notebook] if f'.badges("{notebook}")' in "".join(c["source"])]
        assert len(cells) == 1, notebook
        stored = "".join(cells[0]["outputs"][0]["data"]["text/html"])
        assert stored == ledger.badges(notebook).markup, f"{notebook}: run the cell of its badges again"

def test_the_page_shows_them_all():
    stored = next("".join(o["data"]["text/html"]) for c in ledger.chapters()["14_ledger"] for o in c.get("outputs", []) if 'id="ledger"' in "".join(o.get("data", {}).get("text/html", [])))
    assert re.findall(r'<tr id="([^"]+)"', stored) == list(CLAIMS), "run chapter 14 again"
    assert not re.search(r'(src|href)="(https?:)?//', stored)

LOOK = """
from colorize_lib import ledger
rows = ledger.check({id: c for id, c in ledger.load_claims().items() if c.section in ("4.4", "5.1", "tables")})
print(*(row["claim"].id for row in rows if row["holds"] is False))
print(ledger.table(rows).markup.count("does not hold"))
"""

def test_one_changed_vote_is_noticed(tmp_path):
    for folder in ("colorize_lib", "data"): shutil.copytree(ROOT/folder, tmp_path/folder, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    def look():
        run = subprocess.run([sys.executable, "-c", LOOK], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        ids, marked = run.stdout.splitlines()
        return set(ids.split()), int(marked)
    assert look() == (set(), 0)
    votes = tmp_path/"data"/"survey.csv"
    text = votes.read_text(encoding="utf-8")
    votes.write_text(text.replace("05,2,7,18,34,39", "05,2,7,18,34,38"), encoding="utf-8")
    failed, marked = look()
    assert {"table-4.1-photo-05", "table-4.2-photo-05", "table-4.1-totals", "table-4.1", "people", "best-1", "highest"} <= failed and marked == len(failed)
    assert "table-4.1-photo-06" not in failed
