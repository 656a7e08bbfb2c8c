# Every task of the course. Scripts are always run as `python -m …`: what pip puts
# into .venv/bin has the path in its first line, and a path may have spaces.

.DEFAULT_GOAL := help

# An activated conda environment that one of our files names is used, and filled on the
# first command. Else .venv; `make PY=python …` takes the Python on PATH as it is.
named = $(shell sed -n 's/^name: *//p' $(1) 2>/dev/null)
CONDA_KIND := $(if $(CONDA_DEFAULT_ENV),\
  $(if $(filter $(CONDA_DEFAULT_ENV),$(call named,environment.yml)),gpu)\
  $(if $(filter $(CONDA_DEFAULT_ENV),$(call named,binder/environment.yml)),cpu))
CONDA_READY := $(if $(strip $(CONDA_KIND)),$(CONDA_PREFIX)/batch-norm-course-ready)
PY := $(if $(CONDA_READY),python,.venv/bin/python)
READY := $(or $(CONDA_READY),$(if $(filter .venv/%,$(PY)),.venv/ready))

# The first that really starts, tested ones before newer ones: a name on PATH may be a
# wrapper that does not, and a system's Python may lack what makes an environment.
SUITS = -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
TESTED = -c 'import ensurepip, sys, venv; \
  sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
PACKAGED = -c 'import platform, sys; \
  sys.exit((sys.platform, platform.machine()) == ("darwin", "arm64"))'
ifndef PYTHON
first = $(firstword $(foreach p,$(2),$(shell $(p) $(1) && echo $(p))))
found = $(or $(call first,$(TESTED),python3.13 python3.12 python3.11 python3 python),\
  $(call first,$(SUITS),python3 python python3.15 python3.14))
PYTHON = $(eval PYTHON := $(found))$(PYTHON)# asked for only where it is needed
endif
VERSION = $$("$(or $(PYTHON),python3)" --version 2>&1 || true)
NEED_PYTHON = "$(PYTHON)" $(SUITS) || { echo "Python 3.11, 3.12 or 3.13 is needed, with \
its venv module, but found: $(VERSION). Install one of these, or name it as in: \
make PYTHON=/path/to/python3.13 book" >&2; exit 1; }; \
  "$(PYTHON)" $(PACKAGED) || { echo "MXNet has no package for Apple silicon. Open this \
folder in its dev container (.devcontainer/), or take a Python for Intel Macs." >&2; \
  exit 1; }; \
  "$(PYTHON)" $(TESTED) || echo "$(VERSION) is newer than 3.13, the newest that the \
course is tested on. It is tried; if it fails, install Python 3.13." >&2

.PHONY: help env env-gpu book serve lab pdf test test-unit test-notebooks test-book \
  test-full test-portable test-gpu-env test-hosted-env lint linkcheck refresh spread \
  bench bench-compare lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' Makefile

env: $(or $(CONDA_READY),.venv/ready) ## the environment, for a GPU where one is usable

env-gpu: ## the environment in .venv, for a GPU, whatever is found here
	@$(NEED_PYTHON)
	@"$(PYTHON)" utils/cuda.py || true
	@$(MAKE) --no-print-directory install VENV=.venv KIND=gpu

# On pyproject.toml it depends through the locks, which a test compares with it.
.venv/ready: requirements/cpu.txt requirements/gpu.txt
	@$(NEED_PYTHON)
	@if "$(PYTHON)" utils/cuda.py; then kind=gpu; else kind=cpu; fi; \
	$(MAKE) --no-print-directory install VENV=.venv KIND=$$kind

.PHONY: install
install:
	@echo "Installing requirements/$(KIND).txt into $(VENV): $(SIZE_$(KIND))."
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(call fill,$(VENV)/bin/python,$(KIND))
	@touch $(VENV)/ready

ifneq ($(CONDA_READY),)
$(CONDA_READY): requirements/$(strip $(CONDA_KIND)).txt
	@echo "Installing $< into $(CONDA_PREFIX): $(SIZE_$(strip $(CONDA_KIND)))."
	@$(call fill,python,$(strip $(CONDA_KIND)))
	@touch "$@"
endif

fill = $(1) -m tools.install requirements/$(2).txt && \
  $(1) -m pip install $(QUIETLY) --no-deps --no-build-isolation --editable . \
  $(if $(filter gpu,$(2)),&& $(1) utils/cuda.py link)
QUIETLY = --quiet --disable-pip-version-check
SIZE_cpu = 0.3 GB to download, 1.2 GB on disk
SIZE_gpu = 2.6 GB to download, 5.1 GB on disk

book: $(READY) ## build the book, and print the page to open
	@$(PY) -m tools.book
	@echo "Open $(CURDIR)/_build/html/index.html"

serve: book ## build the book and serve it on localhost
	$(PY) -m http.server --bind 127.0.0.1 --directory _build/html 8000

pdf: book ## print the book into one file, _build/pdf/book.pdf (needs Chromium)
	$(PY) -m tools.pdf

lab: $(READY) ## JupyterLab, opened on the chapters
	$(PY) -m jupyterlab --notebook-dir chapters

test: test-code test-notebooks ## everything that has to hold, notebooks in the short profile

test-full: test-code ## the same, notebooks in the full profile
	@$(DATA); $(NOTEBOOKS_RUN) --nbval-cell-timeout=7200 chapters

.PHONY: test-code
test-code: lint
	@$(DATA); $(PY) -m pytest -q $(SIDE_BY_SIDE) tests

lint: $(READY) ## ruff over Python files and notebooks, oxlint over scripts
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m tools.oxlint

# Three at a time, even on two cores: most tests wait for another process, a kernel, a
# build of the book or a browser.
SIDE_BY_SIDE = -n 3 --dist loadfile
NOTEBOOKS_RUN = $(PY) -m regression -q --regression-summary=_build/regression.md \
  --junitxml=_build/regression.xml

# Where the data are nowhere to be had (exit status 3), scikit-learn's digits stand in;
# with CI=true nothing does, so that no run is green for want of data.
DATA = $(PY) -m utils; status=$$?; \
  if [ $$status = 3 ] && [ "$$CI" = true ]; then echo "With CI=true the tests need the \
real data, and no stand-in takes their place. Name a folder that has them in \
BN_DATA_DIR, or let this machine reach a mirror." >&2; exit 1; \
  elif [ $$status = 3 ]; then export BN_STANDIN=digits; \
  elif [ $$status != 0 ]; then exit 1; fi

test-unit: $(READY) ## the tests of utils, of the notebooks' definitions, of the tools
	@$(DATA); $(PY) -m pytest -q $(SIDE_BY_SIDE) tests --ignore tests/book

test-notebooks: $(READY) ## re-execute and compare each notebook, short profile
	@$(DATA); BN_PROFILE=short $(NOTEBOOKS_RUN) --nbval-cell-timeout=600 chapters

test-portable: $(READY) ## the short profile on emulated processors, each against each
	$(PY) -m regression.portable

test-book: $(READY) ## build strictly, check links, look at each page in Chromium
	$(PY) -m pytest -q tests/book

test-gpu-env: ## install the GPU environment in .venv-gpu, test it with no GPU (5 GB)
	@$(NEED_PYTHON)
	@$(MAKE) --no-print-directory install VENV=.venv-gpu KIND=gpu
	.venv-gpu/bin/python -m pytest --noconftest -q tests/gpu_env.py

test-hosted-env: $(READY) ## the line for hosted notebooks, in a stand-in (6 GB)
	$(PY) -m pytest --noconftest -q tests/hosted_env.py

linkcheck: $(READY) ## test the links that lead out of the book (needs a network)
	$(PY) -m tools.book --builder custom --custom-builder linkcheck

refresh: $(READY) ## re-execute in full and store the outputs (NOTEBOOKS=… for some)
	@$(PY) -m regression.refresh $(NOTEBOOKS); status=$$?; \
	$(PY) -m tools.results README.md && $(PY) -m tools.playground && exit $$status

spread: $(READY) ## measure how far trainings vary (over an hour; take the background)
	$(PY) -m regression.spread

bench: $(READY) ## measure speed: tables, benchmarks/latest.json and .png
	$(PY) -m benchmarks

bench-compare: $(READY) ## compare a saved run, OLD=…, with the latest one (or NEW=…)
	@$(PY) -m benchmarks.compare "$(OLD)" "$(or $(NEW),benchmarks/latest.json)"

lock: ## compile the locks anew from pyproject.toml (needs uv on PATH)
	for kind in cpu gpu; do uv pip compile pyproject.toml --quiet --upgrade \
	--extra $$kind --extra course --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command "make lock" \
	-o requirements/$$kind.txt || exit 1; done

clean: ## remove what the others made
	rm -rf .venv .venv-gpu _build .pytest_cache .ruff_cache benchmarks/latest.*
	find . -name __pycache__ -prune -exec rm -rf {} +
