# `make` shows what there is. Everything runs from .venv, which the first target sets up.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export OMP_NUM_THREADS ?= 1

.PHONY: help course test newest bench site clean
.DEFAULT_GOAL := help

help:
	@echo "make course   run every notebook small, write the figures, build the site, colorize a photo"
	@echo "make test     check everything: notebooks, tests, the built package, the site"
	@echo "make newest   run the notebooks with the newest of everything, not with our pins (PYTHON=python3.13: with that Python)"
	@echo "make bench    measure speed and quality"
	@echo "make site     render the notebooks into _docs/ (with Quarto when it is installed)"
	@echo "make clean    remove what the targets above made, and .venv"

$(READY): setup.py settings.ini constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Setting up .venv: once, a few minutes (PyTorch is a large download)."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -c constraints.txt -e ".[dev]"
	@if git rev-parse --git-dir >/dev/null 2>&1; then $(BIN)/nbdev_install_hooks; fi
	@touch $@

course: $(READY)
	@$(BIN)/python tools/course.py course

test: $(READY)
	@$(BIN)/python tools/course.py test

newest:
	@$(PYTHON) tools/course.py newest

bench: $(READY)
	@$(BIN)/python tools/bench.py

site: $(READY)
	@$(BIN)/python tools/build_site.py

clean:
	rm -rf .venv _proc _docs build dist *.egg-info .pytest_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
