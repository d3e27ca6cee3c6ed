#!/bin/bash
# Drives Debian's own ctr against a daemon: containerd or davitd, with the same expectations.
#
#   ctr.sh                               a daemon of its own (DAVIT_TEST_TARGET=containerd|davit)
#   ctr.sh SOCKET IMAGES [SECTION...]    the daemon that listens there
#
# DAVIT_TEST_CONTAINERD: a directory with another ctr and containerd than those in PATH.
# IMAGES is a directory of archives (harness/write-images.ts), SECTION a file of checks/.
# One line per check; the last line is "N passed, N failed"; exit status 1 when one failed.
set -u -o pipefail
# Output is compared, so it must not depend on the caller's locale or settings.
export LC_ALL=C
unset CONTAINERD_ADDRESS CONTAINERD_NAMESPACE CONTAINERD_SNAPSHOTTER
PATH=${DAVIT_TEST_CONTAINERD:+$DAVIT_TEST_CONTAINERD:}$PATH

here=$(cd "$(dirname "$0")" && pwd)
if [ $# -eq 0 ]; then exec node "$here/../../dist/integration/interop/main.js"; fi
ADDRESS=$1
IMAGES=${2:?usage: ctr.sh [SOCKET IMAGES [SECTION...]]}
shift 2

BUSYBOX=docker.io/test/busybox:latest
LAYERED=docker.io/test/layered:latest
PLATFORMS=docker.io/test/platforms:latest
USERIMAGE=docker.io/test/user:latest
NS=${CTR_TEST_NAMESPACE:-ctr-$$}
TMP=$(mktemp -d /tmp/davit-interop.XXXXXX)

. "$here/lib.sh"
trap finish EXIT
trap 'exit 130' INT TERM

if [ $# -eq 0 ]; then
  set -- basics images convert content snapshots leases containers run limits tasks runtimes checkpoints terminals logs events registry
fi
ctr image import "$IMAGES/busybox.tar" >/dev/null || { echo "cannot import the test image"; exit 1; }
for section in "$@"; do
  # shellcheck source=/dev/null
  . "$here/checks/$section.sh"
done
