#!/bin/bash
# The static checks, each with a line; all run, and the script fails when any did.
#
#   check.sh [NAME ...]     (default: all)
set -u
cd "$(dirname "$0")/.."
bin=node_modules/.bin
failed=()

check() {
  local name=$1 start=$SECONDS
  shift
  if [ ${#only[@]} -gt 0 ] && [[ " ${only[*]} " != *" $name "* ]]; then return; fi
  if output=$("$@" 2>&1); then
    printf 'ok    %-14s %ss\n' "$name" $((SECONDS - start))
  else
    printf 'FAIL  %-14s\n%s\n' "$name" "$output"
    failed+=("$name")
  fi
}

only=("$@")

types() { "$bin/tsc" -p . --noEmit; }
lint() { "$bin/oxlint" --type-aware --deny-warnings .; }
format() { "$bin/prettier" --log-level warn --check '**/*.{ts,mjs}'; }
arrows() { node scripts/arrows.mjs; }
generated() { node scripts/gen.mjs --check && { [ ! -d dist/cli ] || node scripts/cli-docs.mjs --check; }; }
dead_code() { "$bin/knip" --no-progress; }

wire() {
  local tables=../shared/wire/check.mjs
  if [ ! -f "$tables" ]; then
    echo "skipped: no $tables beside this checkout"
    return 0
  fi
  node "$tables" proto
}

cpp_format() { git ls-files '*.cc' '*.h' | xargs clang-format-19 --dry-run --Werror; }

cpp_tidy() {
  [ -f build/native/compile_commands.json ] || { echo "run make native first"; return 1; }
  # Debian's rapidjson has a template that clang 19 refuses unless it is instantiated.
  local args=(--extra-arg=-Wno-unknown-warning-option --extra-arg=-fdelayed-template-parsing
    --extra-arg=-Wno-delayed-template-parsing-in-cxx20)
  git ls-files 'native/*.cc' 'shim/*.cc' | grep -v _test.cc |
    xargs -P "$(nproc)" -n 4 clang-tidy-19 -p build/native --quiet "${args[@]}" >build/clang-tidy.log 2>&1 && return 0
  grep -A4 'error:' build/clang-tidy.log || tail -n 5 build/clang-tidy.log
  return 1
}

static_link() {
  local bad=0 name
  for name in containerd-shim-davit-v1 davit-oci; do
    [ -f "bin/$name" ] || continue
    if readelf -d "bin/$name" | grep -q NEEDED || readelf -l "bin/$name" | grep -q INTERP; then
      echo "bin/$name is linked dynamically"
      bad=1
    fi
  done
  [ -f bin/containerd-shim-davit-v1 ] || { echo "no bin/containerd-shim-davit-v1: run make native first"; bad=1; }
  return $bad
}

length() {
  # TypeScript 400 lines, C++ 500: see docs/architecture.md.
  git ls-files '*.ts' '*.cc' '*.h' | grep -v -E '(^|/)gen/|\.test\.ts$|_test\.cc$|/suite\.ts$' | xargs wc -l |
    awk '$2 != "total" && (($2 ~ /\.ts$/ && $1 > 400) || ($2 !~ /\.ts$/ && $1 > 500)) {print $2 ": " $1 " lines"; bad = 1} END {exit bad}'
}

shell() { git ls-files '*.sh' .ci/run | xargs -n 1 bash -n; }

check types types
check lint lint
check format format
check arrows arrows
check generated generated
check wire wire
check dead-code dead_code
check length length
check shell shell
check cpp-format cpp_format
check cpp-tidy cpp_tidy
check static-link static_link

if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}"
  exit 1
fi
