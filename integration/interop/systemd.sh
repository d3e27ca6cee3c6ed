#!/bin/bash
# Boots Debian's systemd as the first process of its own namespaces and has davit-oci run containers as
# scopes there: with cgroup v2 alone, and with limits by v1 (as on a hybrid machine).
#
#   systemd.sh [MODE...]      unified hybrid (default: both)
#
# DAVIT_TEST_RUNTIME is another runtime to run it with, as /usr/sbin/runc. The root is this machine's
# under an overlay in memory; its cgroups are below one that the script makes in every hierarchy.
# One line per check; the last line is "N passed, N failed"; exit status 1 when one failed.
set -u -o pipefail
export LC_ALL=C

here=$(cd "$(dirname "$0")" && pwd)
RUNTIME=$(realpath "${DAVIT_TEST_RUNTIME:-$here/../../bin/davit-oci}")
SYSTEMD=/lib/systemd/systemd
DIR=$(mktemp -d /tmp/davit-systemd.XXXXXX)
NAME=$(basename "$DIR")
PASSED=0 FAILED=0

# In the new namespaces: mounts the root and becomes systemd.
boot() {
  local mode=$1 memory=$DIR/memory root=$DIR/memory/root name controller
  mount --make-rprivate / && mount -t tmpfs tmpfs "$memory" && mkdir "$memory/upper" "$memory/work" "$root" || exit 1
  mount -t overlay overlay -o "lowerdir=/,upperdir=$memory/upper,workdir=$memory/work" "$root" || exit 1
  mount -t proc proc "$root/proc" && mount -t sysfs sysfs "$root/sys" || exit 1
  mount -t tmpfs -o mode=0755 tmpfs "$root/dev" || exit 1
  for name in run tmp; do mount -t tmpfs tmpfs "$root/$name" || exit 1; done
  for name in null zero full random urandom tty; do
    touch "$root/dev/$name" && mount --bind "/dev/$name" "$root/dev/$name" || exit 1
  done
  mkdir "$root/dev/shm" "$root/dev/pts" "$root/run/out"
  mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts" && ln -s pts/ptmx "$root/dev/ptmx" || exit 1
  if [ "$mode" = unified ]; then
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" || exit 1
  else
    mount -t tmpfs tmpfs "$root/sys/fs/cgroup" || exit 1
    while IFS=: read -r _ controller _; do
      name=${controller#name=}
      mkdir "$root/sys/fs/cgroup/${name:=unified}"
      case "$controller" in
      "") mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/$name" ;;
      name=*) mount -t cgroup -o "none,$controller" cgroup "$root/sys/fs/cgroup/$name" ;;
      *) mount -t cgroup -o "$controller" cgroup "$root/sys/fs/cgroup/$name" ;;
      esac || exit 1
    done </proc/self/cgroup
  fi
  mount --bind "$OUT" "$root/run/out" || exit 1
  # A checkout below /tmp is hidden by now.
  mkdir -p "$root$here" "$root${RUNTIME%/*}" || exit 1
  mount --bind "$here" "$root$here" && mount --bind "${RUNTIME%/*}" "$root${RUNTIME%/*}" || exit 1
  rm -rf "$root/etc/systemd/system" && mkdir -p "$root/etc/systemd/system" || exit 1
  unit checks.service <<UNIT
[Unit]
DefaultDependencies=no
[Service]
Type=exec
Environment=RUNTIME=$RUNTIME
ExecStart=/bin/bash $here/checks/systemd.sh $mode
StandardOutput=file:/run/out/lines
StandardError=file:/run/out/lines
ExecStopPost=-/bin/systemctl exit
UNIT
  unit dbus.socket <<UNIT
[Unit]
DefaultDependencies=no
[Socket]
ListenStream=/run/dbus/system_bus_socket
UNIT
  unit dbus.service <<UNIT
[Unit]
DefaultDependencies=no
[Service]
Type=notify
ExecStart=/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation
UNIT
  cd "$root" && mkdir old && pivot_root . old && umount -l /old || exit 1
  container=davit exec "$SYSTEMD" --unit=checks.service --log-target=console --show-status=0
}
unit() { cat >"$root/etc/systemd/system/$1"; }

# Moves itself into its own cgroup of every hierarchy, and makes the namespaces there.
enter() {
  local path
  for path in $(cgroups); do
    mkdir "$path" || exit 1
    case "$path" in
    */cpuset/*) for name in cpus mems; do cat "$path/../cpuset.$name" >"$path/cpuset.$name"; done ;;
    esac
    echo $BASHPID >"$path/cgroup.procs" || exit 1
  done
  export -f boot unit
  export DIR OUT=$DIR/out SYSTEMD RUNTIME here
  mkdir -p "$OUT" "$DIR/memory"
  exec timeout --kill-after=1 90 unshare --mount --pid --fork --kill-child --cgroup --ipc --uts --net bash -c "boot $1"
}
cgroups() {
  local controller path
  while IFS=: read -r _ controller path; do
    controller=${controller#name=}
    if [ -n "$controller" ]; then echo "/sys/fs/cgroup/$controller/$NAME"
    elif [ -d /sys/fs/cgroup/unified ]; then echo "/sys/fs/cgroup/unified/$NAME"
    else echo "/sys/fs/cgroup/$NAME"; fi
  done </proc/self/cgroup
}

remove_cgroups() {
  local path
  for path in $(cgroups); do [ ! -d "$path" ] || find "$path" -depth -type d -exec rmdir {} +; done
}
end() {
  remove_cgroups
  rm -rf "$DIR"
  printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
  [ "$FAILED" -eq 0 ] || exit 1
}
trap end EXIT
trap 'exit 130' INT TERM

for program in "$SYSTEMD" /usr/bin/dbus-daemon; do
  [ -x "$program" ] || { echo "skip  systemd: $program is not installed"; exit 0; }
done
[ "$(id -u)" -eq 0 ] || { echo "skip  systemd: needs root"; exit 0; }
[ $# -gt 0 ] || set -- unified hybrid
for mode in "$@"; do
  if [ "$mode" = hybrid ] && ! [ -d /sys/fs/cgroup/unified ]; then
    echo "skip  hybrid: this machine has no v1 hierarchies"
    continue
  fi
  (trap - EXIT; enter "$mode") >"$DIR/console" 2>&1
  touch "$DIR/out/lines"; cat "$DIR/out/lines"
  PASSED=$((PASSED + $(grep -c '^ok ' "$DIR/out/lines")))
  FAILED=$((FAILED + $(grep -c '^FAIL ' "$DIR/out/lines")))
  if ! grep -q '^end$' "$DIR/out/lines"; then
    echo "FAIL  $mode: it has not run to its end"
    tail -n 20 "$DIR/console"
    FAILED=$((FAILED + 1))
  fi
  rm -rf "$DIR/out"
  remove_cgroups
done
