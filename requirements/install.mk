# The environments, each made once from its lock.
#
# torch's default Linux wheel is the large CUDA build; the CPU build does as well here:
#   PIP_EXTRA_INDEX_URL=<PyTorch's CPU index> make all

PYTHON ?= python3
BIN := $(CURDIR)/.venv/bin
STAMP := .venv/.installed
REMOTES := .venv-remotes/.installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Snakemake's and DVC's jobs find their programs through PATH.
ENV := PATH="$(BIN):$$PATH" PYTHONPATH="$(CURDIR)/.venv-remotes$${PYTHONPATH:+:$$PYTHONPATH}"

.PHONY: peers slurm remotes lock

$(STAMP): requirements/base.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "minituner: error: $(PYTHON) is missing or older than 3.11; name a newer one:" \
	        "make PYTHON=python3.12" >&2; exit 1; }
	@echo "installing the pinned environment into .venv …"
	@$(PYTHON) -m venv .venv
	@$(PIP) -r requirements/base.lock
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.peers: requirements/peers.lock $(STAMP)
	@echo "adding PEFT, transformers and bitsandbytes to .venv …"
	@$(PIP) --no-deps -r requirements/peers.lock
	@touch $@

# Beside .venv, not in it. With Slurm's executor installed and no controller to answer, each call of
# snakemake takes 11 s.
.venv-%/.installed: requirements/%.lock $(STAMP)
	@echo "installing the packages of the extra $* into $(@D) …"
	@$(PIP) --no-deps --upgrade --target $(@D) -r $<
	@touch $@

peers: .venv/.peers ## add PEFT, transformers and bitsandbytes, which tests compare with

slurm: .venv-slurm/.installed ## add Snakemake's executor for Slurm, in .venv-slurm (docs/cluster.md)

remotes: $(REMOTES) ## add DVC's stores at ssh:// and webdav://, in .venv-remotes

FREEZE := .venv-lock/bin/python -m pip list --format freeze --exclude pip \
    --exclude minituner | sed 's/+.*//'

# The lock of an extra holds what it adds to base.lock.
lock: ## write all lock files anew from pyproject.toml
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --editable '.[dev]'
	{ sed -n '/^#/p' requirements/base.lock; $(FREEZE); } > requirements/base.lock.new
	mv requirements/base.lock.new requirements/base.lock
	set -e; for extra in peers slurm remotes fuzz audit mutants; do \
	    lock=requirements/$$extra.lock; \
	    .venv-lock/bin/python -m pip install --quiet --constraint requirements/base.lock ".[$$extra]"; \
	    { sed -n '/^#/p' $$lock; \
	      $(FREEZE) | grep --invert-match --line-regexp --fixed-strings --file requirements/base.lock; \
	    } > $$lock.new; \
	    mv $$lock.new $$lock; \
	    .venv-lock/bin/python -m pip uninstall --quiet --yes --requirement $$lock; \
	done
	rm -rf .venv-lock
