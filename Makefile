# make try    install octod (no torch) and complete a sample file with the engine in use; touches nothing outside .try/
# make test   install what the tests need and run them all (another interpreter: PYTHON=python3.12)
# make check  ruff and mypy --strict
# make bench  the tables of the README: SOURCES=folder with code to measure on, ENV=virtual environment
# make docs   write docs/cli.md and the tables of ARCHITECTURE.md anew from the code
PYTHON ?= python3
TRY = env OCTOD_HOME=$(CURDIR)/.try/octod .try/bin/octod
FOLDERS = core indexer adapters daemon lsp cli

.PHONY: try test check bench docs

try: .try/ready
	@$(TRY) engine use "$$(.try/bin/octod engine used)" && $(TRY) try docs/sample.py --env .try

# The libraries that docs/sample.py calls live beside octod, because octod's own environment is what is indexed.
.try/ready: pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "octod needs Python 3.11 or later: make try PYTHON=...")'
	$(PYTHON) -m venv --clear .try
	.try/bin/python -m pip install -q -e . requests httpx
	@touch $@

# torch first: where a CPU build of this version is at hand it is taken, and nothing pulls in the much larger CUDA one.
.venv/ready: pyproject.toml Makefile
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -q torch==2.13.0 || .venv/bin/python -m pip install -q torch
	.venv/bin/python -m pip install -q -e '.[train,dev]'
	@touch $@

test: .venv/ready
	.venv/bin/python -m pytest

# Type checkers do not follow an editable install, so the folders are linked under the name they are imported by.
check: .venv/ready
	@mkdir -p build/mypy/octod && for f in $(FOLDERS); do ln -sfn ../../../$$f build/mypy/octod/$$f; done
	.venv/bin/ruff check . && .venv/bin/mypy -p octod

bench: .venv/ready
	.venv/bin/python -m bench --sources $(SOURCES) --env $(ENV)
docs: .venv/ready
	.venv/bin/python docs/commands.py && .venv/bin/python docs/modules.py
