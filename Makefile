# Each target is what a person could type in an activated .venv. DATA and SCALE choose groups of conf/ (conf/data, conf/scale).
SHELL := /bin/bash
PYTHON ?= python3
DATA ?= demo
# auto: small or, where people are too few to train on, untrained.
SCALE ?= $(if $(filter demo,$(DATA)),demo,auto)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := 1
export MLFLOW_DISABLE_TELEMETRY := true
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.PHONY: setup own repro params test lint bench ui retinaface
.DEFAULT_GOAL := repro

setup: .venv/.installed

# The commands of an environment run what lies in the folder that it was made for, which a renamed or copied checkout is not.
own:
	@made="$$(sed -n 's/^command = .* -m venv //p' .venv/pyvenv.cfg 2>/dev/null)"; \
	if [ -n "$$made" ] && [ "$$made" != "$$(pwd -P)/.venv" ] && [ ! -L .venv ]; then \
	echo "This .venv was made as $$made and runs what lies there. Make this checkout's own: rm -r .venv && make setup" >&2; exit 1; fi

# torch first and pinned: an open range would bring gigabytes of CUDA where none is wanted. The lock is a whole resolution, so
# that pip need not find one.
.venv/.installed: requirements.lock pyproject.toml | own
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	pip install --quiet $$(grep '^torch==' requirements.lock)
	pip install --quiet --no-deps --requirement requirements.lock && pip check
	pip install --quiet --no-deps --editable .
	touch $@

repro: setup
ifeq ($(DATA)-$(SCALE),demo-demo)
	face-verifier check
	dvc repro
	face-verifier summary
else ifeq ($(SCALE),auto)
	$(MAKE) --no-print-directory params SCALE=small
	scale=$$(face-verifier scale small) && $(MAKE) --no-print-directory repro SCALE=$$scale
else
	$(MAKE) --no-print-directory params
	face-verifier check
	dvc exp run --set-param 'data=$(DATA)' --set-param 'scale=$(SCALE)'
	face-verifier summary
endif

# params.yaml from conf/, for plain dvc and for the flow; repro composes its own.
params: setup
ifeq ($(SCALE),auto)
	$(MAKE) --no-print-directory params SCALE=small
	scale=$$(face-verifier scale small) && $(MAKE) --no-print-directory params SCALE=$$scale
else
	python -c 'import os, sys; from dvc.utils.hydra import compose_and_dump; \
	compose_and_dump("params.yaml", os.path.abspath("conf"), None, "config", None, sys.argv[1:])' 'data=$(DATA)' 'scale=$(SCALE)'
endif

test: setup retinaface lint
	pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: setup
	ruff check .
	ruff format --check .
	mypy

bench: setup
	python -m benchmarks.train_step
	python -m benchmarks.processes
	python -m benchmarks.regions_together
	python -m benchmarks.cached_maps
	python -m benchmarks.partial_fc
	python -m benchmarks.networks_as_one
	python -m benchmarks.emd
	python -m benchmarks.search
	python -m benchmarks.dam
	python -m benchmarks.all_pairs
	python -m benchmarks.explain_pair
	python -m benchmarks.insertion_deletion
	python -m benchmarks.detectors
	python -m benchmarks.loader
	python -m benchmarks.xface
	python -m benchmarks.scale
	python -m benchmarks.cuda_step
	python -m benchmarks.image_formats
	python -m benchmarks.shard_writing
	python -m benchmarks.stage_start
	python -m benchmarks.ingest
	python -W ignore -m benchmarks.fuzz --minutes 5
	python -m benchmarks.serve

ui: setup
	python -m flows.serve

# The package of the published RetinaFace; its own pins are of 2021, hence --no-deps.
retinaface: setup .venv/.retinaface
.venv/.retinaface: requirements-retinaface.txt
	pip install --quiet --no-deps --requirement requirements-retinaface.txt
	touch $@
