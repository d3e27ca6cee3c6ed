# davit. `make help` lists the targets.

SHELL := /bin/bash
.DELETE_ON_ERROR:

PREFIX  ?= /usr/local
DESTDIR ?=
BUILD   := build
JOBS    ?= $(shell nproc)
NPM_BIN := node_modules/.bin

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- build --------------------------------------------------------------------------------------

.PHONY: deps
deps: ## Install Debian packages and npm modules that building needs
	@scripts/install-deps.sh build
	@$(MAKE) -s node_modules/.installed

# Not `npm ci`: it refuses a lock file from which a platform's optional package is missing, and a
# registry mirror may lack those of platforms that nobody builds on.
node_modules/.installed: package.json package-lock.json
	npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: build
build: deps native typescript ## Build everything into bin/

.PHONY: native
native: node_modules/.installed ## Build the shim, davit-oci and the addon
	@mkdir -p $(BUILD)
	@cmake -S . -B $(BUILD)/native -G Ninja -DCMAKE_BUILD_TYPE=Release >$(BUILD)/cmake.log 2>&1 || (cat $(BUILD)/cmake.log; exit 1)
	@cmake --build $(BUILD)/native -j $(JOBS)
	@scripts/collect-binaries.sh $(BUILD)/native bin

.PHONY: typescript
typescript: node_modules/.installed ## Compile TypeScript and bundle the programs
	@$(NPM_BIN)/tsc -p .
	@mkdir -p dist/proto/gen && cp proto/gen/*.json dist/proto/gen/
	@node scripts/bundle.mjs


.PHONY: gen
gen: node_modules/.installed ## Write proto/gen anew from the .proto files
	node scripts/gen.mjs

.PHONY: clean
clean: ## Remove all build output
	rm -rf $(BUILD) bin dist coverage

# ---- use ----------------------------------------------------------------------------------------

.PHONY: quickstart
quickstart: build ## Build, start a daemon of your own, run a real container, show its output
	@scripts/quickstart.sh

.PHONY: install
install: ## Install to PREFIX (default /usr/local), with a systemd unit
	@scripts/install.sh "$(DESTDIR)" "$(PREFIX)"

.PHONY: uninstall
uninstall: ## Remove what install put there; data in /var/lib/davit stays
	@scripts/install.sh --remove "$(DESTDIR)" "$(PREFIX)"

# ---- check --------------------------------------------------------------------------------------

.PHONY: check
check: ## All static checks
	@scripts/install-deps.sh check
	@$(MAKE) -s node_modules/.installed
	@scripts/check.sh

.PHONY: format
format: ## Format TypeScript and C++
	$(NPM_BIN)/prettier --log-level warn --write '**/*.{ts,mjs}'
	git ls-files '*.cc' '*.h' | xargs clang-format-19 -i

# ---- test ---------------------------------------------------------------------------------------

.PHONY: test
test: ## Everything: checks, unit, C++ and integration tests (root)
	@scripts/install-deps.sh check
	@$(MAKE) -s build
	@scripts/test.sh check cpp fuzz unit integration interop

.PHONY: test-unit
test-unit: build ## Unit tests of TypeScript
	@scripts/test.sh unit

.PHONY: test-cpp
test-cpp: build ## Unit tests of C++
	@scripts/test.sh cpp

.PHONY: test-integration
test-integration: build ## Suites against a real daemon (root)
	@scripts/install-deps.sh test
	@scripts/test.sh integration interop

MINUTES ?= 10

.PHONY: soak
soak: build ## Kills, power cuts and endurance for about MINUTES minutes, 10 if not given (root)
	@scripts/install-deps.sh test
	@CRASH_ROUNDS=$$(($(MINUTES) * 8)) POWER_CUTS=$$(($(MINUTES) * 5)) SOAK_COUNT=$$(($(MINUTES) * 100)) \
		IMAGE_CRASHES=$$(($(MINUTES) * 3)) GC_HISTORIES=$$(($(MINUTES) * 2)) \
		$(NPM_BIN)/mocha --config .mocharc.json --reporter spec --timeout 120000 \
		dist/integration/crash/random-kills.test.js dist/integration/crash/power-cut.test.js \
		dist/integration/crash/soak.test.js dist/integration/crash/images.test.js dist/integration/crash/pull-faults.test.js \
		dist/integration/api/collector.test.js dist/integration/hard/rude-clients.test.js

.PHONY: fuzz
fuzz: ## Fuzz every parser for MINUTES minutes each with libFuzzer (root; needs clang)
	@scripts/fuzz.sh long $(MINUTES)

.PHONY: bench
bench: ## Ratios against containerd, side by side in one run (root)
	@scripts/install-deps.sh test
	@$(MAKE) -s build
	@node dist/bench/main.js
