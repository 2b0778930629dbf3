# make all: set-up, then the default workflow.   make test: set-up, then the tests.   make help: the rest.
CORES ?= $(shell nproc 2>/dev/null || echo 2)
# Training jobs at a time: one where there is a GPU to share, else one per core.
TRAININGS ?= $(shell nvidia-smi -L >/dev/null 2>&1 && echo 1 || echo $(CORES))
# After set-up, commands come from .venv, or from .conda where conda or mamba was found.
RUN = if [ -d .conda/ml ]; then export PSIGRAPH_PSI4_PYTHON="$$PWD/.conda/psi4/bin/python" PATH="$$PWD/.conda/ml/bin:$$PATH"; \
      else export PATH="$$PWD/.venv/bin:$$PATH"; fi;

.PHONY: all test check ci setup benchmarks clean help

all: setup
	@$(RUN) snakemake all --cores $(CORES) --resources gpu=$(TRAININGS)
	@echo "Open results/report/report.html in a browser; every number of it is in results/report/summary.csv."

test: setup
	@$(RUN) python -m pytest

check: ## lint, format, types, workflow lint
	@envs/setup.sh dev
	@$(RUN) ruff check . && ruff format --check . && mypy && snakefmt --check Snakefile rules && snakemake --lint

ci: ## what .ci/run runs
	@envs/setup.sh dev slurm
	@$(MAKE) check
	@$(MAKE) test

setup:
	@envs/setup.sh

benchmarks: ## what every speed claim rests on; results/benchmarks/*.json and docs/performance.md
	@envs/setup.sh benchmark
	@$(RUN) for name in delta_step graph_build loading quantum pamnet regional voxels; do python benchmarks/$$name.py || exit 1; done; \
	  python benchmarks/page.py

clean: ## removes everything computed, Psi4 results included
	rm -rf results .snakemake

help:
	@echo "make all     set-up, then the default workflow on $(CORES) cores (CORES=n changes that)"
	@echo "make test    set-up, then the tests"
	@echo "make check   lint, format, types, workflow lint"
	@echo "make benchmarks  what every speed claim rests on (an hour on two quiet cores); writes docs/performance.md"
	@echo "make clean   removes results/, Psi4 results included"
	@echo "After make: source .venv/bin/activate; snakemake --cores 8 all"
