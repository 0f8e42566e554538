# The verbs. Each sets up what it needs; see README.md.
SHELL := /bin/sh
PY := .venv/bin/python
unexport PYTHONDONTWRITEBYTECODE # our own sources too are compiled once, not at every start
NODE_PATH_DIR = $(shell deploy/node-path.sh)

.PHONY: run demo test check bench faults soak web ohif lock tools clean

run: .venv/.ready-run web          ## start the all-in-one server
	@.venv/bin/tongying up

demo: .venv/.ready-dev web         ## the same, and two demo hospitals send studies
	@TONGYING_DATA="$${TONGYING_DATA:-demo-data}" .venv/bin/tongying up --demo

test: .venv/.ready-dev web ohif tools ## every test
	@$(PY) -m pytest -n 2 --dist loadscope --no-loadscope-reorder --durations=25 --durations-min=10 tests

check: .venv/.ready-dev            ## lint, types, layers, migrations, licences
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(PY) -m deploy.checks

bench: .venv/.ready-dev web tools  ## the benchmarks, with the peers side by side
	@deploy/test-tools.sh bench
	@$(PY) -m bench

faults: .venv/.ready-dev tools     ## long fault runs
	@$(PY) -m pytest -n 0 -m slow tests/faults

soak: .venv/.ready-dev tools       ## an hour of load, in which memory stays flat
	@TONGYING_SOAK_SECONDS="$${TONGYING_SOAK_SECONDS:-3600}" $(PY) -m pytest -n 0 -s tests/faults/test_soak.py

web: web_viewer/dist/index.html    ## build the web page

web_viewer/dist/index.html: $(shell find web_viewer/src web_viewer/index.html web_viewer/package-lock.json web_viewer/vite.config.ts -type f 2>/dev/null) | .venv/.ready-run
	@cd web_viewer && PATH="$(NODE_PATH_DIR):$$PATH" && npm ci --no-audit --no-fund && npm run build
	@touch $@

ohif: web_viewer/ohif/dist/index.html ## OHIF as a second viewer at /ohif/; 50 MB from the registry, once

web_viewer/ohif/dist/index.html: $(wildcard web_viewer/ohif/*.*) | .venv/.ready-run
	@PATH="$(NODE_PATH_DIR):$$PATH" && node web_viewer/ohif/build.mjs

tools: tests/node/node_modules     ## what the tests need beyond Python: DCMTK, Chromium, Valkey/Redis, Orthanc
	@deploy/test-tools.sh

tests/node/node_modules: tests/node/package-lock.json | .venv/.ready-run
	@cd tests/node && PATH="$(NODE_PATH_DIR):$$PATH" && npm ci --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

lock: .venv/.ready-dev             ## compile the pinned requirements anew
	@for kind in bootstrap run dev; do .venv/bin/uv pip compile -q --generate-hashes --no-annotate --no-header \
	  --no-emit-index-url --no-emit-find-links --universal --python-version 3.11 requirements/$$kind.in -o requirements/$$kind.txt; done

.venv/.ready-run: requirements/bootstrap.txt requirements/run.txt pyproject.toml
	@deploy/setup.sh run

.venv/.ready-dev: requirements/bootstrap.txt requirements/dev.txt pyproject.toml
	@deploy/setup.sh dev

clean:
	rm -rf .venv web_viewer/dist web_viewer/ohif/dist web_viewer/node_modules tests/node/node_modules build
