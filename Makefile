# minituner: `make` alone lists the targets. Each does its own set-up.
#
# torch's default Linux wheel is the large CUDA build; the CPU build does as well here:
#   PIP_EXTRA_INDEX_URL=<PyTorch's CPU index> make all

PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
STAMP := .venv/.installed
PEERS := .venv/.peers
# Snakemake's and DVC's jobs find their programs through PATH.
ENV := PATH="$(BIN):$$PATH"

FREEZE := .venv-lock/bin/python -m pip list --format freeze --exclude pip \
    --exclude minituner | sed 's/+.*//'

.DEFAULT_GOAL := help
.PHONY: help all test lint peers reproduce record push pull sync remote lock deps clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' $(firstword $(MAKEFILE_LIST)) | expand -t 8

all: $(STAMP) ## make every result and judge it by the definition of done
	@$(ENV) snakemake all; status=$$?; \
	if [ $$status = 0 ] || $(ENV) snakemake --dry-run results/definition_of_done.md 2>&1 \
	        | grep -q 'Nothing to be done'; then \
	    echo; cat results/definition_of_done.md; \
	    echo; echo "Report: results/report.html"; echo "Plot:   results/ablation.png"; \
	fi; exit $$status

test: lint ## lint, unit tests, and a small run of the whole workflow
	@$(ENV) pytest -q

lint: $(STAMP) ## ruff, snakefmt and snakemake --lint
	@$(ENV) ruff check .
	@$(ENV) ruff format --check .
	@$(ENV) snakefmt --check Snakefile rules
	@$(ENV) snakemake --lint

peers: $(PEERS) ## add PEFT, transformers and bitsandbytes, which tests compare with

reproduce: $(STAMP) ## rebuild everything from empty and compare each hash with dvc.lock
	@git diff --quiet HEAD || echo "uncommitted changes are left out: the last commit is rebuilt"
	@rebuilt=$$(mktemp -d) && git clone --quiet . "$$rebuilt" && cd "$$rebuilt" && \
	{ $(ENV) dvc repro; built=$$?; } && \
	{ $(ENV) python -m minituner reproduce --recorded "$(CURDIR)" --made . || built=1; } && \
	if [ $$built = 0 ]; then rm -rf "$$rebuilt"; else echo "rebuilt in $$rebuilt"; fi; exit $$built

record: $(STAMP) ## write the results' hashes into dvc.lock, and what they were made with
	@$(ENV) snakemake --dry-run all 2>&1 | grep -q 'Nothing to be done' || { \
	    echo "minituner: error: the results are not current; run make all first" >&2; exit 1; }
	@$(ENV) dvc commit --force --quiet
	@$(ENV) python -m minituner environment --out results/recorded_on.json

push: record remote ## record the results and publish them to the store
	@$(ENV) dvc push

pull: $(STAMP) remote ## fetch the published results; nothing is then left to run
	@$(ENV) dvc pull || { \
	    echo "minituner: error: the store lacks some results; run make push in the checkout that" \
	        "has them, name another store with REMOTE=/path, or run make all" >&2; exit 1; }
	@$(MAKE) --no-print-directory sync

sync: $(STAMP) ## adopt results that DVC put in place (after dvc pull or dvc checkout)
	@$(ENV) dvc status --quiet || { \
	    $(ENV) dvc status; \
	    echo "minituner: error: the results do not belong to these settings and sources (see" \
	        "above); run dvc repro or snakemake --forceall all" >&2; exit 1; }
	@$(ENV) snakemake --touch --forceall --quiet all -- all
	@echo "up to date: snakemake all and dvc repro have nothing to run"

# A store elsewhere, remembered in .dvc/config.local.
remote: $(STAMP)
ifdef REMOTE
	@$(ENV) dvc remote modify --local local url "$(if $(findstring ://,$(REMOTE)),$(REMOTE),$(abspath $(REMOTE)))"
endif

# requirements-peers.lock holds what the peers add to requirements.lock.
lock: ## write both lock files anew from pyproject.toml
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --editable '.[dev]'
	{ sed -n '/^#/p' requirements.lock; $(FREEZE); } > requirements.lock.new
	.venv-lock/bin/python -m pip install --quiet --constraint requirements.lock.new '.[peers]'
	{ sed -n '/^#/p' requirements-peers.lock; \
	  $(FREEZE) | grep --invert-match --line-regexp --fixed-strings --file requirements.lock.new; \
	} > requirements-peers.lock.new
	mv requirements.lock.new requirements.lock
	mv requirements-peers.lock.new requirements-peers.lock
	rm -rf .venv-lock

deps: $(STAMP) ## write the source files that dvc.yaml's stages depend on anew
	@$(BIN)/python -m minituner.sources

clean: ## delete what the workflow made; the environment and DVC's store stay
	git clean -fdXq -- data results logs dvc_plots .snakemake

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "minituner: error: $(PYTHON) is missing or older than 3.11; name a newer one:" \
	        "make PYTHON=python3.12" >&2; exit 1; }
	@echo "installing the pinned environment into .venv …"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(PEERS): requirements-peers.lock $(STAMP)
	@echo "adding PEFT, transformers and bitsandbytes to .venv …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-peers.lock
	@touch $@
