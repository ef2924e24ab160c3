# The maintainer's commands. They install what is missing first (tools/setup.sh), so that a fresh machine needs no more
# than `make demo` or `make test`; all of Python stays in .venv.

PYTHON ?= python3
CONF ?= conf/spfmilter.ini

BIN := .venv/bin
INSTALLED := .venv/.installed
STAMP := .venv/.stamp

# Compiled files are kept in every environment: without them pytest compiles all tests anew for each run.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo quick pure test soak bench fuzz lint run messages screenshots packages test-packages clean
.PHONY: setup-build setup-mta setup-lab setup-systemd setup-web setup-packages

# The translations (.po) as gettext reads them (.mo); an installation compiles them as well.
PO := $(wildcard spfmilter/locale/*/LC_MESSAGES/*.po)
MO := $(PO:.po=.mo)

help: ## list these targets
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) setup-mta ## a refused sender, from the bounce to the fixed record; KEEP=1 leaves it running
	KEEP=$(KEEP) $(BIN)/python demo/demo.py

# Neither root nor Postfix nor the network, once .venv is there.
PURE := not (outside or alone or soak)

quick: $(STAMP) ## lint, and beside it the pure tests with few examples, without root, Postfix or network (ARGS=... for pytest)
	@$(MAKE) --no-print-directory -j 2 lint pure

pure:
	$(BIN)/python -m pytest -q --quick -n auto --maxprocesses=8 --dist worksteal -m '$(PURE)' $(ARGS)

test: lint setup-mta setup-lab setup-systemd setup-web ## lint, then all tests, with real Postfix, Sendmail, OpenDMARC, NSD, Redis, Chromium (ARGS=... for pytest)
	@PYTHON=$(BIN)/python sh tools/test.sh $(ARGS)

soak: $(STAMP) setup-mta ## reload, kill and memory tests at full size: about 20 minutes (ARGS=... for pytest)
	$(BIN)/python -m pytest -m soak -s $(ARGS)

# On Debian's own Python where there is one, as pyspf-milter: other builds of the same version are a tenth slower or more.
BENCH := .cache/bench
DEBIAN := $(wildcard /usr/bin/python3)

bench: $(STAMP) setup-mta $(BENCH)/.stamp ## benchmarks beside Debian's pyspf-milter and C milters that do nothing; needs root (ARGS=--quick)
	$(BIN)/python bench/run.py --python $(BENCH)/bin/python $(ARGS)

$(BENCH)/.stamp: pyproject.toml
	@PYTHON=$(or $(DEBIAN),$(PYTHON)) sh tools/setup.sh build peers
	$(or $(DEBIAN),$(PYTHON)) -m venv $(BENCH)
	$(BENCH)/bin/pip install --quiet .
	@touch $@

FUZZ := .cache/fuzz/venv
SECONDS ?= 60

fuzz: $(STAMP) ## readers of input guided by coverage, then the whole daemon, then with sanitizers: SECONDS=60 for each
	@test -x $(FUZZ)/bin/python || $(PYTHON) -m venv $(FUZZ)
	$(FUZZ)/bin/pip install --quiet atheris pyyaml -e '.[redis]'
	for target in $(sort $(patsubst tests/fuzz/fuzz_%.py,%,$(wildcard tests/fuzz/fuzz_*.py))); do \
		$(FUZZ)/bin/python -m tests.fuzz.run $$target -max_total_time=$(SECONDS) || exit 1; \
	done
	$(BIN)/python -m tests.fuzz.process --seconds $(SECONDS)
	@PYTHON=$(PYTHON) sh tools/sanitize.sh || test $$? = 69
	@! test -e .cache/fuzz/sanitized/.made || $(BIN)/python -m tests.fuzz.process --seconds $(SECONDS) --sanitized

packages: $(STAMP) setup-packages ## all that is released, built from the last commit into dist (NAMES=pypi for one)
	@test -n '$(NAMES)' || rm -rf dist
	$(BIN)/python -m package.build $(NAMES)

test-packages: $(STAMP) setup-packages ## what is released, each installed where the project has never been (ARGS=... for pytest)
	$(BIN)/python -m pytest package/tests $(ARGS)

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

run: $(INSTALLED) ## the daemon in the foreground (CONF=conf/spfmilter.ini)
	$(BIN)/spfmilter run -c $(CONF)

screenshots: $(STAMP) setup-web ## the pictures of the help page and the report in docs/images, made anew
	$(BIN)/python -m tests.web.screenshots docs/images
	$(BIN)/python -m tests.report.screenshots docs/images

demo quick test soak bench fuzz run screenshots packages test-packages: $(MO)

messages: $(STAMP) ## bring the texts that are to be translated from the source into spfmilter/locale
	@mkdir -p .cache
	$(BIN)/pybabel -q extract --no-location --no-wrap --project=spfmilter -o .cache/spfmilter.pot spfmilter/reply
	$(BIN)/pybabel update --no-wrap --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date \
		-D spfmilter -i .cache/spfmilter.pot -d spfmilter/locale
	$(BIN)/pybabel -q extract -F pyproject.toml -k N_ --no-location --no-wrap --project=spfmilter -o .cache/web.pot spfmilter/web spfmilter/requests
	$(BIN)/pybabel update --no-wrap --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date \
		-D web -i .cache/web.pot -d spfmilter/locale

%.mo: %.po | $(INSTALLED)
	$(BIN)/pybabel -q compile -i $< -o $@

clean: ## remove all that these targets made
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist *.egg-info
	rm -f $(MO)
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A file of ours, not the folder, says that the installation was finished: INSTALLED that of spfmilter, STAMP that of
# the tools for its development as well. Order-only, as setup-build is never up to date.
# --group came with pip 25.1; the pip that venv brings is as old as the interpreter.
$(INSTALLED): pyproject.toml | setup-build
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[web]'
	@touch $@

$(STAMP): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --group dev
	$(BIN)/python -c 'from lab.rfcsuite import source_distribution; source_distribution()' # the RFC suites: read later without a network
	@touch $@

# An interpreter that is too old is told so before anything is installed for it; one that is absent, setup.sh can install.
setup-build:
	@! command -v $(PYTHON) >/dev/null || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$$($(PYTHON) --version) is too old: spfmilter needs Python 3.11 or newer (make PYTHON=python3.11 ...)" >&2; exit 69; }
	@PYTHON=$(PYTHON) sh tools/setup.sh build

setup-mta:
	@sh tools/setup.sh mta

setup-lab:
	@sh tools/setup.sh lab

setup-web:
	@sh tools/setup.sh web

setup-packages:
	@sh tools/setup.sh packages

setup-systemd:
	@sh tools/setup.sh systemd
