# make demo   a VAE on the embedded digits, in at most three minutes once installed
# make test   the whole test suite
# make lint types format     what CI checks, and how to mend it

PYTHON ?= $(shell command -v python3.11 || command -v python3 || command -v python)
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: install demo test lint types format

install: $(INSTALLED)

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(INSTALLED)
	$(BIN)/python cli.py fit --config configs/vae_glyphs.yaml
	$(BIN)/python cli.py test --config configs/vae_glyphs.yaml
	@echo "Watch this and every other run in a browser: $(BIN)/tensorboard --logdir runs"

test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/pyright

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
