# make build   the web app and bin/trimtab
# make demo    build, then the whole life of a model on real flights
# make test    everything that must hold; installs what it needs under .cache/ and ui/node_modules/
# make test-heavy   models of PyTorch, TensorFlow and Keras in workers: some gigabytes, outside of what runs on every change
# make lint    formatting and static checks of Go, Python and TypeScript
# make bench   the numbers beside their peers, into bench/RESULTS.md
# make soak    kills on the demo's traffic, its whole year twice, then the concurrent tests again and again with the race detector

GO ?= go
PYTHON ?= python3
CACHE := $(CURDIR)/.cache
VENV := $(CACHE)/venv
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/trimtab-ml/trimtab/cli.version=$(VERSION)

# One set of flags for build and test, so that the C code of SQLite is compiled once.
export GOFLAGS := $(GOFLAGS) -mod=readonly -trimpath
export GOWORK := off
export CGO_ENABLED := 1

# One environment per version of the MLflow client, from its lock; files are hard links into one cache.
MLFLOW_CLIENTS := $(patsubst test/mlflow/requirements-%.lock,$(CACHE)/mlflow/%/installed,$(wildcard test/mlflow/requirements-*.lock))
REQUIREMENTS := $(wildcard engine/onnx/testdata/requirements.txt test/requirements.txt tools/requirements.txt)
UI_SOURCES := $(shell find ui/src ui/public ui/index.html ui/vite.config.ts ui/tsconfig.json ui/package.json -type f 2>/dev/null)
# Packages whose work is concurrency.
RACE := ./api/route ./api/inference/grpcdoor ./infra/... ./internal/... ./lifecycle/govern ./lifecycle/serve/... ./lifecycle/feedback ./lifecycle/monitor \
	./lifecycle/rollout ./server
# Packages whose tests lean on a catalog among other files: they run once with each.
ON_POSTGRES := ./api/inference ./api/native ./lifecycle/data ./lifecycle/feedback ./lifecycle/monitor ./lifecycle/serve ./server
SOAK_ROUNDS ?= 20

.PHONY: build demo test vet test-go test-race test-ui test-browser test-heavy r torch lint lint-go lint-python lint-ui bench soak clean ui python browser postgres mlflow-clients clients oracle

build: ui
	$(GO) build -ldflags "$(LDFLAGS)" -o bin/trimtab ./cmd/trimtab

demo: build
	bin/trimtab demo

# The web app is embedded. Without node the program builds too and serves a page that says so.
ui:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(CACHE)/ui.built; \
	else echo "npm is not installed: bin/trimtab will not have the web page"; fi

$(CACHE)/ui.installed: ui/package-lock.json
	@mkdir -p $(CACHE)
	npm --prefix ui ci --no-audit --no-fund --loglevel=error
	@touch $@

$(CACHE)/ui.built: $(CACHE)/ui.installed $(UI_SOURCES)
	npm --prefix ui run build
	@touch $@

# What shows a mistake soonest comes first.
test: vet test-go test-ui test-race test-browser

vet:
	$(GO) vet ./...
	$(GO) test ./test/house

test-go: python mlflow-clients clients postgres
	TRIMTAB_POSTGRES=required TRIMTAB_PYTHON=$(VENV)/bin/python $(GO) test -timeout 20m ./...
	TRIMTAB_POSTGRES=required TRIMTAB_TEST_CATALOG=postgres $(GO) test -timeout 20m $(ON_POSTGRES)

test-race:
	$(GO) test -race -timeout 20m $(RACE)
	$(GO) test -race -timeout 20m -run 'SameB' ./engine/learn ./engine/learn/forest ./engine/explain

# Its environments come from the network; the last run stands in bench/HEAVY.md.
test-heavy: r torch
	TRIMTAB_HEAVY=1 $(GO) test -count=1 -timeout 60m -run Heavy -v ./infra/worker

# R and an old PyTorch as Debian has them.
r:
	@command -v Rscript >/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends r-base-core; \
	else echo "R is needed for its tests: install it, or run as root on Debian"; exit 1; fi

torch:
	@/usr/bin/python3 -c "import torch" 2>/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-torch; \
	else echo "python3-torch is needed for the heavy tests: install it, or run as root on Debian"; exit 1; fi

test-ui: $(CACHE)/ui.installed
	npm --prefix ui test

test-browser: build browser
	node test/browser/run.mjs

python: $(VENV)/installed

$(VENV)/installed: $(REQUIREMENTS)
	@mkdir -p $(CACHE)
	$(PYTHON) -m venv --clear $(VENV) || { echo "python3 with venv is needed (Debian: python3-venv)"; exit 1; }
	$(VENV)/bin/pip install --quiet --disable-pip-version-check $(addprefix -r ,$(REQUIREMENTS))
	@touch $@

mlflow-clients: $(MLFLOW_CLIENTS)

$(CACHE)/mlflow/%/installed: test/mlflow/requirements-%.lock | $(VENV)/installed
	UV_CACHE_DIR=$(CACHE)/uv $(VENV)/bin/uv venv --quiet --clear --python $(PYTHON) $(@D)
	UV_CACHE_DIR=$(CACHE)/uv $(VENV)/bin/uv pip sync --quiet --require-hashes --link-mode hardlink --python $(@D)/bin/python $<
	@touch $@

# Clients of the model server other than MLflow's.
clients: $(CACHE)/clients/installed

$(CACHE)/clients/installed: test/clients/requirements.lock | $(VENV)/installed
	UV_CACHE_DIR=$(CACHE)/uv $(VENV)/bin/uv venv --quiet --clear --python $(PYTHON) $(@D)
	UV_CACHE_DIR=$(CACHE)/uv $(VENV)/bin/uv pip sync --quiet --require-hashes --link-mode hardlink --python $(@D)/bin/python $<
	@touch $@

# What golden files were made with and benchmarks run beside; no test needs it.
oracle: $(CACHE)/oracle/installed

$(CACHE)/oracle/installed: test/oracle/requirements.lock | $(VENV)/installed
	UV_CACHE_DIR=$(CACHE)/uv $(VENV)/bin/uv venv --quiet --clear --python $(PYTHON) $(@D)
	UV_CACHE_DIR=$(CACHE)/uv $(VENV)/bin/uv pip sync --quiet --require-hashes --link-mode hardlink --python $(@D)/bin/python $<
	@touch $@

browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; \
	else echo "chromium is needed for the browser test: install it, or run make test as root on Debian"; exit 1; fi

# Its tests start a server of their own, in a folder under /tmp.
postgres:
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql; \
	else echo "PostgreSQL is needed for the tests: install it, or run make test as root on Debian"; exit 1; fi

lint: lint-go lint-python lint-ui

lint-go: $(CACHE)/staticcheck
	@unformatted=$$(find . -name '*.go' -not -path './ui/node_modules/*' -not -path './.cache/*' -print0 | xargs -0 gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w is needed on:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(CACHE)/staticcheck ./...

# The linters are pinned by a module of their own, so that the program's go.mod holds what the program needs.
$(CACHE)/staticcheck: tools/go.mod tools/go.sum
	@mkdir -p $(CACHE)
	cd tools && $(GO) build -o $@ honnef.co/go/tools/cmd/staticcheck

lint-python: python
	$(VENV)/bin/ruff check .

lint-ui: $(CACHE)/ui.installed
	npm --prefix ui run check

bench: build python oracle
	@for folder in $(dir $(wildcard bench/*/main.go)); do echo "== $$folder"; $(GO) run ./$$folder || exit 1; done

soak:
	TRIMTAB_SOAK=1 $(GO) test -count=1 -v -timeout 60m -run 'Kill|TheSameSeed' ./test/life ./test/mlflow
	@for round in $$(seq $(SOAK_ROUNDS)); do echo "round $$round of $(SOAK_ROUNDS)"; \
		$(GO) test -race -count=1 -shuffle=on -timeout 30m $(RACE) || exit 1; done

clean:
	rm -rf bin $(CACHE) ui/node_modules
	find ui/dist -mindepth 1 -not -name .gitkeep -delete
