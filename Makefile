# Needs Python 3.11 or newer with pip and venv, make and git: no account, no server.
#   make demo    watch the bridge at work, with nothing set up
#   make test    the whole suite, house checks included
#   make proof   the whole suite at full size, with other and many more examples: some hours
#   make bench   count calls to Dotdigital beside the fewest possible, a million people among them
#   make sbom    the software bill of materials; make audit    known vulnerabilities of the locked versions
#   make spec-check    sandbox and client against Dotdigital's published description, where that is at hand
# PY=/path/to/python chooses the interpreter.

PY ?= $(shell for one in python3.13 python3.12 python3.11 python3 python; do \
	$$one -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$one; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SPEC_BIN := $(VENV)/spec/bin
SPEC_READY := $(VENV)/spec/.ready
RELEASE_BIN := $(VENV)/release/bin
RELEASE_READY := $(VENV)/release/.ready
SBOM ?= dist/consent-bridge.cdx.json
SPECS := $(or $(BRIDGE_SPECS_DIR),../shared/apis/specs)
LOCK := uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
	--no-emit-index-url --no-header --no-annotate
WORKERS ?= auto

.PHONY: demo test proof bench install lint types check spec-check sbom audit lock record clean
.DEFAULT_GOAL := test

# Every package, uv and the build backend included, is installed by the hash in a lock file; the bridge itself is built
# without isolation, because an isolated build would fetch its backend unpinned.
$(READY): requirements-build.lock requirements-dev.lock pyproject.toml | $(BIN)/python
	@$(PIP) --require-hashes -r requirements-build.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

$(BIN)/python:
	@test -n "$(PY)" || { echo "Python 3.11 or newer is needed; name one by PY=/path/to/python." >&2; exit 2; }
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PY) is no Python 3.11 or newer; name one by PY=/path/to/python." >&2; exit 2; }
	@$(PY) -m venv $(VENV)

# What running the bridge needs, and no tool of development. The wheel is built in an environment of its own.
install: | $(BIN)/python
	@$(PY) -m venv $(VENV)/build
	@$(VENV)/build/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.lock
	@rm -rf $(VENV)/wheel
	@$(VENV)/build/bin/uv build --quiet --wheel --no-build-isolation --python $(VENV)/build/bin/python --out-dir $(VENV)/wheel .
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-index --force-reinstall $(VENV)/wheel/*.whl
	@echo "Installed: $(BIN)/bridge --help"

demo: $(READY)
	@$(BIN)/python -m bridge demo

test: $(READY)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# What `make test` does with fewer people, errors and examples.
proof: $(READY)
	@BRIDGE_TEST_SIZE=full BRIDGE_TEST_PROFILE=searching $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --timeout 7200

lint: $(READY)
	@$(BIN)/python -m ruff check . && $(BIN)/python -m ruff format --check . && $(BIN)/lint-imports

types: $(READY)
	@$(BIN)/python -m mypy --strict bridge

check: lint types test

# Not part of `make test`, which does the same at a smaller size: a million people take some minutes.
bench: $(READY)
	@$(BIN)/python -m tests.bench

# Not part of `make test`: it needs the published description, npm, and more packages than all the rest.
spec-check: | $(BIN)/python
	@if [ -d "$(SPECS)" ]; then $(MAKE) -s --no-print-directory $(SPEC_READY) && \
		BRIDGE_SPECS_DIR="$(SPECS)" $(SPEC_BIN)/python -m tests.spec_check; \
	else echo "spec-check: skipped: there is no folder $(SPECS); point BRIDGE_SPECS_DIR at the specifications"; fi

$(SPEC_READY): requirements-spec.lock | $(BIN)/python
	@$(BIN)/python -m venv $(VENV)/spec
	@$(SPEC_BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-spec.lock
	@touch $@

# The software bill of materials (CycloneDX) of what `make install` installs.
sbom: $(RELEASE_READY)
	@mkdir -p $(dir $(SBOM))
	@PYTHONWARNINGS=ignore $(RELEASE_BIN)/cyclonedx-py requirements --mc-type application --pyproject pyproject.toml --output-reproducible --output-file $(SBOM) requirements.lock
	@echo "Written: $(SBOM)"

# Look up the locked versions in a database of known vulnerabilities. Needs the internet.
audit: $(RELEASE_READY)
	@$(RELEASE_BIN)/pip-audit --require-hashes --disable-pip -r requirements.lock

$(RELEASE_READY): requirements-release.lock | $(BIN)/python
	@$(BIN)/python -m venv $(VENV)/release
	@$(RELEASE_BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-release.lock
	@touch $@

# Resolve the dependencies again. The lock files hold versions and hashes, but no index URL.
lock: $(READY)
	@PATH="$(abspath $(BIN)):$$PATH" $(LOCK) pyproject.toml -o requirements.lock
	@PATH="$(abspath $(BIN)):$$PATH" $(LOCK) pyproject.toml --extra dev --constraint requirements.lock -o requirements-dev.lock
	@printf 'uv\nhatchling\neditables\n' | PATH="$(abspath $(BIN)):$$PATH" $(LOCK) - \
		--constraint requirements-dev.lock -o requirements-build.lock
	@printf 'cyclonedx-bom\npip-audit\n' | PATH="$(abspath $(BIN)):$$PATH" $(LOCK) - -o requirements-release.lock
	@PATH="$(abspath $(BIN)):$$PATH" $(LOCK) pyproject.toml --extra spec \
		--constraint requirements.lock -o requirements-spec.lock

# Record the cassettes again, against the project's own sandbox.
record: $(READY)
	@BRIDGE_RECORD=1 $(BIN)/python -m pytest -n 0 tests/mypreferences/test_mypreferences_cassettes.py tests/dotdigital/test_dotdigital_cassettes.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
