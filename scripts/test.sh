#!/bin/bash
# Runs test suites one after the other and ends with the line `N passed, N failed`.
#
#   test.sh check|cpp|fuzz|unit|integration|interop ...
set -u
cd "$(dirname "$0")/.."
passed=0
failed=0
failures=()

# Counts from a suite's output file; the suite's exit status decides whether it failed.
tally() {
  local name=$1 status=$2 ok=$3 bad=$4
  passed=$((passed + ok))
  if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
  failed=$((failed + bad))
  [ "$bad" -eq 0 ] || failures+=("$name")
  echo "== $name: $ok passed, $bad failed"
}

mocha() {
  local name=$1 out=build/test-$1.log
  shift
  node_modules/.bin/mocha "$@" 2>&1 | tee "$out"
  local status=${PIPESTATUS[0]}
  tally "$name" "$status" "$(sed -n 's/^ *\([0-9]\+\) passing.*/\1/p' "$out" | tail -1 | grep . || echo 0)" \
    "$(sed -n 's/^ *\([0-9]\+\) failing.*/\1/p' "$out" | tail -1 | grep . || echo 0)"
}

lines() {
  local name=$1 out=build/test-$1.log
  shift
  "$@" 2>&1 | tee "$out"
  local status=${PIPESTATUS[0]} last
  last=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$out" | tail -1)
  tally "$name" "$status" "$(echo "${last:-0 passed}" | grep -oE '^[0-9]+')" "$(echo "$last" | grep -oE '[0-9]+ failed' | grep -oE '[0-9]+' || echo 0)"
}

# What failed in a suite, from its output file: mocha's list, ctest's list, or the lines that say FAIL.
failures_of() {
  local out=build/test-$1.log
  [ -f "$out" ] || return 0
  sed -n '/^ *[0-9]\+ failing$/,$p; /^The following tests FAILED:/,$p' "$out" | head -200
  grep -A4 '^FAIL ' "$out" | head -100
}

needs_root() {
  [ "$(id -u)" = 0 ] && return 0
  echo "== $1: needs root, not run"
  failed=$((failed + 1))
  failures+=("$1")
  return 1
}

mkdir -p build
start=$SECONDS
for suite in "$@"; do
  echo "== $suite"
  case "$suite" in
  check)
    # All but clang-tidy, which takes longer than everything else: `make check` runs it.
    scripts/check.sh types lint format arrows generated wire dead-code length shell cpp-format static-link |
      tee build/test-check.log
    tally check "${PIPESTATUS[0]}" "$(grep -c '^ok ' build/test-check.log)" "$(grep -c '^FAIL ' build/test-check.log)"
    ;;
  cpp)
    needs_root cpp || continue
    ctest --test-dir build/native --output-on-failure 2>&1 | tee build/test-cpp.log
    status=${PIPESTATUS[0]}
    total=$(sed -n 's/.*tests failed out of \([0-9]\+\).*/\1/p' build/test-cpp.log)
    bad=$(sed -n 's/.* \([0-9]\+\) tests failed out of .*/\1/p' build/test-cpp.log)
    tally cpp "$status" $((${total:-0} - ${bad:-0})) "${bad:-0}"
    ;;
  fuzz)
    needs_root fuzz || continue
    scripts/fuzz.sh short 2>&1 | tee build/test-fuzz.log
    status=${PIPESTATUS[0]}
    total=$(sed -n 's/.*tests failed out of \([0-9]\+\).*/\1/p' build/test-fuzz.log)
    bad=$(sed -n 's/.* \([0-9]\+\) tests failed out of .*/\1/p' build/test-fuzz.log)
    tally fuzz "$status" $((${total:-0} - ${bad:-0})) "${bad:-0}"
    ;;
  unit) mocha unit --config .mocharc.json 'dist/{proto,services,client,spec,cli,native,bench}/**/*.test.js' ;;
  integration)
    needs_root integration || continue
    mocha integration --config .mocharc.json --timeout 120000 'dist/integration/**/*.test.js'
    ;;
  interop)
    needs_root interop || continue
    for script in integration/interop/*.sh; do
      [ -x "$script" ] && lines "interop-$(basename "$script" .sh)" "$script"
    done
    ;;
  *)
    echo "test.sh: no suite $suite" >&2
    exit 2
    ;;
  esac
done
echo "took $((SECONDS - start)) s"
# Once more at the end, where whoever sees but the end of a run can read them.
for name in "${failures[@]}"; do
  echo "== what failed in $name"
  failures_of "$name"
done
[ ${#failures[@]} -eq 0 ] || echo "failed suites: ${failures[*]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
