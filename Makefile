# Everything that a developer calls. `make help` lists it; `make test` is what CI runs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

export GOFLAGS ?= -buildvcs=false
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LINT := golangci-lint-v2.15.0

# What the tests need from Debian: the BPF compiler and its headers, a C compiler for cgo and the race detector, the linkers gold and lld,
# database servers.
PACKAGES := ca-certificates clang-19 llvm-19 libbpf-dev linux-libc-dev gcc libc6-dev binutils lld postgresql mariadb-server-core
# The tests start database servers of their own: installing PostgreSQL is not to make a database that the system serves.
CREATECLUSTER := /etc/postgresql-common/createcluster.conf
# What the virtual machines of test-kernel need. virtiofsd is in qemu-system-common up to bookworm, in a package of its own later.
KERNEL_PACKAGES = qemu-system-x86 qemu-system-arm qemu-system-common xz-utils $(shell test -e /usr/lib/qemu/virtiofsd || apt-cache pkgnames virtiofsd | grep -x virtiofsd)
FUZZTIME ?= 5m
GENERATED := find . -name '*_bpfel.go' -o -name '*_bpfel.o'

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

generate: packages ## compile the BPF programs (clang-19)
	go generate ./...

build: ## bin/remora, static
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/remora ./cmd/remora

test: packages generated lint vet unit matrix e2e kernels fuzz-short ## all checks and tests, as CI runs them; needs root

check: test ## the same as test

unit: ## unit tests, with the race detector but for process, whose parsers it slows down to minutes
	{ go test -json -timeout 40m ./process/...; go test -json -timeout 40m -race $$(go list ./... | grep -vE '/(process|test/.*)$$'); } | go run ./internal/testreport

matrix: ## what the probes declare, in programs of ten versions of Go in all forms, against DWARF
	go test -json -timeout 40m ./test/matrix | go run ./internal/testreport

real: build ## remora inspect on programs of Debian and of this machine; downloads them
	REMORA_BIN=$(CURDIR)/bin/remora go test -json -count=1 ./test/real | go run ./internal/testreport
	go test -run '^$$' -bench Analyse ./test/real

# Before 1.27, Go may fail a fuzz test for having come to the end of its time (golang/go#75804).
fuzz: export GOTOOLCHAIN = go1.27.4
fuzz: ## every fuzz test in turn, each for FUZZTIME
	@for file in $$(git grep -l '^func Fuzz' -- '*_test.go'); do
		for test in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' $$file); do
			go test -run '^$$' -fuzz "^$$test$$" -fuzztime $(FUZZTIME) ./$$(dirname $$file) | grep -v '^fuzz: elapsed'
		done
	done

fuzz-short: # a part of make test
	@$(MAKE) fuzz FUZZTIME=2s

e2e: build ## tests from outside, with programs of several Go versions; needs root
	REMORA_BIN=$(CURDIR)/bin/remora go test -json -count=1 -timeout 40m ./test/e2e/... | go run ./internal/testreport

SOAKTIME ?= 1h

soak: build ## a relay of gRPC under load for SOAKTIME: spans, memory, maps; needs root
	REMORA_BIN=$(CURDIR)/bin/remora go test -v -count=1 -timeout 0 -run 'TestGRPCSoak$$' ./test/e2e -soak $(SOAKTIME)

grpc: build ## the tests of gRPC with all its versions, not with six; needs root
	REMORA_BIN=$(CURDIR)/bin/remora go test -json -count=1 -timeout 40m -run GRPC ./test/e2e -grpc-all | go run ./internal/testreport

# What is not there is a skip, which says why.
test-kernel: ## all tests under other kernels, in virtual machines; needs root
	$(MAKE) packages PACKAGES='$(KERNEL_PACKAGES)'
	go test -json -count=1 -timeout 3h $(SHORT) ./test/kernel | go run ./internal/testreport

kernels: # the part of test-kernel that make test has time for: of the end-to-end tests, those that this machine may not be able to run
	@$(MAKE) test-kernel SHORT=-short

# Hours in virtual machines: bodies to 1 MB, headers to 60 KB, the garbage collector's own checks on, both ends compare.
storm: ## 100,000 requests with trace context written into them, each write failing in turn (Linux 6.1), and 100,000 steered (7.3); needs root
	$(MAKE) packages PACKAGES='$(KERNEL_PACKAGES)'
	storm() { go test -json -count=1 -timeout 6h ./test/kernel -run "TestKernels/$$1\$$/e2e" -inside "^$$2\$$" -requests $$3 -most 350m; }
	{ storm 6.1-amd64 TestInjectDamagesNothing 1540; storm 7.3-amd64-lockdown=integrity TestSteerStorm 10000; } | go run ./internal/testreport

pgo: build ## the tests of programs built with a profile, with old versions of Go, too; needs root
	REMORA_BIN=$(CURDIR)/bin/remora go test -json -count=1 -timeout 40m -run '^Test(HTTPServer|HTTP2Listeners|GRPCClient|SQL)$$/pgo' ./test/e2e -pgo-all | go run ./internal/testreport

bench: build ## what tracing costs servers and a client, against the floor; needs root
	go run ./internal/bench

demo: build ## a small shop under load, traced; needs root
	go run ./test/demo

inspect: build ## what remora finds in a program: make inspect TARGET=FILE|PID
	bin/remora inspect $(TARGET)

doctor: build ## what this machine can do
	bin/remora doctor

lint: .cache/bin/$(LINT) ## golangci-lint
	.cache/bin/$(LINT) run ./...

vet: ## go vet
	go vet ./...

fmt: ## format all Go code
	gofmt -w $$(git ls-files '*.go')

generated: packages ## fail when the committed BPF objects are not what clang-19 makes of the sources
	@before=$$($(GENERATED) | sort | xargs sha256sum)
	go generate ./...
	after=$$($(GENERATED) | sort | xargs sha256sum)
	diff <(echo "$$before") <(echo "$$after") || { echo "generated files were out of date: commit what make generate wrote"; exit 1; }

packages: # install what is missing
	@missing=$$(for p in $(PACKAGES); do dpkg -s $$p >/dev/null 2>&1 || echo $$p; done)
	[ -z "$$missing" ] || [ -e $(CREATECLUSTER) ] || { mkdir -p $(dir $(CREATECLUSTER)); echo 'create_main_cluster = false' > $(CREATECLUSTER); }
	[ -z "$$missing" ] || { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing; }

# Compiles for minutes, once.
.cache/bin/$(LINT):
	GOBIN=$(CURDIR)/.cache/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT:golangci-lint-%=%)
	mv .cache/bin/golangci-lint $@

.ONESHELL:
.PHONY: help generate build test check unit matrix real fuzz fuzz-short e2e test-kernel kernels storm soak grpc pgo bench demo inspect doctor lint vet fmt generated packages
