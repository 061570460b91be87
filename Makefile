# A thin face over CMake: `make serve`, `make test`.
PRESET ?= release
JOBS ?= $(shell nproc)

.PHONY: serve build test test-asan test-tsan chaos bench format lint clean

serve: build
	./build/sluice serve $(ARGS)

build:
	@scripts/build $(PRESET)

test:
	@scripts/test release

test-asan:
	@scripts/test asan

test-tsan:
	@scripts/test tsan

chaos: build
	@scripts/python-env > /dev/null
	@build/venv/bin/python tests/chaos/chaos.py $(ARGS)

bench: build
	@bench/run

format:
	@git ls-files '*.h' '*.cc' | xargs clang-format -i

lint: build
	@scripts/lint

clean:
	rm -rf build
