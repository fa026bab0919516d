# Two commands: `make demo` runs the main job, `make test` checks the house. Both need Python ≥ 3.11, make and a package index.
#
#   make demo PYTHON=python3.12 PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
#
# PYTHON      the interpreter that makes .venv            (python3)
# PIP_ARGS    passed to every `pip install`               (nothing)
# OUT         the run folder of `make demo`               (runs/water)
# PYTEST_ARGS passed to pytest                            (-n auto --maxprocesses 8 --dist loadfile)

PYTHON ?= python3
PIP_ARGS ?=
OUT ?= runs/water
PYTEST_ARGS ?= -n auto --maxprocesses 8 --dist loadfile

VENV := .venv
BIN := $(VENV)/bin
PINS := constraints/pins.txt
INSTALL = $(BIN)/python -m pip install --disable-pip-version-check -c $(PINS) $(PIP_ARGS)

.DEFAULT_GOAL := help
.PHONY: help demo test test-kill test-chaos test-sanitize parity golden-mace golden-ani golden-acsf golden-soap golden-spectra golden-gap golden-snap golden-bispectrum golden-eam golden-pair golden-mtp golden-painn golden-runner golden-amp golden-yace golden-deeppot golden-nep gpaw silicon lint format types layers docs check wheel clean compiler
.DELETE_ON_ERROR:

help:
	@echo "make demo        install what the demo needs, run it: DFT labels → potential → active learning → MD → report"
	@echo "make test        install the rest, run all tests and doctests"
	@echo "make test-kill   the tests that kill a campaign at random moments and resume it"
	@echo "make test-chaos  the kill matrix: labeling killed at random moments in every way, full disks, poison; prints the counts"
	@echo "make test-sanitize  the generated kernels under AddressSanitizer and UBSan"
	@echo "make gpaw        build and install GPAW, the engine for solids (needs g++); make test does it, too"
	@echo "make silicon     examples/silicon in its quick profile: DFT with stress → potential → elastic constants"
	@echo "make check       lint, format, types, layers, docs;  make format writes the format"
	@echo "make wheel       build dist/*.whl;  make clean removes what make made"

demo: .stamps/demo compiler
	$(BIN)/adiabat demo --out $(OUT)

test: .stamps/test compiler
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-kill: .stamps/test
	$(BIN)/python -m pytest -m kill

test-chaos: .stamps/test
	$(BIN)/python -m pytest -m kill tests/jobs

# The generated kernels under AddressSanitizer and UBSan; libstdc++ is loaded first, too, or torch's exceptions are not found. Checks make
# a compiler several times slower: as many files at once as there are cores, one instruction level, no shapes that compile for long.
SANITIZED := $(wildcard $(patsubst %,tests/kernels/test_%.py,abreast aev_generated chebyshev deeppot each_pair evaluator expansion generated listed local local_ani moving \
  polarizable_layer rigid symmetry)) tests/models/test_gap.py
test-sanitize: .stamps/test
	LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so.6)" ASAN_OPTIONS=detect_leaks=0 \
	  ADIABAT_SANITIZE=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal --timeout 1800 -k "not every_level" -m "not slow" $(SANITIZED)

# docs/parity.md, from what the tests compare with other codes' answers
parity: .stamps/test compiler
	ADIABAT_PARITY=docs/parity.md $(BIN)/python -m pytest tests/deploy tests/models tests/descriptors

# Golden values of a peer, made anew in its own environment: make golden-mace PEER_PYTHON=/path/to/bin/python
golden-mace:
	PYTHONPATH=src $(PEER_PYTHON) tests/golden/make_mace.py

golden-ani:
	PYTHONPATH=src $(PEER_PYTHON) tests/golden/make_ani.py

golden-acsf:
	$(PEER_PYTHON) tests/golden/make_acsf.py

golden-soap:
	$(PEER_PYTHON) tests/golden/make_soap.py

golden-spectra:
	$(PEER_PYTHON) tests/golden/make_spectra.py

golden-gap:
	$(PEER_PYTHON) tests/golden/make_gap.py

golden-snap:
	$(PEER_PYTHON) tests/golden/make_snap.py tests/golden/snap-lammps.json

golden-nep:
	$(PEER_PYTHON) tests/golden/make_nep.py tests/golden/nep-calorine.json

golden-bispectrum:
	$(PEER_PYTHON) tests/golden/make_bispectrum.py tests/golden/bispectrum.json

golden-eam:
	$(PEER_PYTHON) tests/golden/make_eam.py tests/golden/eam-lammps.json

golden-pair:
	$(PEER_PYTHON) tests/golden/make_pair.py tests/golden/pair-lammps.json

# TEMPLATES: a folder with 08.mtp, 12.mtp
golden-mtp:
	$(PEER_PYTHON) tests/golden/make_mtp.py $(TEMPLATES) tests/golden/mtp-motep.json

golden-painn:
	PYTHONPATH=src $(PEER_PYTHON) tests/golden/make_painn.py

golden-deeppot:
	$(PEER_PYTHON) tests/golden/make_deeppot.py tests/golden/deeppot-deepmd.json.xz

# N2P2: its sources with src/libnnp/libnnp.a built; EIGEN: Eigen's headers
golden-runner:
	EIGEN=$(EIGEN) N2P2_COMMIT=$(N2P2_COMMIT) $(PEER_PYTHON) tests/golden/make_runner.py $(N2P2) tests/golden/runner-n2p2.json

golden-amp:
	$(PEER_PYTHON) tests/golden/make_amp.py tests/golden/amp.json

# PACE: the sources of lammps-user-pace, with libpace.a of them, of their yaml-cpp and cnpy
golden-yace:
	PACE_COMMIT=$(PACE_COMMIT) $(PEER_PYTHON) tests/golden/make_yace.py $(PACE) tests/golden/yace-pace.json

# GPAW from its sources by g++, once for each Python and siteconfig; without it its tests are skipped.
gpaw: .stamps/gpaw

silicon: .stamps/demo .stamps/gpaw compiler
	cd examples/silicon && ../../$(BIN)/adiabat learn quick.yaml && ../../$(BIN)/python expect.py run-quick

lint: .stamps/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .stamps/test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: .stamps/test
	$(BIN)/mypy

layers: .stamps/test
	$(BIN)/lint-imports --no-cache --no-logo

docs: .stamps/test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

check: lint types layers docs

wheel: .stamps/test
	$(BIN)/python -m build

clean:
	rm -rf $(VENV) .stamps build dist site .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis src/*.egg-info
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# ------------------------------------------------------------------------------------------------------------------ stamps
.stamps/venv:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "adiabat: there is no '$(PYTHON)' here. Install Python 3.11 or newer (Debian, Ubuntu: apt-get install python3 python3-venv),"; \
	  echo "         or name one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "adiabat: $$($(PYTHON) --version 2>&1) is too old, Python 3.11 or newer is needed."; \
	  echo "         Install one and name it: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "adiabat: '$(PYTHON)' cannot make virtual environments: its venv and ensurepip modules are missing."; \
	  echo "         Debian, Ubuntu: apt-get install python3-venv   (then run make again)"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@mkdir -p .stamps && rm -f .stamps/demo .stamps/test .stamps/gpaw && touch $@

.stamps/demo: pyproject.toml $(PINS) | .stamps/venv
	$(INSTALL) --editable ".[dft]"
	@touch $@

.stamps/test: pyproject.toml $(PINS) | .stamps/venv
	$(INSTALL) --editable ".[dft,md,dev]"
	@$(MAKE) --no-print-directory gpaw || echo "adiabat: going on without GPAW; its tests are skipped"
	@touch .stamps/demo $@

.stamps/gpaw: constraints/gpaw.sh constraints/gpaw_siteconfig.py $(PINS) | .stamps/venv
	sh constraints/gpaw.sh $(BIN)/python $(PIP_ARGS)
	@touch $@

compiler:
	@command -v $${CXX:-g++} >/dev/null || command -v clang++ >/dev/null || { \
	  echo "adiabat: no C++ compiler found; the plain PyTorch kernels will run, several times slower."; \
	  echo "         Debian, Ubuntu: apt-get install g++   (then run make again; nothing needs to be reinstalled)"; }
