# A thin face over CMake: `make serve`, `make test`.
PRESET ?= release
JOBS ?= $(shell nproc)
SEEDS ?= 10000

PREFIX ?= /usr/local

.PHONY: serve chat build install deb test test-asan test-tsan chaos sim mutants bench format lint clean

# Only what serving needs; `make build` compiles tests and benchmarks, too.
serve:
	@scripts/build $(PRESET) sluice
	./build/sluice serve $(ARGS)

# A small model is fetched once, served in the background, and talked to; `make chat ARGS='--system "Be brief."'`.
chat:
	@scripts/build $(PRESET) sluice
	@scripts/chat $(ARGS)

build:
	@scripts/build $(PRESET)

# What stands under build/release goes below PREFIX, or DESTDIR and PREFIX.
install: build
	@cmake --install build/$(PRESET) --prefix $(PREFIX)

# Debian packages of the server and of the C++ client, below build/deb; checked by lintian where that is there.
deb: build
	@scripts/deb

test:
	@scripts/test release

test-asan:
	@scripts/test asan

test-tsan:
	@scripts/test tsan

chaos: build
	@scripts/python-env > /dev/null
	@build/venv/bin/python tests/chaos/chaos.py $(ARGS)

# The front under seeded faults, on virtual time: `make sim SEEDS=100000`.
sim:
	@scripts/sim $(SEEDS)

# Every planted bug must be found by the simulator.
mutants: build
	@scripts/mutants --jobs $(JOBS)

bench: build
	@bench/run

format:
	@git ls-files '*.h' '*.cc' | xargs clang-format -i

lint: build
	@scripts/lint

clean:
	rm -rf build
