# `make` lists the targets. Each that needs Python packages makes .venv first.

PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
CHECKPOINT := examples/fashion_mnist/fashion-mnist.safetensors
DEMO := demo
DEPS := build/deps
CPP := build/cpp

# pip puts CMake and Ninja there.
IN_VENV := PATH="$(CURDIR)/$(BIN):$$PATH"

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo ops plugin cpp test test-large lint format bench quality load gpu wheel wheel-linux clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/export.stamp ## checkpoint to pictures: export, build and run at three sizes, into ./demo
	@mkdir -p $(DEMO)
	$(BIN)/fdcn export $(CHECKPOINT) -o $(DEMO)/model
	$(BIN)/fdcn build $(DEMO)/model
	$(BIN)/fdcn run $(DEMO)/model --size 28x28 -o $(DEMO)/28x28.png
	$(BIN)/fdcn run $(DEMO)/model --size 56x28 -o $(DEMO)/56x28.png
	$(BIN)/fdcn run $(DEMO)/model --size 28x56 -o $(DEMO)/28x56.png
	@echo && echo "The pictures are in $(CURDIR)/$(DEMO):" && ls $(DEMO)/*.png

ops: $(VENV)/native.stamp ## compile the operator for ONNX Runtime on this CPU, which `fdcn build` and `run` then use
	@$(BIN)/python -m fdcn.plugins.libraries ops

plugin: $(VENV)/native.stamp ## compile the operator's plugin for TensorRT, which `fdcn build` then uses
	@$(BIN)/python -m fdcn.plugins.libraries tensorrt

cpp: $(VENV)/native.stamp ## build the C++ library, test it, install it into build/cpp/install
	@$(IN_VENV) cmake -S . -B $(CPP) -G Ninja --log-level=NOTICE -DPython3_EXECUTABLE="$(CURDIR)/$(BIN)/python" \
		-DCMAKE_INSTALL_PREFIX="$(CURDIR)/$(CPP)/install" -DCMAKE_INSTALL_RPATH_USE_LINK_PATH=ON $(CPP_OPTIONS)
	@$(IN_VENV) cmake --build $(CPP)
	@$(IN_VENV) ctest --test-dir $(CPP) --output-on-failure
	@$(IN_VENV) cmake --install $(CPP) > $(CPP)/installed.txt && echo "Installed into $(CPP)/install"

test: $(VENV)/native.stamp ## every test but the large ones
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test-large: $(VENV)/native.stamp $(DEPS)/tensorrt-10.6 $(DEPS)/triton ## the tests at XL/2 shapes: 8 GB of memory
	@$(BIN)/python -m pytest -m large

lint: $(VENV)/dev.stamp ## ruff and mypy
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@MYPYPATH=.types $(BIN)/mypy -p fdcn

format: $(VENV)/dev.stamp ## sort the imports and lay out the code
	@$(BIN)/ruff check --select I --fix
	@$(BIN)/ruff format

bench: ops cpp ## time everything that has a benchmark, into benchmarks/results
	@set -e; for script in benchmarks/bench_*.py; do echo "$$script"; $(BIN)/python "$$script"; done

quality: ops ## measure the shipped checkpoint's pictures, into benchmarks/results
	@$(BIN)/fdcn export $(CHECKPOINT) -o build/quality
	@$(BIN)/fdcn build build/quality
	@$(BIN)/python benchmarks/quality.py evaluate --bundle build/quality --guidance 2 --sizes 28x28 56x28 28x56

load: ops ## measure `fdcn serve` under load, an hour, into benchmarks/results
	@set -e; for part in throughput latency batching bad kill soak; do $(BIN)/python benchmarks/serving.py $$part; done

gpu: ## on a machine with an NVIDIA GPU: check and time what no other machine can, into benchmarks/results
	@PYTHONPATH=.types:$$PYTHONPATH $(PYTHON) benchmarks/gpu/run.py

wheel: $(VENV)/dev.stamp ## source distribution and wheel, into ./dist
	@rm -rf build/lib build/bdist* dist
	@$(BIN)/python -m build --quiet --no-isolation --outdir dist .
	@ls dist/*

wheel-linux: $(VENV)/native.stamp ## the wheel for Linux, with the libraries built, into ./dist, and tested
	@mkdir -p build && $(BIN)/python scripts/linux_wheel.py dist > build/linux-wheel && cat build/linux-wheel
	@FDCN_LINUX_WHEEL=$$(cat build/linux-wheel) $(BIN)/python -m pytest -q -m large tests/test_linux_wheel.py

# What cannot be fetched is said, and the tests that need it say so again at their end.
$(VENV)/native.stamp: $(VENV)/dev.stamp scripts/fetch_headers.py
	@$(BIN)/python scripts/fetch_headers.py $(DEPS) && touch $@ || true

$(DEPS)/tensorrt-10.6: $(VENV)/dev.stamp
	@$(BIN)/python scripts/fetch_tensorrt.py $@ && touch $@ || true

$(DEPS)/triton: $(VENV)/dev.stamp
	@$(BIN)/python scripts/fetch_triton.py $@ && touch $@ || true

clean: ## remove all that make made, .venv included
	rm -rf $(VENV) $(DEMO) build dist fdcn.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

# A stamp appears once everything is installed, and goes before anything is touched: a .venv without one was left by
# an interrupted installation and is made anew.
$(VENV)/dev.stamp: EXTRA = dev
$(VENV)/export.stamp: EXTRA = export
$(VENV)/dev.stamp $(VENV)/export.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "fdcn needs Python 3.10 or newer and $(PYTHON) is `$(PYTHON) -V 2>&1`: make PYTHON=python3.11 …"; exit 1; }
	@echo "Installing fdcn[$(EXTRA)] into $(VENV): up to 7 GB, most of it PyTorch"
	@clear=--clear; for stamp in $(VENV)/*.stamp; do if [ -e "$$stamp" ]; then clear=; fi; done; \
		rm -f $(VENV)/*.stamp && $(PYTHON) -m venv $$clear $(VENV)
	@quiet=--quiet; if [ -t 1 ]; then quiet=; fi; \
		$(BIN)/python -m pip install --disable-pip-version-check $$quiet -c constraints.txt -e '.[$(EXTRA)]'
	@if [ $(EXTRA) = dev ]; then touch $(VENV)/export.stamp; fi; touch $@
