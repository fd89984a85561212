#!/usr/bin/env bash
# Runs every test that `cargo test` knows, in two lanes: make test
#
# The tests of tests/exclusive wait more than they work (for deadlines, and for clusters of their own), so they run beside
# all others, which work more than they wait.
set -uo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

"$cargo" test --no-fail-fast --locked -p lockbox --test exclusive -- --test-threads=6 >"$log" 2>&1 &
exclusive=$!
trap 'kill "$exclusive" 2>/dev/null; rm -f "$log"; exit 130' INT TERM

failed=0
# The quickest first.
"$cargo" test --no-fail-fast --locked -p lockbox-api -p lockbox-lifecycle -p lockbox-activity -p lockbox-messages || failed=1
"$cargo" test --no-fail-fast --locked -p lockbox --lib --bins --test pure --test delivery || failed=1
# Several at a time also where there are few processors: each waits for an API server most of the time.
"$cargo" test --no-fail-fast --locked -p lockbox --test cluster --test chart --test oldest -- --test-threads=4 || failed=1
"$cargo" test --no-fail-fast --locked -p lockbox-cluster -p lockbox-bench || failed=1

echo "Waiting for tests/exclusive, which runs beside the others; $(grep -c '^test .* ok$' "$log") of its tests are through."
wait "$exclusive" || failed=1
cat "$log"
exit "$failed"
