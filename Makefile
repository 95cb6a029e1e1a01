# `make run` and `make test` are all that a new machine needs: both install what is missing.
SWIFT ?= swift
DOCKFILE ?= config/Dockfile.yaml

.PHONY: run build test test-python test-release test-package test-thread test-address image-check check format tools tools-test bench bench-smoke bench-micro

run: build
	exec .build/release/dockrion run $(DOCKFILE)

# Without the run-time checks for overlapping accesses: the tests, which are debug builds, run with them.
build: tools
	$(SWIFT) build -c release --product dockrion -Xswiftc -enforce-exclusivity=unchecked

test: tools-test test-python
	$(SWIFT) test

# The Python package and the worker, with LangGraph and LangChain from PyPI: a minute.
test-python:
	@scripts/python-tools
	cd python && .venv/bin/python -m pytest

# What hangs on the order of threads, without the debug build's slowness that hides it. Apart from `make test`, since all
# is built once more for it: minutes the first time.
test-release: tools-test
	$(SWIFT) test -c release --scratch-path .build-release-tests -Xswiftc -enable-testing \
	  --filter 'EventRingTests|FullRingTests|InboxTests|ExecutionTests|ClockTests'

# The package that `dockrion init --swift-package` writes, built and started.
test-package: tools-test
	scripts/package-check

# A sanitizer multiplies memory; the tests that bound it are for plain builds.
NO_MEMORY_FIGURES = --skip 'HeldStreamsCost|emittersOfAFullRing|memoryStaysBounded|clientsThatLeave|pipelinedRequests|hundredsOfSlow|runsThatComeAndGo|halfSentBodies'

test-thread: tools-test
	TSAN_OPTIONS="suppressions=$(CURDIR)/Tests/thread-sanitizer.supp" \
	  $(SWIFT) test --sanitize=thread --scratch-path .build-thread $(NO_MEMORY_FIGURES)

# Without the leak check: it cannot follow Swift's tagged pointers and reports constants. The load tests count
# descriptors and memory instead.
test-address: tools-test
	ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test --sanitize=address --scratch-path .build-address $(NO_MEMORY_FIGURES)

# The image of config/Dockerfile without a container engine: needs root, and takes some minutes.
image-check:
	@scripts/install-tools image-check
	scripts/image-check

SWIFT_FILES = Package.swift Sources Tests $(foreach package,load micro peers/hummingbird-peer,\
  $(wildcard $(foreach part,Package.swift Sources Tests,benchmarks/$(package)/$(part))))

check: tools-test
	$(SWIFT) format lint --strict --recursive $(SWIFT_FILES)
	@scripts/python-tools
	Tests/python/.venv/bin/ruff check --line-length 120 Tests/python/*.py
	Tests/python/.venv/bin/ruff format --line-length 120 --check Tests/python/*.py
	Tests/python/.venv/bin/mypy --strict Tests/python/*.py
	cd python && .venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy
	$(SWIFT) build --build-tests

format:
	$(SWIFT) format --in-place --recursive $(SWIFT_FILES)

# About half an hour, for a machine that does nothing else; benchmarks/README.md.
bench: build
	@scripts/install-tools bench
	$(SWIFT) build -c release --package-path benchmarks/load
	$(MAKE) -C benchmarks/peers/evhttp
	-$(SWIFT) build -c release --package-path benchmarks/peers/hummingbird-peer
	-test -x benchmarks/.venv/bin/uvicorn || { python3 -m venv benchmarks/.venv && \
	  benchmarks/.venv/bin/pip install -q -r benchmarks/peers/python/requirements.txt; }
	benchmarks/run $(BENCH)

# An event's way station by station, in nanoseconds: for looking at a change. `make bench-micro BENCH='--filter ring'` for some.
bench-micro: tools
	$(SWIFT) run -c release --package-path benchmarks/micro Micro $(BENCH)

# Every scenario once, tiny, on debug builds: whether it works, not how fast it is.
bench-smoke:
	@scripts/install-tools bench-smoke
	$(SWIFT) build --product dockrion
	$(SWIFT) test --package-path benchmarks/load
	$(SWIFT) run --package-path benchmarks/micro Micro --allow-debug-build --iterations 3 --quiet
	$(MAKE) -C benchmarks/peers/evhttp
	benchmarks/run --smoke --configuration debug
	benchmarks/redis-cost --binary .build/debug/dockrion --rounds 1 --seconds 1
	benchmarks/redis-cost --binary .build/debug/dockrion --rounds 1 --tokens 2x500

tools:
	@scripts/install-tools build

tools-test:
	@scripts/install-tools test
