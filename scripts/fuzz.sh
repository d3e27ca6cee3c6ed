#!/bin/bash
# Fuzzes what parses bytes in C++ (fuzz/), with sanitizers, in a build folder of its own. Needs root.
#
#   fuzz.sh short               the corpus and a second of seeded mutations each, with the compiler of the build
#   fuzz.sh long MINUTES [TARGET ...]
#                               libFuzzer, one target after the other; needs Debian's clang-19 and
#                               libclang-rt-19-dev. What is found is left in build/fuzz-long/found.
set -eu
cd "$(dirname "$0")/.."

case "${1:-}" in
short)
  mkdir -p build/fuzz
  cmake -S fuzz -B build/fuzz -G Ninja >build/fuzz/cmake.log 2>&1 || { cat build/fuzz/cmake.log; exit 1; }
  cmake --build build/fuzz -j "${JOBS:-$(nproc)}" >build/fuzz/build.log 2>&1 || { tail -n 40 build/fuzz/build.log; exit 1; }
  exec ctest --test-dir build/fuzz --output-on-failure -j "${JOBS:-$(nproc)}"
  ;;
long)
  minutes=$2
  shift 2
  dir=build/fuzz-long
  mkdir -p $dir/found
  cmake -S fuzz -B $dir -G Ninja -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 >$dir/cmake.log
  cmake --build $dir -j "${JOBS:-$(nproc)}" | tail -n 1
  [ $# -gt 0 ] || set -- fuzz/corpus/*/
  failed=0
  for target in "$@"; do
    target=$(basename "$target")
    # Inputs that reach something new are kept here, and not in the repository.
    mkdir -p "$dir/inputs/$target"
    echo "== $target"
    "$dir/fuzz_$target" -max_total_time=$((minutes * 60)) -max_len=8192 -timeout=20 -rss_limit_mb=1500 \
      -artifact_prefix="$dir/found/$target-" -print_final_stats=1 "$dir/inputs/$target" "fuzz/corpus/$target" \
      >"$dir/$target.log" 2>&1 || failed=1
    grep -h -E 'number_of_executed|SUMMARY|Test unit written' "$dir/$target.log" || true
  done
  exit $failed
  ;;
*)
  echo 'usage: fuzz.sh short | long MINUTES [TARGET ...]' >&2
  exit 2
  ;;
esac
