# Everything that is done to this repository, each as one word; "make help" lists them.
#
# Needs Linux, a C compiler, make, and node with npm. Nothing is installed outside this directory,
# but by acceptance-tools.

BIN    := node_modules/.bin
DENO   := $(BIN)/deno
BUN    := $(BIN)/bun
CC     ?= cc
CFLAGS ?= -O2 -g0
STRICT := -std=gnu11 -pthread -Wall -Wextra -Werror
# nodelete: Deno unloads libraries when it exits, under the feet of a thread that still runs.
SHARED := -fPIC -shared -fvisibility=hidden -Wl,-z,now -Wl,-z,nodelete

# One test that takes longer hangs. Deno's runner has no such limit: there, the whole run has one, and the
# last name that it printed is the test that hangs.
TEST_MS  := 60000
SUITE_S  ?= 900
# All but those that need the clients of others: "make acceptance" is for them.
TESTS    ?= $(filter-out tests/acceptance/,$(wildcard tests/*/)) $(wildcard tests/*_test.ts)
# What is tested over each transport of tests/support/transports, by "make test-transports".
TRANSPORTS      ?= $(filter-out socket,$(basename $(notdir $(wildcard tests/support/transports/*.ts))))
TRANSPORT_TESTS ?= tests/connection tests/codec tests/mux tests/adapter tests/buffer
# The part of it that belongs to "make test": random schedules, waiting, back-pressure, deadlines.
CORE_TESTS      := $(patsubst %,tests/connection/%_test.ts,schedule connection_reader connection_writer stream \
  back_pressure deadlines)
ACCEPTANCE_TESTS ?= tests/acceptance
# ACCEPTANCE=full does ten times as much.
ACCEPTANCE_S := $(if $(filter full,$(ACCEPTANCE)),3600,$(SUITE_S))
# What docs/TRUST.md has a table of; each has its part in tests/.
DRIVERS  := $(if $(wildcard tests/faults/run.ts),faults) simulate fuzz hostile network exits restart soak
# Runs a driver under both runtimes at the same time.
BOTH     := $(BUN) scripts/trust/both.ts
# Each with its arguments, as one word of the shell.
ANALYZERS := \
  "clang --analyze --analyzer-output text -Xclang -analyzer-werror -std=gnu11 -pthread -o /dev/null" \
  "gcc -fanalyzer -c $(STRICT) -O2 -o /dev/null" \
  "cppcheck --quiet --std=c11 --enable=warning,portability,performance --inline-suppr --error-exitcode=1"
FAULTS   := NETPOLL_LIB=$(CURDIR)/libnetpoll-faults.so

export DENO_NO_UPDATE_CHECK = 1
export ACCEPTANCE
# The structure test asks git for the files; a checkout that belongs to another user is fine for that.
export GIT_CONFIG_COUNT = 1
export GIT_CONFIG_KEY_0 = safe.directory
export GIT_CONFIG_VALUE_0 = *

.DELETE_ON_ERROR:
.PHONY: all demo test test-native test-deno test-bun test-core test-transports acceptance acceptance-tools \
        acceptance-deno acceptance-bun check check-style check-types check-docs check-c analyze cover site dist dist-check matrix bench readme-figures \
        faults $(DRIVERS) trust trust-ci trust-table question beside thread deferred idle-memory calls cores clean help

all: libnetpoll.so libnetpoll-faults.so node_modules/.package-lock.json  ## build the library and install the runtimes (default)

libnetpoll.so: libnetpoll.c
	$(CC) $(CFLAGS) $(STRICT) $(SHARED) -o $@ $<

libnetpoll-faults.so: libnetpoll.c tests/native/faults.h
	$(CC) $(CFLAGS) $(STRICT) $(SHARED) -include tests/native/faults.h -o $@ $<

# A linked node_modules is somebody else's: npm would empty it through the link.
node_modules/.package-lock.json: package-lock.json .npmrc
	@if [ -L node_modules ]; then echo "node_modules is a link: not installing through it"; \
	else npm ci && touch $@; fi

demo: all  ## the echo server of the README under Bun and then under Deno, with real traffic
	@$(BUN) scripts/demo.ts $(BUN)
	@$(BUN) scripts/demo.ts $(DENO) run --allow-ffi --allow-net=localhost,127.0.0.1

test: test-native test-deno test-bun test-core  ## every test: the C harness, then one suite under Deno and under Bun

test-native: all  ## the library alone, under sanitizers, with gcc and clang
	@if [ -f tests/native/Makefile ]; then $(MAKE) --no-print-directory -C tests/native; \
	else echo "tests/native: no harness here"; fi

test-deno: all  ## the suite under Deno (TESTS=tests/net for a part of it)
	$(FAULTS) timeout -k 5 $(SUITE_S) $(DENO) test -A --no-check $(TESTS)

test-bun: all  ## the suite under Bun (TESTS=tests/net for a part of it)
	$(FAULTS) timeout -k 5 $(SUITE_S) $(BUN) test --isolate --timeout=$(TEST_MS) $(TESTS)

test-transports: all  ## the tests of connections over every transport, in both runtimes (TRANSPORTS=tls for one)
	@for transport in $(TRANSPORTS); do for runtime in bun deno; do \
	  echo "== over $$transport, under $$runtime"; \
	  NETPOLL_TRANSPORT=$$transport $(MAKE) --no-print-directory test-$$runtime TESTS="$(TRANSPORT_TESTS)" \
	    || exit 1; done; done

test-core: all  ## random schedules and the core of a connection over TLS, memory and streams: part of "make test"
	@$(MAKE) --no-print-directory test-transports TRANSPORTS="tls memory duplex" TRANSPORT_TESTS="$(CORE_TESTS)"

acceptance: acceptance-deno acceptance-bun  ## the examples against clients of others, which it installs

acceptance-tools:  ## what acceptance needs, from Debian and npm
	@scripts/acceptance_tools.sh

acceptance-deno: all acceptance-tools  ## the same under Deno alone
	timeout -k 5 $(ACCEPTANCE_S) $(DENO) test -A --no-check $(ACCEPTANCE_TESTS)

acceptance-bun: all acceptance-tools  ## the same under Bun alone
	timeout -k 5 $(ACCEPTANCE_S) $(BUN) test --isolate --timeout=$(ACCEPTANCE_S)000 $(ACCEPTANCE_TESTS)

check: check-style check-c check-types check-docs  ## format, lint, structure, types, documents: all but the tests

check-style: all  ## format, lint, and the rules of tests/tidy_test.ts
	$(DENO) fmt --check
	$(DENO) lint
	$(DENO) test -A --no-check tests/tidy_test.ts

# Twice: once as Deno sees it, without the files that name Bun, and once with Bun's types beside Deno's. (Deno
# finds node_modules from where its configuration lies, hence the copy.)
check-types: all  ## types, with and without those of Bun
	$(DENO) check $$(git ls-files '*.ts' | grep -vE '^(examples/compare|bench/peers|tests/runtime)/bun')
	cp scripts/bun_types.json .bun_types.json
	$(DENO) check --config .bun_types.json; code=$$?; rm .bun_types.json; exit $$code

check-docs: all  ## every export is documented, every example runs
	$(DENO) doc --lint mod.ts src/entries/*.ts
	$(DENO) check --doc-only mod.ts src README.md docs
	$(BUN) scripts/run_documents.ts $(BUN)
	$(BUN) scripts/run_documents.ts $(DENO) run -A --no-check --unstable-net

check-c: libnetpoll.c  ## C without a warning, by gcc and clang
	gcc $(CFLAGS) $(STRICT) $(SHARED) -o /dev/null $<
	gcc $(CFLAGS) $(STRICT) $(SHARED) -include tests/native/faults.h -o /dev/null $<
	@if command -v clang >/dev/null; then set -x; clang $(CFLAGS) $(STRICT) -Wno-gnu $(SHARED) -o /dev/null $<; \
	else echo "clang is not here: only gcc has checked $<"; fi
	@$(MAKE) --no-print-directory -C bench programs
	@$(MAKE) --no-print-directory analyze

# Each tool ends with an error at its first finding. libnetpoll.c answers a false one where it stands.
analyze: libnetpoll.c  ## weaknesses of the C file, as clang --analyze, gcc -fanalyzer and cppcheck see them
	@for tool in $(ANALYZERS); do \
	  command -v $${tool%% *} >/dev/null || { echo "$${tool%% *} is not here: nothing analysed by it"; continue; }; \
	  echo "$$tool $<"; $$tool $< || exit 1; \
	done

network: all  ## every scenario over every bad network, as root (OPTIONS="--seconds 60", or --help)
	@$(BOTH) tests/network/run.ts $(OPTIONS)

# Without the tests of what is neither src nor ffi, and those that run for long.
COUNTED := --coverage -std=gnu11 -g -O0 -pthread -include ../../tests/native/faults.h
COVERED := $(filter-out tests/bench/ tests/site/ tests/soak/ tests/network/ tests/fuzz/ tests/exits/,$(TESTS))

cover: all  ## lines and branches that the tests reach, both runtimes and C together: docs/COVERAGE.md
	rm -rf coverage && mkdir -p coverage/c
	-$(FAULTS) $(DENO) test -A --no-check --coverage=coverage/deno $(COVERED)
	$(DENO) coverage coverage/deno --lcov --include='/(src|ffi)/' > coverage/deno.lcov
	-$(FAULTS) $(BUN) test --isolate --timeout=$(TEST_MS) --coverage --coverage-reporter=lcov \
	  --coverage-dir=coverage/bun $(COVERED)
	$(MAKE) -s -C tests/fuzz build/corpus
	cd coverage/c && gcc $(COUNTED) -o native ../../tests/native/native_test.c && ./native && \
	  gcc $(COUNTED) -DREPLAY -o replay ../../tests/fuzz/native.c && ./replay ../../tests/fuzz/build/corpus/* && \
	  gcov -b --json-format --stdout *.gcda | ../../$(BUN) ../../scripts/cover/gcov.ts libnetpoll.c > ../c.lcov
	$(BUN) scripts/cover/report.ts coverage
	@$(DENO) fmt --quiet docs/COVERAGE.md

faults: all  ## each native call fails, is short or late, in every scenario (OPTIONS=--help says more)
	@$(FAULTS) $(BOTH) tests/faults/run.ts $(OPTIONS)

exits: all  ## servers, Workers and peers that end under load in every way, 100 times each (OPTIONS=--help)
	@$(BOTH) tests/exits/run.ts $(OPTIONS)

restart: all  ## a server and a cluster, 100 restarts each under load: nothing refused, reset or lost (OPTIONS=--help)
	@$(BOTH) tests/restart/run.ts $(OPTIONS)

hostile: all  ## servers of every kind under attack: others are served, memory is bounded (OPTIONS=--help)
	@$(BOTH) tests/hostile/run.ts $(OPTIONS)

soak: all  ## everything at once for 30 minutes: every byte compared, and nothing grows (OPTIONS="--seconds 60")
	@$(BOTH) tests/soak/run.ts $(OPTIONS)

simulate: all  ## a million random schedules over a simulated kernel and clock (OPTIONS=--mutants, or --help)
	@$(BOTH) tests/simulation/run.ts $(OPTIONS)

trust: all  ## every driver for as long as docs/TRUST.md says, and its table from what they did
	@for driver in $(DRIVERS); do \
	  $(MAKE) --no-print-directory $$driver OPTIONS="--record $(OPTIONS)" || exit 1; done
	@$(MAKE) --no-print-directory trust-table

trust-ci: all  ## every driver for some seconds
	@code=0; for driver in $(DRIVERS); do \
	  timeout -k 5 75 $(MAKE) --no-print-directory $$driver OPTIONS="--seconds 20" || \
	    { code=1; echo "== make $$driver failed, or took too long"; }; done; exit $$code

trust-table: all  ## the table of docs/TRUST.md, from the records in docs/trust
	@$(BUN) scripts/trust/table.ts
	@$(DENO) fmt --quiet docs/TRUST.md
fuzz: all  ## random programs, bytes and values: 20 minutes, the C file half of it (OPTIONS=--help says more)
	@$(MAKE) -s -C tests/fuzz peers
	@$(BOTH) tests/fuzz/run.ts $(OPTIONS)

bench: all  ## what an echo costs, beside every peer: README's table, plots (OPTIONS=--help says more)
	@$(MAKE) --no-print-directory -C bench figures

readme-figures:  ## README's table again, from the last run of "make bench"
	@$(MAKE) --no-print-directory -C bench readme-figures

question: all  ## 1 000 connections, half of them idle: what does each server hold?
	@$(MAKE) --no-print-directory -C bench question

beside: all  ## a part of "make thread": timers and HTTP beside an idle and a saturated echo
	@$(MAKE) --no-print-directory -C bench beside

thread: all  ## netpoll and the runtime's own work in one thread, each at every load
	@$(MAKE) --no-print-directory -C bench thread

deferred: all  ## round trips a second of handlers that answer from setImmediate, nextTick, streams and others
	@$(MAKE) --no-print-directory -C bench deferred

idle-memory: all  ## resident bytes of each of 10 000 idle connections
	@$(MAKE) --no-print-directory -C bench idle-memory

calls: all  ## JavaScript calls that a 64-byte echo takes, counted by V8
	@$(MAKE) --no-print-directory -C bench calls

cores: all  ## several pollers: CPU a message and a connection, how evenly they are spread, memory
	@$(MAKE) --no-print-directory -C bench cores

site: all  ## the documents and the reference as a website: docs/site/index.html
	@$(BIN)/typedoc --options scripts/site/typedoc.json --out docs/site
	@$(BUN) scripts/site/releases.ts docs/site
	@$(BUN) scripts/site/links.ts docs/site

dist: all  ## what is published, into dist/: npm, JSR, one file, libraries, checksums, SBOM
	scripts/dist.sh dist

dist-check: all  ## install each artefact into an empty project and use it (OPTIONS=--emulate: arm64 runtimes, too)
	scripts/dist.sh dist
	$(BUN) scripts/dist_check.ts dist $(OPTIONS)

matrix: all  ## the suite in the lowest and the latest Deno and Bun (VERSIONS="deno@2.8.0 bun@1.4.0" for others)
	scripts/matrix.sh $(VERSIONS)

clean:  ## remove what was built; the runtimes stay
	rm -rf libnetpoll.so libnetpoll-faults.so dist coverage docs/site
	@if [ -f tests/native/Makefile ]; then $(MAKE) --no-print-directory -C tests/native clean; fi
	@$(MAKE) --no-print-directory -C tests/fuzz clean

help:  ## this list
	@awk -F ':.*##' '/^[a-z-]+:.*##/ { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
