# The two commands that a new user needs, and what developers need besides.
#
#   make demo         the main job on a real cluster of its own (CLUSTER=current: on that of your kubeconfig)
#   make demo-down    ends it, and leaves nothing behind
#   make test         every check and every test
#   make mutants      breaks the lifecycle in some 1,500 ways and lets the tests notice (needs cargo-mutants; over an hour)
#   make bench        measures Lockbox and writes benches/RESULTS.md: an hour (QUICK=1: three minutes, into target/bench-quick)

# What is built besides Rust code (etcd, kube-apiserver, kubectl, helm…) is kept in a cache outside the checkout:
# $LOCKBOX_CACHE, or lockbox in $XDG_CACHE_HOME or ~/.cache.

CLUSTER ?= own
CARGO ?= cargo
# Anything but empty: a tenth of it or less.
QUICK ?=
# Sections of the benchmarks and further options: SECTIONS="latency --rate 10".
SECTIONS ?= all

.PHONY: help demo demo-down test bench lint unit mutants kubernetes crds

help:
	@sed -n 's/^#   //p' Makefile

demo:
	@CLUSTER=$(CLUSTER) demo/up.sh

demo-down:
	@CLUSTER=$(CLUSTER) demo/down.sh

# Quick checks first: they say soonest what is wrong.
test: lint kubernetes
	$(CARGO) test --workspace --locked --no-run
	@CARGO="$(CARGO)" tools/test.sh

lint:
	@command -v $(CARGO) >/dev/null || { echo "cargo is missing: install Rust from rustup.rs" >&2; exit 1; }
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

# Builds both versions of Kubernetes and the mail server that the tests use; instant when they are there.
kubernetes:
	$(CARGO) run --locked --quiet -p lockbox-cluster -- build

# Servers run as they do by default: a GOGC of the environment would change what is measured.
bench:
	$(CARGO) build --locked --profile bench-operator -p lockbox -p lockbox-bench
	@env -u GOGC "$${CARGO_TARGET_DIR:-target}/bench-operator/lockbox-bench" $(SECTIONS) $(if $(QUICK),--quick)

# Only what needs no API server: seconds.
unit:
	$(CARGO) test --locked -p lockbox-api -p lockbox-lifecycle -p lockbox-messages
	$(CARGO) test --locked -p lockbox --lib --test pure

# Writes the CustomResourceDefinitions after a change of crates/api/src.
crds:
	$(CARGO) run --locked --quiet -p lockbox -- crds --out crds

# Results go into mutants.out; what survives is a missing test, or is listed with its reason in .cargo/mutants.toml.
mutants:
	@command -v cargo-mutants >/dev/null || { echo "cargo-mutants is missing: cargo install --locked cargo-mutants" >&2; exit 1; }
	PROPTEST_CASES=64 $(CARGO) mutants --package lockbox-lifecycle --colors never
