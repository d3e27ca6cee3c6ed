#!/bin/bash
# The checks of ctr.sh with davit in ctr's place: it has ctr's commands, flags and output.
#
#   davit.sh [SECTION...]     against a daemon of its own (DAVIT_TEST_TARGET=containerd|davit)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
commands=$(mktemp -d /tmp/davit-as-ctr.XXXXXX)
trap 'rm -rf "$commands"' EXIT
ln -s "$here/../../bin/davit" "$commands/ctr"
PATH=$commands:$PATH node "$here/../../dist/integration/interop/main.js" "$@"
