# `make run` and `make test` are all that a new machine needs: both install what is missing.
SWIFT ?= swift
DOCKFILE ?= config/Dockfile.yaml

.PHONY: run build test test-thread test-address check format tools tools-test

run: build
	exec .build/release/dockrion run $(DOCKFILE)

# Without the run-time checks for overlapping accesses: the tests, which are debug builds, run with them.
build: tools
	$(SWIFT) build -c release --product dockrion -Xswiftc -enforce-exclusivity=unchecked

test: tools-test
	$(SWIFT) test

# A sanitizer multiplies memory; the tests that bound it are for plain builds.
NO_MEMORY_FIGURES = --skip 'HeldStreamsCost|memoryStaysBounded|clientsThatLeave|pipelinedRequests'

test-thread: tools-test
	TSAN_OPTIONS="suppressions=$(CURDIR)/Tests/thread-sanitizer.supp" \
	  $(SWIFT) test --sanitize=thread --scratch-path .build-thread $(NO_MEMORY_FIGURES)

# Without the leak check: it cannot follow Swift's tagged pointers and reports constants. The load tests count
# descriptors and memory instead.
test-address: tools-test
	ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test --sanitize=address --scratch-path .build-address $(NO_MEMORY_FIGURES)

check: tools
	$(SWIFT) format lint --strict --recursive Package.swift Sources Tests
	$(SWIFT) build --build-tests

format:
	$(SWIFT) format --in-place --recursive Package.swift Sources Tests

tools:
	@scripts/install-tools build

tools-test:
	@scripts/install-tools test
