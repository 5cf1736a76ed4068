# Two commands on a fresh machine do everything: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

PHOTOS ?= sample
MODEL ?= efficientnet-lite0
STORE ?= demo
# A few layers of the embedded network, made in minutes; another network gets its default layers, all of them.
LAYERS ?= $(if $(filter efficientnet-lite0,$(MODEL)),blocks.1.1$(COMMA)blocks.2.1$(COMMA)blocks.3.2$(COMMA)blocks.5.3)
STEPS ?= 80
COMMA = ,

.PHONY: demo test check bench docs clean
.DELETE_ON_ERROR:

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=23.2'
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# An atlas of a network over photos, then how to open it. One's own: make demo PHOTOS=dir MODEL=name STORE=dir
demo: $(READY)
	$(BIN)/retinoscope atlas $(MODEL) $(PHOTOS) --store $(STORE) --tiles --steps $(STEPS) $(if $(LAYERS),--layers $(LAYERS))
	@echo "Open it: $(BIN)/retinoscope serve $(STORE)    and look at http://127.0.0.1:8000/"

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist worksteal

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# Photos to measure on: any folder of photos, by default the sample photos.
bench: $(READY)
	$(BIN)/python benchmarks/render.py
	$(BIN)/python benchmarks/scan.py $(PHOTOS)

clean:
	rm -rf site build demo .pytest_cache .mypy_cache .ruff_cache
