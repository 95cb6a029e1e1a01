# `make run` and `make test` are all that a new machine needs: both install what is missing.
SWIFT ?= swift
DOCKFILE ?= config/Dockfile.yaml

.PHONY: run build test check format tools tools-test

run: build
	exec .build/release/dockrion run $(DOCKFILE)

build: tools
	$(SWIFT) build -c release --product dockrion

test: tools-test
	$(SWIFT) test

check: tools
	$(SWIFT) format lint --strict --recursive Package.swift Sources Tests
	$(SWIFT) build --build-tests

format:
	$(SWIFT) format --in-place --recursive Package.swift Sources Tests

tools:
	@scripts/install-tools build

tools-test:
	@scripts/install-tools test
