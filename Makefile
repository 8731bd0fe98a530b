# minituner: `make` alone lists the targets. Each does its own set-up.
#
# torch's default Linux wheel is the large CUDA build; the CPU build does as well here:
#   PIP_EXTRA_INDEX_URL=<PyTorch's CPU index> make all

PYTHON ?= python3
EXAMPLE ?= examples/spanish
BIN := $(CURDIR)/.venv/bin
STAMP := .venv/.installed
PEERS := .venv/.peers
REMOTES := .venv-remotes/.installed
# Snakemake's and DVC's jobs find their programs through PATH.
ENV := PATH="$(BIN):$$PATH" PYTHONPATH="$(CURDIR)/.venv-remotes$${PYTHONPATH:+:$$PYTHONPATH}"

FREEZE := .venv-lock/bin/python -m pip list --format freeze --exclude pip \
    --exclude minituner | sed 's/+.*//'

.DEFAULT_GOAL := help
.PHONY: help all example test lint fuzz reliability audit peers slurm remotes services cluster \
    reproduce record push pull sync remote lock deps clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' $(firstword $(MAKEFILE_LIST)) | expand -t 8

all: $(STAMP) ## make every result and judge it by the definition of done
	@$(ENV) snakemake all; status=$$?; \
	if [ $$status = 0 ] || $(ENV) snakemake --dry-run results/definition_of_done.md 2>&1 \
	        | grep -q 'Nothing to be done'; then \
	    echo; cat results/definition_of_done.md; \
	    echo; echo "Report: results/report.html"; echo "Plot:   results/ablation.png"; \
	fi; exit $$status

example: $(STAMP) ## the same experiment with a corpus of your own, EXAMPLE=examples/spanish
	@$(ENV) snakemake --directory $(EXAMPLE) all
	@$(ENV) python -m minituner showcase --results $(EXAMPLE)/results --page $(EXAMPLE)/README.md
	@sed -n '/results: begin/,/results: end/p' $(EXAMPLE)/README.md

test: lint ## lint, unit tests, and a small run of the whole workflow
	@$(ENV) pytest -q --numprocesses auto --dist loadfile -m 'not slow'

lint: $(STAMP) ## ruff, snakefmt and snakemake --lint
	@$(ENV) ruff check .
	@$(ENV) ruff format --check .
	@$(ENV) snakefmt --check Snakefile rules
	@$(ENV) snakemake --lint

# Drawn at random first, then steered by coverage; the page counts both.
fuzz: $(STAMP) .venv-fuzz/.installed ## 100,000 spoilt inputs for the parsers (20 minutes); counts in tests/fuzz
	@$(ENV) nice python -m tests.fuzz --cases 50000 --out tests/fuzz/drawn.json
	@$(ENV) PYTHONPATH=.venv-fuzz nice python -m tests.fuzz --cases 50000 --guided --out tests/fuzz/guided.json

reliability: $(STAMP) ## inject every fault, as root for disks and memory; writes docs/reliability.md
	@$(ENV) pytest -q tests/faults --page

audit: $(STAMP) .venv-audit/.installed ## look the pinned packages up among known vulnerabilities, where the index answers
	@$(ENV) PYTHONPATH=.venv-audit python -m tests.audit

peers: $(PEERS) ## add PEFT, transformers and bitsandbytes, which tests compare with

slurm: .venv-slurm/.installed ## add Snakemake's executor for Slurm, in .venv-slurm (docs/cluster.md)

remotes: $(REMOTES) ## add DVC's stores at ssh:// and webdav://, in .venv-remotes

cluster: $(STAMP) slurm remotes services ## test a real Slurm and stores on real servers, as root on Debian; writes there too
	@$(ENV) pytest -q tests/cluster --page

# Installed, not started (RUNLEVEL): the tests start their own, in folders of their own.
services:
	@(for name in munged slurmctld slurmd sbatch /usr/sbin/sshd; do command -v $$name || exit; done) \
	    > /dev/null || { apt-get -q update && RUNLEVEL=1 apt-get -q install --yes \
	        --no-install-recommends munge slurmctld slurmd slurm-client openssh-server; \
	    } > .apt.log 2>&1 || \
	    echo "cluster: Debian's Slurm or sshd cannot be had here (.apt.log); its tests are skipped"

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
	    echo "minituner: error: the store lacks some results or holds them damaged (docs/cluster.md);" \
	        "run make push in the checkout that has them, name another store with REMOTE=/path, or" \
	        "run make all" >&2; exit 1; }
	@$(MAKE) --no-print-directory sync

sync: $(STAMP) ## adopt results that DVC put in place (after dvc pull or dvc checkout)
	@$(ENV) dvc status --quiet || { \
	    $(ENV) dvc status; \
	    echo "minituner: error: the results do not belong to these settings and sources (see" \
	        "above); run dvc repro or snakemake --forceall all" >&2; exit 1; }
	@$(ENV) snakemake --touch --forceall --quiet all -- all
	@echo "up to date: snakemake all and dvc repro have nothing to run"

# A store elsewhere, remembered in .dvc/config.local.
remote: $(STAMP) $(if $(findstring ://,$(REMOTE)),$(REMOTES))
ifdef REMOTE
	@$(ENV) dvc remote modify --local local url "$(if $(findstring ://,$(REMOTE)),$(REMOTE),$(abspath $(REMOTE)))"
endif

# The lock of an extra holds what it adds to requirements.lock.
lock: ## write all lock files anew from pyproject.toml
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --editable '.[dev]'
	{ sed -n '/^#/p' requirements.lock; $(FREEZE); } > requirements.lock.new
	mv requirements.lock.new requirements.lock
	set -e; for extra in peers slurm remotes fuzz audit; do \
	    lock=requirements-$$extra.lock; \
	    .venv-lock/bin/python -m pip install --quiet --constraint requirements.lock ".[$$extra]"; \
	    { sed -n '/^#/p' $$lock; \
	      $(FREEZE) | grep --invert-match --line-regexp --fixed-strings --file requirements.lock; \
	    } > $$lock.new; \
	    mv $$lock.new $$lock; \
	    .venv-lock/bin/python -m pip uninstall --quiet --yes --requirement $$lock; \
	done
	rm -rf .venv-lock

deps: $(STAMP) ## write the source files that dvc.yaml's stages depend on anew
	@$(BIN)/python -m minituner.workflow.sources

clean: ## delete what the workflow made; the environment and DVC's store stay
	git clean -fdXq -- data results logs dvc_plots .snakemake examples

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

# Beside .venv, not in it. With Slurm's executor installed and no controller to answer, each call of
# snakemake takes 11 s.
.venv-%/.installed: requirements-%.lock $(STAMP)
	@echo "installing the packages of the extra $* into $(@D) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
	    --target $(@D) -r $<
	@touch $@
