# What people and CI run here; `make help` lists it. Tools come from tools.mod, built from source by the go command
# at the version that is pinned there: nothing is downloaded but Go modules, what web/package-lock.json pins, and Debian's
# packages by scripts/deps.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# The go command keeps every core busy by itself, and the output of one step at a time can be read.
.NOTPARALLEL:

# Where scripts/deps puts a Node that is new enough, if it has to.
export PATH := $(CURDIR)/build/node/node_modules/.bin:$(PATH)

GO   ?= go

# In somebody else's clone, as where root tests a user's, git tells nothing, and go build must not ask it then.
ifneq ($(wildcard .git),)
ifneq ($(shell git rev-parse --git-dir >/dev/null 2>&1 && echo ok),ok)
export GOFLAGS := $(strip $(shell $(GO) env GOFLAGS) -buildvcs=false)
endif
endif

TOOL := $(GO) tool -modfile=tools.mod
BUF  := $(TOOL) buf
# A module of its own: a server to compare with, which nobody needs who builds this one.
JETSTREAM := test/bench/jetstream

# To be set on the command line: make test PKG=./board TESTFLAGS='-run Fold -v'
PKG       ?= ./...
TESTFLAGS ?=
ARGS      ?=
COUNT     ?= 10
FUZZTIME  ?= 60s
DURATION  ?= 2m
SEED      ?=
BASE      ?= main
BENCH     ?= .
BENCHTIME ?= 200ms

##@ Every day

.PHONY: run
run: build ## Run the server from source (ARGS='--addr 127.0.0.1:9000')
	exec bin/collaboard serve $(ARGS)

.PHONY: build
build: page ## Build bin/collaboard, static and without local paths
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/collaboard ./cmd/collaboard

# With PKG or TESTFLAGS it is Go's tests alone. They come last: what they print at the end is then the end of all.
.PHONY: test
test: $(if $(TESTFLAGS)$(filter-out ./...,$(PKG)),,deps web-test) go-test ## Run all tests, with the race detector and in random order (PKG=./... TESTFLAGS=)

.PHONY: go-test
go-test: go-deps
	$(GO) test -race -shuffle=on $(TESTFLAGS) $(PKG)

.PHONY: lint
lint: ## Run the linters of .golangci.yml
	$(TOOL) golangci-lint run

.PHONY: fmt
fmt: ## Format Go and protobuf sources
	$(TOOL) golangci-lint fmt
	$(BUF) format -w

.PHONY: generate
generate: ## Make gen/ anew from api/, after formatting api/
	$(BUF) format -w
	$(BUF) generate --clean

.PHONY: tidy
tidy: ## Tidy go.mod and tools.mod
	$(GO) mod tidy
	$(GO) mod -C $(JETSTREAM) tidy
	@scripts/tidy-tools

##@ Deeper

.PHONY: race
race: go-deps ## Run the tests COUNT times over, to find what fails rarely (COUNT=10 PKG=./...)
	$(GO) test -race -shuffle=on -count=$(COUNT) $(TESTFLAGS) $(PKG)

.PHONY: fuzz
fuzz: go-deps ## Run every fuzz target for FUZZTIME (FUZZTIME=60s)
	@scripts/fuzz $(FUZZTIME)

.PHONY: bench
bench: go-deps ## Measure the server against its own databases and NATS JetStream, and print the ratios (ARGS='--json FILE')
	$(GO) run ./test/bench $(ARGS)

.PHONY: robustness
robustness: go-deps ## Break servers and databases under load, and check what clients saw (DURATION=2m SEED=)
	$(GO) run ./test/robustness --duration $(DURATION) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: robustness-soak
robustness-soak: go-deps ## Let a server work for DURATION=30m, and see that memory and goroutines do not grow
	$(GO) run ./test/robustness soak --duration $(DURATION) $(if $(SEED),--seed $(SEED)) $(ARGS)
robustness-soak: DURATION = 30m

.PHONY: microbench
microbench: go-deps ## Run the Go benchmarks, COUNT=1 by default (BENCH=. BENCHTIME=200ms PKG=./...)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -benchtime $(BENCHTIME) -count=$(COUNT) $(PKG)
microbench: COUNT = 1

.PHONY: bench-compare
bench-compare: go-deps ## Compare them with those of BASE=main, in COUNT=6 rounds (BENCH=. BENCHTIME=200ms PKG=./...)
	@BASE=$(BASE) COUNT=$(COUNT) BENCH='$(BENCH)' BENCHTIME=$(BENCHTIME) scripts/bench-compare $(PKG)
bench-compare: COUNT = 6

.PHONY: cover
cover: go-deps ## Run the tests and write build/cover.html
	@mkdir -p build
	$(GO) test -coverprofile=build/cover.out -coverpkg=$$($(GO) list ./... | grep -v /gen/ | paste -sd,) $(PKG)
	$(GO) tool cover -html=build/cover.out -o build/cover.html
	@$(GO) tool cover -func=build/cover.out | tail -n 1

.PHONY: vuln
vuln: ## Look for known vulnerabilities in what is called (reads the Go vulnerability database)
	$(TOOL) govulncheck ./...

##@ Before a commit

.PHONY: verify
verify: check test ## Everything CI runs: check, then test

.PHONY: check
check: check-modules check-generated check-proto check-breaking check-format check-guarantees vet lint web-check ## All that is checked but the tests

.PHONY: check-modules
check-modules:
	@echo 'check: go.mod and tools.mod are tidy'
	@$(GO) mod tidy -diff
	@$(GO) mod -C $(JETSTREAM) tidy -diff
	@scripts/tidy-tools -diff

.PHONY: check-generated
check-generated:
	@echo 'check: gen/ is what api/ generates'
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
		$(BUF) generate -o "$$tmp"; \
		diff -ru gen "$$tmp/gen" || { echo 'check: gen/ is not current: make generate' >&2; exit 1; }

.PHONY: check-proto
check-proto:
	@echo 'check: buf lint, buf format'
	@$(BUF) lint
	@$(BUF) format -d --exit-code

.PHONY: check-breaking
check-breaking:
	@scripts/breaking $(BUF)

.PHONY: check-format
check-format:
	@echo 'check: gofumpt'
	@files=$$($(TOOL) gofumpt -l .); \
		if [[ -n $$files ]]; then echo "check: not formatted: make fmt"; echo "$$files"; exit 1; fi >&2

.PHONY: check-guarantees
check-guarantees:
	@echo 'check: every test that docs/guarantees.md names exists'
	@grep -o 'Test[A-Z][A-Za-z0-9]*' docs/guarantees.md | sort -u | while read -r name; do \
		grep -rqs "^func $$name(t \*testing.T)" --include='*_test.go' . || { echo "check: no $$name" >&2; exit 1; }; done

.PHONY: vet
vet:
	$(GO) vet ./...
	$(GO) vet -C $(JETSTREAM) ./...

##@ Browsers (Node 20.19 or newer, and npm)

.PHONY: web
web: web/page/dist/index.html ## Build the whiteboard page, for the server to be built with

web/node_modules/.package-lock.json: web/package-lock.json
	npm ci --prefix web
	@touch $@

# A test is no source, and neither is what a build leaves.
web/page/dist/index.html: web/node_modules/.package-lock.json $(shell find web/page web/sdk -type f \
		-not -path '*/node_modules/*' -not -path '*/test/*' -not -path 'web/page/dist/*' -not -name '*.go' -not -name '*.md')
	npm run build --silent --prefix web/page

# The page where what it needs is there, or can be had. Without it the server works all the same, and says how to build it.
.PHONY: page
page:
	@if ! scripts/deps --have-node; then \
		echo 'page: not built: it needs Node 20.19 or newer, and npm (as root on Debian: scripts/deps node); then: make web build'; \
	elif ! npm_config_fetch_retry_mintimeout=1000 $(MAKE) --silent --no-print-directory web/node_modules/.package-lock.json; then \
		echo "page: not built: npm could not install what it needs, for the reason above; once it can: make web build"; \
	else $(MAKE) --silent --no-print-directory web; fi

.PHONY: web-generate
web-generate: web/node_modules/.package-lock.json ## Make web/sdk/src/gen anew from api/
	$(BUF) generate --template web/buf.gen.yaml --clean

.PHONY: web-check
web-check: web/node_modules/.package-lock.json ## Check that generated TypeScript is current, and all types
	@echo 'check: web/sdk/src/gen is what api/ generates, and all types'
	@tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
		$(BUF) generate --template web/buf.gen.yaml -o "$$tmp"; \
		diff -ru web/sdk/src/gen "$$tmp/web/sdk/src/gen" || { echo 'check: not current: make web-generate' >&2; exit 1; }
	@npm run check --silent --prefix web

.PHONY: web-test
web-test: go-deps web ## Test web/ in Node and in Chromium, against servers that the tests build and start
	npm test --silent --prefix web

##@ Housekeeping

.PHONY: deps
deps: ## Install what the tests need outside of Go (Debian, as root), or say what is missing
	@scripts/deps go web

.PHONY: go-deps
go-deps:
	@scripts/deps go

.PHONY: tools
tools: ## Build the pinned tools into the build cache, and list them
	@for tool in $$($(GO) list -modfile=tools.mod tool); do $(TOOL) -n "$$tool" >/dev/null; done
	@$(GO) list -modfile=tools.mod -f '{{.ImportPath}} {{.Module.Version}}' tool

.PHONY: clean
clean: ## Remove what was built and installed here
	rm -rf bin build web/node_modules web/page/dist/assets web/page/dist/index.html

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
