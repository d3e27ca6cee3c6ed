# Under a systemd that systemd.sh has booted, as one of its services: checks davit-oci's driver.
# The last line is "end".
set -u -o pipefail
here=$(dirname "$0")/..
mode=$1
DIR=$(mktemp -d /tmp/checks.XXXXXX)
TMP=$DIR
. "$here/lib.sh"

oci() { timeout --kill-after=1 20 "$RUNTIME" --root "$DIR/oci" --systemd-cgroup "$@"; }
# bundle NAME PATH RESOURCES ANNOTATIONS PROGRAM...
bundle() {
  local dir=$DIR/$1 path=$2 resources=$3 annotations=$4
  shift 4
  mkdir -p "$dir/rootfs/bin"
  cp /bin/busybox "$dir/rootfs/bin/"
  for name in sh sleep cat; do ln -sf busybox "$dir/rootfs/bin/$name"; done
  (cd "$dir" && rm -f config.json && "$RUNTIME" spec)
  python3 - "$dir/config.json" "$path" "$resources" "$annotations" "$@" <<'PYTHON'
import json, sys
file, path, resources, annotations, *args = sys.argv[1:]
config = json.load(open(file))
config["process"].update(terminal=False, args=args)
config["process"].pop("rlimits")
config["linux"]["cgroupsPath"] = path
config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "cgroup"]
config["linux"]["resources"] = json.loads(resources)
config["annotations"] = json.loads(annotations)
json.dump(config, open(file, "w"))
PYTHON
}
create() { oci create --bundle "$DIR/$1" "${2:-$1}" </dev/null >"$DIR/out" 2>&1 || { cat "$DIR/out"; return 1; }; }
of() { systemctl show "$1" --property "$2" --value; }
is() { [ "$(of "$1" "$2")" = "$3" ]; }
pids_in() { find /sys/fs/cgroup -path "*/$1/cgroup.procs" -exec cat {} + | sort -u; }
pid_of() { oci state "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])'; }
directories() { find /sys/fs/cgroup -type d -path "*/$1*"; }
file_of() { find /sys/fs/cgroup -path "*/$1/$2" -exec cat {} +; }
gone() { [ -z "$(directories "$1")" ] && is "$1" LoadState not-found; }
# Kills a create in its middle: systemd forgets the unit, since nobody is in it.
killed_create() {
  "$RUNTIME" --root "$DIR/oci" --systemd-cgroup create --bundle "$DIR/one" killed </dev/null >/dev/null 2>&1 &
  sleep "0.0$1"
  kill -9 $! 2>/dev/null
  wait $! 2>/dev/null
  oci delete --force killed 2>/dev/null
  within 5 gone test-one.scope || { directories test-one.scope; systemctl status test-one.scope; return 1; }
}

limits='{"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}]'
if [ "$mode" = hybrid ]; then
  limits+=', "pids": {"limit": 33}, "memory": {"limit": 67108864},
    "cpu": {"shares": 512, "quota": 50000, "period": 100000}}'
else
  limits+='}'
fi
ours=$("$RUNTIME" --version | grep -q '^davit-oci' && echo yes)

bundle once davit-a.slice:test:once '{}' '{}' cat /proc/self/cgroup
matches "$mode: run: in its slice and scope" ':/davit.slice/davit-a.slice/test-once.scope$' oci run --bundle "$DIR/once" once
eventually "$mode: run: nothing is left" gone test-once.scope
bundle default "" '{}' '{}' cat /proc/self/cgroup
matches "$mode: without a path: in the system's slice" ":/system.slice/(davit|runc)-default.scope$" oci run --bundle "$DIR/default" default

bundle one davit-a.slice:test:one "$limits" '{"org.systemd.property.TimeoutStopUSec": "uint64 1230000"}' sleep 98765
ok "$mode: create" create one
same "$mode: create: the scope" "active running davit-a.slice yes no 1.230000s" \
  bash -c 'systemctl show test-one.scope --property ActiveState,SubState,Slice,Delegate,DefaultDependencies,TimeoutStopUSec | sed s/1.23s/1.230000s/ |
    sort | cut -d= -f2 | { readarray -t v; echo "${v[0]} ${v[4]} ${v[3]} ${v[2]} ${v[1]} ${v[5]}"; }'
same "$mode: create: init alone is in it" "$(pid_of one)" pids_in test-one.scope
ok "$mode: start" oci start one
matches "$mode: exec: in the scope" '/davit-a.slice/test-one.scope$' oci exec one cat /proc/self/cgroup
if [ "$mode" = hybrid ]; then
  same "$mode: limits: systemd's" "33 67108864 512 500ms" \
    bash -c 'for p in TasksMax MemoryLimit CPUShares CPUQuotaPerSecUSec; do systemctl show test-one.scope --property $p --value; done | paste -sd" "'
  same "$mode: limits: the cgroup's" "33 67108864 512 50000" \
    bash -c "$(declare -f file_of); for f in pids.max memory.limit_in_bytes cpu.shares cpu.cfs_quota_us; do file_of test-one.scope \$f; done | paste -sd' '"
  devices=$(file_of test-one.scope devices.list | sort)
  matches "$mode: devices: the cgroup's" '^c 10:229 rw$' echo "$devices"
  ok "$mode: update" oci update --pids-limit 44 --memory 96M one
  same "$mode: update: systemd's" "44 100663296" bash -c 'for p in TasksMax MemoryLimit; do systemctl show test-one.scope --property $p --value; done | paste -sd" "'
  same "$mode: update: the cgroup's" 44 file_of test-one.scope pids.max
  ok "$mode: systemd reloads" systemctl daemon-reload
  same "$mode: reload: the limits stay" "44 100663296" \
    bash -c "$(declare -f file_of); for f in pids.max memory.limit_in_bytes; do file_of test-one.scope \$f; done | paste -sd' '"
  same "$mode: reload: the devices stay" "$devices" bash -c "$(declare -f file_of); file_of test-one.scope devices.list | sort"
else
  # 10:237 is denied before its driver is looked for, 10:229 is not.
  refused "$mode: devices: what is denied" 'not permitted' \
    oci exec --cap CAP_MKNOD one sh -c 'mknod /dev/denied c 10 237; echo > /dev/denied'
  lacks "$mode: devices: what is allowed" 'not permitted' \
    oci exec --cap CAP_MKNOD one sh -c 'mknod /dev/allowed c 10 229; echo > /dev/allowed; true'
  ok "$mode: systemd reloads" systemctl daemon-reload
fi
ok "$mode: pause" oci pause one
ok "$mode: resume" oci resume one
ok "$mode: kill" oci kill one KILL
sleep 0.2
ok "$mode: delete" oci delete one
eventually "$mode: delete: nothing is left" gone test-one.scope

# A scope that failed stays with systemd until it is reset; its name can be used all the same.
systemd-run --quiet --scope --unit test-one --slice davit-a.slice --property RuntimeMaxSec=100ms sleep 5 >/dev/null 2>&1
if is test-one.scope ActiveState failed; then
  ok "$mode: a failed scope of the name" create one
  ok "$mode: a failed scope of the name: delete" oci delete --force one
else fail "$mode: a failed scope of the name" "it is $(of test-one.scope ActiveState)"; fi

# A second container of the same scope; runc 1.1 puts it in with the first.
if [ -n "$ours" ]; then
  ok "$mode: a scope is held" create one
  refused "$mode: the scope is another's" 'start .*test-one.scope.*already' create one two
  ok "$mode: the scope is still the first's" oci state one
  ok "$mode: a scope is held: delete" oci delete --force one
fi

bundle wrong /a/b '{}' '{}' cat
refused "$mode: a path that is no scope" 'slice:prefix:name' oci run --bundle "$DIR/wrong" wrong
if [ -n "$ours" ]; then
  for moment in 1 3; do ok "$mode: create is killed ($moment)" killed_create $moment; done
  bundle action davit-a.slice:test:action '{}' "{\"org.systemd.property.SuccessAction\": \"'exit-force'\"}" cat
  refused "$mode: annotation: another property" 'SuccessAction: a container may only set' oci run --bundle "$DIR/action" action
  ok "$mode: annotation: nothing was made" gone test-action.scope
  if [ "$mode" = unified ]; then
    # Every property that has a file of v2: systemd has taken them when the first file is missing.
    bundle all davit-a.slice:test:all '{"memory": {"limit": 67108864, "swap": 134217728, "reservation": 1048576},
      "cpu": {"shares": 512, "quota": 50000, "period": 100000, "cpus": "0-1", "mems": "0"}, "pids": {"limit": 33},
      "unified": {"memory.high": "60000000", "memory.min": "1", "cpu.max": "max"}}' '{}' cat
    refused "$mode: limits that the kernel does not have" 'controller is not enabled' oci run --bundle "$DIR/all" all
    eventually "$mode: limits: nothing is left" gone test-all.scope
  fi
fi

ok "$mode: the system bus begins" systemctl start dbus.socket dbus.service
bundle bus davit-a.slice:test:bus '{}' '{}' cat /proc/self/cgroup
by_bus() { DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/dbus/system_bus_socket oci run --bundle "$DIR/bus" bus; }
matches "$mode: by the system bus" '/davit-a.slice/test-bus.scope$' by_bus
eventually "$mode: by the system bus: nothing is left" gone test-bus.scope
if [ -n "$ours" ]; then
  mv /run/systemd/private /run/systemd/moved
  matches "$mode: the bus where systemd's socket is not" '/test-bus.scope$' oci run --bundle "$DIR/bus" bus
  mv /run/dbus/system_bus_socket /run/dbus/moved
  refused "$mode: no systemd" 'systemd is not running here; use the cgroupfs driver' oci run --bundle "$DIR/bus" bus
  mv /run/systemd/moved /run/systemd/private
fi
echo end
