#!/bin/bash
# Scores an OCI runtime with the validation programs of opencontainers/runtime-tools.
#
#   oci-validation.sh SOURCE RUNTIME...      SOURCE: a checkout of runtime-tools
#
# The programs are built in SOURCE (GO=/path/to/go; its go.mod says which it needs) unless they are
# there. Each runs by itself; one without output counts as one not ok. Results stay in
# SOURCE/results/RUNTIME. As root. docs/davit-oci.md has the figures and what they mean.
set -eu
cd "$1"
shift
[ $# -gt 0 ] || { echo "usage: oci-validation.sh SOURCE RUNTIME..." >&2; exit 2; }
go=${GO:-go}
export GOFLAGS=-mod=vendor
[ -x runtimetest ] ||
  "$go" build -tags 'netgo osusergo' -ldflags '-extldflags -static' -o runtimetest ./cmd/runtimetest
for source in validation/*/*.go; do
  program=${source%.go}.t
  case "$source" in validation/util/*) continue ;; esac
  [ -x "$program" ] || "$go" build -o "$program" "./$(dirname "$source")"
done
for runtime in "$@"; do
  results=results/$(basename "$runtime")
  mkdir -p "$results"
  for program in validation/*/*.t; do
    name=$(basename "$program" .t)
    RUNTIME=$runtime timeout 120 "$program" >"$results/$name.tap" 2>"$results/$name.err" </dev/null || true
  done
  awk -v name="$runtime" '
    function count(line) { if (tolower(line) ~ /# *skip/) skipped++; else if (line ~ /^not/) bad++; else good++ }
    FNR == 1 { files++ }
    /^(not )?ok/ { count($0); if (!(FILENAME in seen)) { seen[FILENAME] = 1; spoke++ } }
    END { printf "%s: %d ok, %d not ok, %d skipped\n", name, good, bad + ARGC - 1 - spoke, skipped }
  ' "$results"/*.tap
done
