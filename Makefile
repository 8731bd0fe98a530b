# minituner: `make` alone lists the targets. Each does its own set-up (requirements/install.mk).

EXAMPLE ?= examples/spanish

.DEFAULT_GOAL := help
.PHONY: help all example test lint labs reproduce record push pull sync remote deps clean versioned

include requirements/install.mk
-include tests/Makefile

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 12

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

test: versioned lint ## lint, unit tests, and a small run of the whole workflow
	@$(ENV) pytest -q --numprocesses auto --dist loadfile --no-loadscope-reorder \
	    -m 'not slow and not long'

lint: $(STAMP) ## ruff, the direction of imports, snakefmt and snakemake --lint
	@$(ENV) ruff check .
	@$(ENV) ruff format --check .
	@$(ENV) lint-imports --no-logo
	@$(ENV) snakefmt --check Snakefile rules
	@$(ENV) snakemake --lint

labs: $(STAMP) ## run the labs' solutions and make pages, files with gaps and notebooks of them
	@$(ENV) python -m minituner.labs --run

# With REBUILT=folder what was rebuilt stays there.
reproduce: versioned $(STAMP) ## rebuild everything from empty and compare each hash with dvc.lock
	@git diff --quiet HEAD || echo "uncommitted changes are left out: the last commit is rebuilt"
	@rebuilt="$(or $(REBUILT),$$(mktemp -d))" && \
	git clone --quiet . "$$rebuilt" && cd "$$rebuilt" && \
	{ $(ENV) dvc repro; built=$$?; } && \
	{ $(ENV) python -m minituner reproduce --recorded "$(CURDIR)" --made . || built=1; } && \
	if [ "$$built$(REBUILT)" = 0 ]; then rm -rf "$$rebuilt"; else echo "rebuilt in $$rebuilt"; fi; \
	exit $$built

record: versioned $(STAMP) ## write the results' hashes into dvc.lock, and what they were made with
	@$(ENV) snakemake --dry-run all 2>&1 | grep -q 'Nothing to be done' || { \
	    echo "minituner: error: the results are not current; run make all first" >&2; exit 1; }
	@$(ENV) dvc commit --force --quiet
	@$(ENV) python -m minituner environment --out results/recorded_on.json

push: record remote ## record the results and publish them to the store
	@$(ENV) dvc push

pull: versioned $(STAMP) remote ## fetch the published results; Snakemake and DVC then have nothing to rerun
	@$(ENV) dvc pull || { \
	    echo "minituner: error: the store lacks some results or holds them damaged (docs/cluster.md);" \
	        "run make push in the checkout that has them, name another store with REMOTE=/path, or" \
	        "run make all" >&2; exit 1; }
	@$(MAKE) --no-print-directory sync

sync: versioned $(STAMP) ## adopt results that DVC put in place (after dvc pull or dvc checkout)
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

deps: $(STAMP) ## write the source files that dvc.yaml's stages depend on anew
	@$(BIN)/python -m minituner.workflow.sources

clean: versioned ## delete what the workflow made; the environment and DVC's store stay
	git clean -fdXq -- data results logs dvc_plots .snakemake examples studies

# DVC compares with what git has, and the tests copy the files that git lists.
versioned:
	@said=$$(git ls-files --error-unmatch Makefile 2>&1) || { \
	    echo "minituner: error: git:" $$(echo "$$said" | sed 's/^[a-z]*: //;q')"; this target needs a" \
	        "repository: clone the project, or make one of an archive by git init, git add . and" \
	        "git commit" >&2; exit 1; }
