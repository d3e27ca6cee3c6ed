#!/bin/bash
# Runs our shim under containerd, as `--runtime io.containerd.davit.v1`.
#
#   shim-under-containerd.sh [SHIM]      (default: bin/containerd-shim-davit-v1)
#
# DAVIT_TEST_CONTAINERD: a directory with another containerd and ctr than those in PATH.
# The containerd is the script's own: root, state, socket and shim sockets lie in a fresh directory.
# One line per check; the last line is "N passed, N failed"; exit status 1 when one failed.
set -u -o pipefail
export LC_ALL=C
unset CONTAINERD_ADDRESS CONTAINERD_NAMESPACE CONTAINERD_SNAPSHOTTER
PATH=${DAVIT_TEST_CONTAINERD:+$DAVIT_TEST_CONTAINERD:}$PATH

here=$(cd "$(dirname "$0")" && pwd)
SHIM=$(realpath "${1:-$here/../../bin/containerd-shim-davit-v1}")
[ -x "$SHIM" ] || { echo "no shim at $SHIM: run make native"; exit 1; }
NS=shim-$$
DIR=$(mktemp -d /tmp/shim-XXXXXX)
TMP=$DIR/tmp
ADDRESS=$DIR/containerd.sock
BUSYBOX=docker.io/test/busybox:latest
RUNTIME=io.containerd.davit.v1
mkdir -p "$DIR/bin" "$TMP"
cp "$SHIM" "$DIR/bin/containerd-shim-davit-v1"

. "$here/lib.sh"

# ---- the daemon ---------------------------------------------------------------------------------

CONTAINERD=
start_containerd() {
  PATH=$DIR/bin:$PATH DAVIT_SOCKET_DIR=$DIR/s containerd --config "$DIR/config.toml" \
    --address "$ADDRESS" --root "$DIR/root" --state "$DIR/state" >>"$DIR/containerd.log" 2>&1 &
  CONTAINERD=$!
  for _ in $(seq 100); do
    ctr version >/dev/null 2>&1 && return
    sleep 0.1
  done
  echo "containerd did not start: $(tail -3 "$DIR/containerd.log")"
  exit 1
}
stop_containerd() {
  kill "${1:--TERM}" "$CONTAINERD"
  wait "$CONTAINERD" 2>/dev/null
}

cat >"$DIR/config.toml" <<TOML
version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
TOML

# shims [ID]: the servers' pids.
shims() { pgrep -f -- "containerd-shim-davit-v1 -namespace $NS -id ${1:-.*} -address"; }
no_shims() { [ -z "$(shims)" ]; }
left_behind() {
  grep " $DIR/" /proc/self/mountinfo | grep -v " $DIR/root/" | cut -d' ' -f5
  find "$DIR/s" -type s 2>/dev/null
  find /sys/fs/cgroup -type d -path "*/$NS/*" 2>/dev/null
  find "$DIR/state" -path "*/io.containerd.runtime.v2.task/$NS/*" -maxdepth 4 2>/dev/null
}
nothing_left() { [ -z "$(left_behind)" ]; }

end() {
  local id
  for id in $(ctr container ls --quiet 2>/dev/null); do discard "$id"; done
  eventually "no shim is left" no_shims || shims | xargs -r kill -9
  eventually "no mount, socket, cgroup or bundle is left" nothing_left || left_behind
  stop_containerd -TERM
  find /sys/fs/cgroup -depth -type d \( -path "*/$NS/*" -o -name "$NS" \) -exec rmdir {} \; 2>/dev/null
  grep " $DIR/" /proc/self/mountinfo | cut -d' ' -f5 | xargs -r -n1 umount -l
  if [ "$FAILED" -eq 0 ] && [ -z "${KEEP:-}" ]; then rm -rf "$DIR"; else echo "kept: $DIR"; fi
  printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
  [ "$FAILED" -eq 0 ] || exit 1
}

start_containerd
trap end EXIT
trap 'exit 130' INT TERM
"$here/../../scripts/make-image.sh" "$TMP/busybox.tar" "$BUSYBOX" >/dev/null
ctr image import "$TMP/busybox.tar" >/dev/null || { echo "cannot import the test image"; exit 1; }

run() { ctr run --runtime "$RUNTIME" "$@"; }
detached() { run -d "${@:2}" "$BUSYBOX" "$1" sleep 1000; }

# ---- run to the end -----------------------------------------------------------------------------

same "run --rm prints" "hello" run --rm "$BUSYBOX" r1 echo hello
status "exit code" 7 run --rm "$BUSYBOX" r2 sh -c 'exit 7'
same "stderr apart from stdout" "out" run --rm "$BUSYBOX" r3 sh -c 'echo out; echo err >&2'
refused "no such program" 'OCI runtime create failed: .*exec: "nosuch": executable file not found in \$PATH' \
  run --rm "$BUSYBOX" r5 nosuch
echo_back() { { sleep 0.5; typed one two; } | run --rm "$BUSYBOX" r6 sh -c 'read a; read b; echo "$b $a"'; }
output=$(echo_back 2>&1)
[ "$output" = "two one" ] && pass "stdin" || fail "stdin" "$output"
end_of_input() { { sleep 0.5; typed line; } | run --rm "$BUSYBOX" r7 cat; }
output=$(end_of_input 2>&1)
[ "$output" = "line" ] && pass "end of stdin reaches the process" || fail "end of stdin" "$output"
bytes=$(run --rm "$BUSYBOX" r8 sh -c 'head -c 20000000 /dev/zero' | wc -c)
[ "$bytes" = 20000000 ] && pass "20 MB of output arrive" || fail "20 MB of output" "$bytes bytes"
bytes=$(run --rm "$BUSYBOX" r9 sh -c 'head -c 300000 /dev/zero' | { sleep 2; wc -c; })
[ "$bytes" = 300000 ] && pass "output waits for a slow reader" || fail "slow reader" "$bytes bytes"

# ---- terminals ----------------------------------------------------------------------------------

output=$(on_terminal wait:'# ' send:'stty size' wait:'33 77' send:'exit 3' -- \
  run --runtime "$RUNTIME" --rm -t "$BUSYBOX" t1 sh)
code=$?
[ $code -eq 3 ] && grep -q '33 77' <<<"$output" && pass "terminal: size and exit code" ||
  fail "terminal" "status: $code" "$output"

# ---- a container that stays ---------------------------------------------------------------------

ok "run -d" detached d1
eventually "running" has_status d1 RUNNING
same "exec" "inside" ctr task exec --exec-id e1 d1 echo inside
status "exec killed by a signal" 137 ctr task exec --exec-id e0 d1 sh -c 'kill -9 $$'
status "exec's exit code" 9 ctr task exec --exec-id e2 d1 sh -c 'exit 9'
refused "exec of no such program" 'OCI runtime exec failed: .*executable file not found in \$PATH' \
  ctr task exec --exec-id e3 d1 nosuch
output=$(on_terminal wait:'# ' send:'tty; exit 4' -- task exec -t --exec-id e4 d1 sh)
code=$?
[ $code -eq 4 ] && grep -q /dev/pts <<<"$output" && pass "exec on a terminal" ||
  fail "exec on a terminal" "status: $code" "$output"
started=$(date +%s)
ok "exec that leaves a child behind" ctr task exec --exec-id e5 d1 sh -c 'sleep 2 & exit 0'
[ $(($(date +%s) - started)) -le 8 ] && pass "... ends in time" || fail "exec with a child took long"
ok "exec -d" ctr task exec -d --exec-id e6 d1 sleep 500
matches "ps shows the exec" 'e6' ctr task ps d1
ok "kill the exec" ctr task kill --signal SIGKILL --exec-id e6 d1
ok "metrics" ctr task metrics d1
matches "metrics have memory" 'memory' ctr task metrics d1
ok "pause" ctr task pause d1
eventually "paused" has_status d1 PAUSED
refused "exec while paused" 'paused' ctr task exec --exec-id e7 d1 true
ok "resume" ctr task resume d1
eventually "running again" has_status d1 RUNNING
refused "delete while running" 'must be stopped|running' ctr task rm d1
refused "second task" 'already exists' ctr task start d1

memory=$(awk '/^Rss:/ { rss = $2 } /^Private_(Clean|Dirty):/ { private += $2 } /^Anonymous:/ { anonymous = $2 }
  END { print rss, private, anonymous }' "/proc/$(shims d1)/smaps_rollup")
read -r rss private anonymous <<<"$memory"
echo "      idle shim: $rss kB resident, $private kB private, $anonymous kB anonymous"
[ "$rss" -le 2048 ] && pass "an idle shim takes at most 2 MiB" || fail "an idle shim's memory" "$memory"
switches() { awk '/ctxt_switches/ { n += $2 } END { print n }' "/proc/$(shims d1)/status"; }
before=$(switches)
sleep 3
[ "$(switches)" = "$before" ] && pass "an idle shim does not wake up" || fail "wake-ups when idle" "$before $(switches)"

# ---- the daemon goes and comes back -------------------------------------------------------------

pid=$(task_pid d1)
stop_containerd -TERM
start_containerd
[ "$(task_pid d1)" = "$pid" ] && pass "same task after a restart" || fail "task after a restart" "$(ctr task ls)"
same "exec after a restart" "still" ctr task exec --exec-id f1 d1 echo still
stop_containerd -KILL
start_containerd
[ "$(task_pid d1)" = "$pid" ] && pass "same task after kill -9" || fail "task after kill -9" "$(ctr task ls)"
stop_containerd -KILL
kill -9 "$pid"
start_containerd
# containerd 1.7 and later delete a task that ended while they were away.
eventually "an exit while the daemon was away is known" gone has_status d1 RUNNING
if has_status d1 STOPPED; then ok "delete it" ctr task rm d1; fi
eventually "its shim goes" gone shims d1
ctr container rm d1

# ---- kill, attach, logs, events -----------------------------------------------------------------

run -d "$BUSYBOX" k1 sh -c 'trap "exit 5" TERM; while :; do sleep 0.1; done'
sleep 0.3
ok "kill with a signal" ctr task kill --signal SIGTERM k1
eventually "stopped" has_status k1 STOPPED
refused "kill a finished task" 'process already finished|not found' ctr task kill k1
warns "its exit code" 'exit code 5' ctr task rm k1
ctr container rm k1

run -d "$BUSYBOX" a1 sh -c 'while :; do echo tick; sleep 0.2; done'
output=$(CTR_TIMEOUT=2 ctr task attach a1 2>/dev/null)
grep -q tick <<<"$output" && pass "attach" || fail "attach" "$output"
output=$(CTR_TIMEOUT=2 ctr task attach a1 2>/dev/null)
grep -q tick <<<"$output" && pass "attach again" || fail "attach again" "$output"
has_status a1 RUNNING && pass "no SIGPIPE without a client" || fail "container died with its client"
discard a1

ok "log to a file" run --rm --log-uri "file://$TMP/logs/l1" "$BUSYBOX" l1 sh -c 'echo out; echo err >&2'
[ "$(sort "$TMP/logs/l1")" = "$(printf 'err\nout')" ] && pass "both streams in the file" || fail "log file" "$(cat "$TMP/logs/l1")"
cat >"$TMP/logger" <<'LOGGER'
#!/bin/sh
echo "$CONTAINER_NAMESPACE $CONTAINER_ID $1=$2" >"$2"
exec 5>&-
cat <&3 >>"$2"
LOGGER
chmod +x "$TMP/logger"
ok "log to a program" run --rm --log-uri "binary://$TMP/logger?to=$TMP/l2" "$BUSYBOX" l2 echo logged
[ "$(cat "$TMP/l2")" = "$(printf '%s l2 to=%s\nlogged' "$NS" "$TMP/l2")" ] && pass "the program got everything" ||
  fail "log program" "$(cat "$TMP/l2")"

ctr events >"$TMP/events" 2>/dev/null &
watcher=$!
sleep 0.5
run --rm "$BUSYBOX" v1 true
sleep 0.5
kill $watcher
topics=$(grep -o '/tasks/[a-z-]*' "$TMP/events" | tr '\n' ' ')
[ "$topics" = "/tasks/create /tasks/start /tasks/exit /tasks/delete " ] && pass "events in order" || fail "events" "$topics"

# ---- a shim that dies ---------------------------------------------------------------------------

detached z1
pid=$(task_pid z1)
kill -9 "$(shims z1)"
eventually "containerd notices a dead shim" gone has_status z1 RUNNING
eventually "its container is gone" gone kill -0 "$pid"
discard z1
