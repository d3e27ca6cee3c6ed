#!/bin/bash
# Runs Debian's dockerd and docker on a daemon of its own: davitd, or containerd with
# DAVIT_TEST_TARGET=containerd. No system service is touched: dockerd's data, sockets and pid file lie in
# a fresh directory, without bridge and without firewall rules.
#
#   dockerd.sh [SECTION...]      the sections are the functions check_SECTION in docker-checks.sh
#
# DAVIT_TEST_DOCKER is a directory with another dockerd and docker, to be used instead of Debian's.
# One line per check; the last line is "N passed, N failed"; exit status 1 when one failed.
set -u -o pipefail
export LC_ALL=C
unset CONTAINERD_ADDRESS CONTAINERD_NAMESPACE DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG

here=$(cd "$(dirname "$0")" && pwd)
BIN=$(realpath "$here/../../bin")
TARGET=${DAVIT_TEST_TARGET:-davit}
DOCKERD=${DAVIT_TEST_DOCKER:-/usr/sbin}/dockerd
DOCKER=${DAVIT_TEST_DOCKER:-/usr/bin}/docker
for program in "$DOCKERD" "$DOCKER"; do
  [ -x "$program" ] && continue
  echo "skipped: no $program (Debian's docker.io is not installed)"
  echo "0 passed, 0 failed"
  exit 0
done

DIR=$(mktemp -d /tmp/davit-dockerd.XXXXXX)
TMP=$DIR/tmp
ALL_CAPABILITIES=000001ffffffffff
ADDRESS=$DIR/c.sock
HOST=unix://$DIR/docker.sock
# Containers in this cgroup are this run's.
PARENT=davit-dockerd-$$
export DOCKER_CONFIG=$DIR/config HOME=$DIR
mkdir -p "$TMP" "$DIR/config"
# Containers run as other users, too.
chmod 0711 "$DIR"

. "$here/lib.sh"
. "$here/docker-checks.sh"

# ---- the daemons --------------------------------------------------------------------------------

printf 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n' >"$DIR/c.toml"
echo '{}' >"$DIR/docker.json"

DAEMON=
start_daemon() {
  local program=("$BIN/davitd")
  [ "$TARGET" = davit ] || program=(containerd --config "$DIR/c.toml")
  PATH=$BIN:$PATH setsid "${program[@]}" --address "$ADDRESS" --root "$DIR/root" --state "$DIR/state" \
    >>"$DIR/daemon.log" 2>&1 </dev/null &
  DAEMON=$!
  NS=moby within 20 ctr version || { echo "$TARGET does not start: $(tail -3 "$DIR/daemon.log")"; exit 1; }
}

DOCKERD_PID=
# Containers outlive dockerd: davitd and the shims are what this is about.
start_dockerd() {
  setsid "$DOCKERD" --config-file "$DIR/docker.json" --containerd "$ADDRESS" --host "$HOST" --live-restore \
    --data-root "$DIR/docker" --exec-root "$DIR/run" --pidfile "$DIR/docker.pid" --cgroup-parent "$PARENT" \
    --bridge=none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false \
    --add-runtime "other=$(command -v runc)" >>"$DIR/docker.log" 2>&1 </dev/null &
  DOCKERD_PID=$!
  within 30 docker version || { echo "dockerd does not start: $(tail -3 "$DIR/docker.log")"; exit 1; }
}

# stop PID SIGNAL: and waits for its end.
stop() {
  [ -n "$1" ] || return 0
  kill "-$2" "$1" 2>/dev/null
  wait "$1" 2>/dev/null
}

# ---- helpers ------------------------------------------------------------------------------------

docker() { timeout --kill-after=1 "${DOCKER_TIMEOUT:-30}" "$DOCKER" --host "$HOST" "$@"; }

# on_tty [STEP...] -- DOCKER ARGUMENTS...: docker on a terminal of 33 rows and 77 columns (see terminal.py).
on_tty() {
  local steps=()
  while [ "$1" != -- ]; do steps+=("$1"); shift; done
  shift
  timeout --kill-after=5 60 python3 "$here/terminal.py" 33 77 ${steps[@]+"${steps[@]}"} -- "$DOCKER" --host "$HOST" "$@"
}

# run_it [OPTION...] -- COMMAND...: in a container that goes when it ends.
run_it() {
  local options=()
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  docker run --rm --network none ${options[@]+"${options[@]}"} bb "$@"
}
# up NAME [OPTION...] [-- COMMAND...]: in the background; without a command it sleeps.
up() {
  local name=$1 options=()
  shift
  while [ $# -gt 0 ] && [ "$1" != -- ]; do options+=("$1"); shift; done
  shift $(($# > 0))
  [ $# -gt 0 ] || set -- sleep 1000
  docker run --detach --network none --name "$name" ${options[@]+"${options[@]}"} bb "$@" >/dev/null
}
# privileged CHECK...: runc gives all capabilities or none; davit gives those that there are.
privileged() {
  if [ "$TARGET" = davit ] || [ "$(sed -n 's/^CapBnd:\t//p' /proc/self/status)" = "$ALL_CAPABILITIES" ]; then "$@"
  else echo "skip  $2: this machine does not give all capabilities"; fi
}
field() { docker inspect --format "{{$2}}" "$1"; }
is() { [ "$(field "$1" "$2")" = "$3" ]; }
logs_have() { docker logs "$1" 2>&1 | grep -Eq -- "$2"; }
drop() { docker rm --force --volumes "$@" >/dev/null 2>&1; }

# limit NAME V1CONTROLLER V1FILE V2FILE: the container's value.
limit() {
  local id
  id=$(field "$1" .Id)
  # The parent may lie in the daemon's own cgroup.
  if [ -d "/sys/fs/cgroup/$2" ]; then find "/sys/fs/cgroup/$2" -path "*/$PARENT/$id/$3" -exec head -1 {} +
  else find /sys/fs/cgroup -path "*/$PARENT/$id/$4" -exec head -1 {} +; fi
}

left_behind() {
  # dockerd's own are not the daemon's.
  grep " $DIR/" /proc/self/mountinfo | cut -d' ' -f5 | grep -vE "^$DIR/(docker|run/netns/default)\$"
  find /sys/fs/cgroup -mindepth 2 -type d -path "*/$PARENT/*" 2>/dev/null
  find "$DIR/state" -mindepth 3 -path "*/moby/*" 2>/dev/null
  pgrep -af -- "containerd-shim.*$DIR" || true
}
nothing_left() { [ -z "$(left_behind)" ]; }

finish() {
  local ids
  ids=$(docker ps --all --quiet 2>/dev/null)
  # shellcheck disable=SC2086 # a list of ids
  [ -z "$ids" ] || drop $ids
  stop "$DOCKERD_PID" TERM
  if within 10 nothing_left; then pass "nothing is left behind"
  else fail "nothing is left behind" "$(left_behind)"; fi
  stop "$DAEMON" TERM
  if [ "$FAILED" -gt 0 ]; then
    printf -- '--- last lines of %s\n' "$TARGET"
    tail -15 "$DIR/daemon.log"
    printf -- '--- last lines of dockerd\n'
    tail -15 "$DIR/docker.log"
  fi
  find /sys/fs/cgroup -depth -type d -name "$PARENT" -exec rmdir {} + 2>/dev/null
  grep " $DIR/" /proc/self/mountinfo | cut -d' ' -f5 | sort -r | xargs -r umount
  rm -rf "$DIR"
  printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
  [ "$FAILED" -eq 0 ] || exit 1
}

# A root file system with busybox and three users, to be imported.
make_rootfs() {
  local name
  mkdir -p "$1"/{bin,etc,tmp,proc,sys,dev,home}
  cp /bin/busybox "$1/bin/"
  for name in $(busybox --list); do ln -sf busybox "$1/bin/$name"; done
  rm "$1/bin/busybox" && cp /bin/busybox "$1/bin/"
  printf 'root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n' >"$1/etc/passwd"
  printf 'root:x:0:\nuser:x:1000:\nextra:x:2000:user\n' >"$1/etc/group"
  chmod 1777 "$1/tmp"
}

trap finish EXIT
trap 'exit 130' INT TERM

start_daemon
start_dockerd
make_rootfs "$DIR/rootfs"
tar -C "$DIR/rootfs" -cf "$DIR/bb.tar" .
docker import "$DIR/bb.tar" bb >/dev/null || { echo "cannot import the test image"; exit 1; }
[ $# -gt 0 ] || set -- images run exec logs terminals limits security mounts control events restarts
for section in "$@"; do "check_$section"; done
