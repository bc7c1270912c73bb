"""The rendered site and a browser, made once for all tests that look at them."""
import os, shutil, subprocess, sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    "The site as smalldocs renders it, from a copy of the project"
    copy = tmp_path_factory.mktemp("site")/"project"
    skip = shutil.ignore_patterns(".git", ".venv", "_proc", "_docs", "build", "dist", "runs", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=skip)
    without = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if not (Path(p)/"quarto").exists())
    run = subprocess.run([sys.executable, "tools/build_site.py"], cwd=copy, env={**os.environ, "PATH": without},
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert run.returncode == 0, run.stdout[-3000:]
    return copy/"_docs"


@pytest.fixture(scope="session")
def browser():
    "Headless Chromium that tells what it asked for and what it complained of"
    selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (chromium and driver): pytest.skip("no chromedriver (on Debian: apt-get install chromium chromium-driver)")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"): options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    found.set_script_timeout(120)
    yield found
    found.quit()
