#!/bin/sh
# Copies the built programs and the addon from the build tree to bin/, only where they changed.
set -eu
from=$1
to=$2
mkdir -p "$to"
for name in containerd-shim-davit-v1 davit-oci davit.node; do
  file=$(find "$from" -type f -name "$name" -print -quit)
  [ -n "$file" ] || continue
  cmp -s "$file" "$to/$name" && continue
  # A running shim keeps its old file.
  rm -f "$to/$name"
  if [ "$name" = davit.node ]; then cp "$file" "$to/$name"; else strip -o "$to/$name" "$file"; fi
done
