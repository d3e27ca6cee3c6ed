#!/bin/bash
# From a build to the output of a real container: an image made on the spot, a daemon of our own in
# a private folder, one container, and nothing left behind.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
  echo "containers need root here: run 'sudo make quickstart'" >&2
  exit 1
fi

work=$(mktemp -d /tmp/davit-quickstart.XXXXXX)
daemon=
finish() {
  status=$?
  [ -z "$daemon" ] || { kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null; } || true
  if [ "$status" -ne 0 ] && [ -f "$work/davitd.log" ]; then
    echo "--- log of davitd" >&2
    tail -n 30 "$work/davitd.log" >&2
  fi
  rm -rf "$work"
  # What is left of a namespace are its empty cgroups.
  rmdir /sys/fs/cgroup/{*/,}"$CONTAINERD_NAMESPACE" 2>/dev/null || true
  exit "$status"
}
trap finish EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
export DAVIT_ADDRESS=$work/davit.sock
# Its own: the containers of another daemon on this machine may have the same names.
export CONTAINERD_NAMESPACE=quickstart-$$
davit=bin/davit

say "1. An image, made from the busybox on this machine"
scripts/make-image.sh "$work/busybox.tar"

say "2. A daemon, in $work"
bin/davitd --root "$work/root" --state "$work/state" --address "$DAVIT_ADDRESS" >"$work/davitd.log" 2>&1 &
daemon=$!
for _ in $(seq 100); do
  [ -S "$DAVIT_ADDRESS" ] && "$davit" version >/dev/null 2>&1 && break
  kill -0 "$daemon" 2>/dev/null || { daemon=; echo "davitd did not start" >&2; exit 1; }
  sleep 0.1
done
"$davit" version

say "3. davit images import"
"$davit" images import "$work/busybox.tar"

say "4. davit run --rm docker.io/library/busybox:latest hello"
"$davit" run --rm docker.io/library/busybox:latest hello /bin/sh -c '
  echo "Hello from a container: pid $$, host name $(hostname), uid $(id -u)"
  echo "My processes:"
  ps'

say "Done. Next: 'make install', then 'davitd &' and 'davit --help'."
