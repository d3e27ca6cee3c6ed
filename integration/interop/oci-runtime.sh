#!/bin/bash
# Runs those who drive an OCI runtime on davit-oci: podman, dockerd with a runtime entry, containerd's
# own runc shim with BinaryName.
#
#   oci-runtime.sh [SECTION...]      commands podman docker containerd (default: all that are installed)
#
# DAVIT_TEST_RUNTIME is another runtime to run it with, as /usr/sbin/runc.
# Every daemon is the script's own; storage, state and sockets lie in a fresh directory.
# One line per check; the last line is "N passed, N failed"; exit status 1 when one failed.
set -u -o pipefail
export LC_ALL=C
unset CONTAINERD_ADDRESS CONTAINERD_NAMESPACE DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG CONTAINERS_CONF

here=$(cd "$(dirname "$0")" && pwd)
RUNTIME=$(realpath "${DAVIT_TEST_RUNTIME:-$here/../../bin/davit-oci}")
[ -x "$RUNTIME" ] || { echo "no runtime at $RUNTIME: run make native"; exit 1; }
NAME=oci-runtime-$$
NS=$NAME
DIR=$(mktemp -d /tmp/davit-oci.XXXXXX)
TMP=$DIR/tmp
ADDRESS=$DIR/containerd.sock
IMAGE=docker.io/library/busybox:latest
export HOME=$DIR DOCKER_CONFIG=$DIR
mkdir -p "$TMP"
chmod 0711 "$DIR"
echo "{}" >"$DIR/config.json"

. "$here/lib.sh"

# cgroup_file ID V1FILE V2FILE: what it says in the container's cgroup.
cgroup_file() { find /sys/fs/cgroup \( -path "*$1/$2" -o -path "*$1/$3" \) -exec cat {} + 2>/dev/null; }

left_behind() {
  find /sys/fs/cgroup -mindepth 2 -type d -path "*/$NAME/*" 2>/dev/null
  find "$DIR/oci" "/run/containerd/runc/$NS" -mindepth 1 -maxdepth 1 2>/dev/null
  # A process of a container: init before its program, a program, an exec.
  pgrep -af -- "sleep 98765" || true
}
nothing_left() { [ -z "$(left_behind)" ]; }
check_nothing_left() {
  if within 10 nothing_left; then pass "$1: nothing is left behind"
  else fail "$1: nothing is left behind" "$(left_behind)"; fi
}

# ---- the command line ---------------------------------------------------------------------------

oci() { timeout --kill-after=1 20 "$RUNTIME" --root "$DIR/oci" "$@"; }
# bundle NAME PROGRAM...: a bundle in $DIR/NAME.
bundle() {
  local dir=$DIR/$1
  shift
  mkdir -p "$dir/rootfs/bin"
  cp /bin/busybox "$dir/rootfs/bin/"
  for name in sh sleep id cat; do ln -sf busybox "$dir/rootfs/bin/$name"; done
  (cd "$dir" && rm -f config.json && "$RUNTIME" spec)
  python3 - "$dir/config.json" "/$NAME/$(basename "$dir")" "$@" <<'PYTHON'
import json, sys
path, cgroup, *args = sys.argv[1:]
config = json.load(open(path))
config["process"].update(terminal=False, args=args)
config["process"].pop("rlimits")
config["linux"]["cgroupsPath"] = cgroup
config["annotations"] = {"a": "b"}
json.dump(config, open(path, "w"))
PYTHON
}
o_state() { oci state "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"; }
o_is() { [ "$(o_state "$1" status)" = "$2" ]; }
json_message() { oci --log "$DIR/log.json" --log-format json "$@"; tail -1 "$DIR/log.json"; }
# Its caller's streams would else be the container's.
o_create() { oci create --bundle "$DIR/$1" --pid-file "$DIR/$1.pid" "$2" </dev/null >/dev/null 2>"$TMP/stderr"; }
# A create that is killed: nothing of it is seen, and its id can be used.
killed_create() {
  "$RUNTIME" --root "$DIR/oci" create --bundle "$DIR/sleeper" killed </dev/null >/dev/null 2>&1 &
  sleep "0.0$1"
  kill -9 $! 2>/dev/null
  wait $! 2>/dev/null
  oci delete --force killed 2>"$TMP/stderr" || return 1
  [ ! -e "$DIR/oci/killed" ]
}

check_commands() {
  bundle once sh -c 'exit 7'
  bundle sleeper sleep 98765
  bundle missing nosuch
  status "run: exit code" 7 oci run --bundle "$DIR/once" r1
  refused "run: no such program" 'exec: \\"nosuch\\": executable file not found in \$PATH' oci run --bundle "$DIR/missing" r2
  matches "--log-format json" '^\{"level":"error","msg":"container does not exist","time":"[^"]*"\}$' json_message state r2
  refused "state of nothing" 'msg="container does not exist"' oci state nothing
  status "delete --force of nothing" 0 oci delete --force nothing
  refused "an id that is a path" 'invalid container ID format' oci run --bundle "$DIR/once" a/b
  refused "no config" 'JSON specification file config.json not found' oci run --bundle "$TMP" r3
  refused "unknown flag" 'flag provided but not defined: -bogus' oci state --bogus x
  refused "missing argument" 'requires exactly 1 argument' oci state
  ok "create" o_create sleeper one
  same "create: state" created o_state one status
  same "create: pid file" "$(o_state one pid)" cat "$DIR/sleeper.pid"
  same "create: annotations" "{'a': 'b'}" o_state one annotations
  refused "create: the same id" 'container with given ID already exists' oci create --bundle "$DIR/sleeper" one
  # What follows is for the container as it was made.
  mv "$DIR/sleeper/config.json" "$DIR/sleeper/kept.json"
  ok "start" oci start one
  mv "$DIR/sleeper/kept.json" "$DIR/sleeper/config.json"
  same "start: state" running o_state one status
  refused "start again" 'cannot start an already running container' oci start one
  same "exec: output" 'uid=5 gid=6 groups=7' oci exec --user 5:6 --additional-gids 7 one id
  status "exec: exit code" 9 oci exec one sh -c 'exit 9'
  refused "exec: no such program" 'exec: \\"nosuch\\": executable file not found' oci exec one nosuch
  status "exec: status of a failure" 255 oci exec one nosuch
  matches "list" "^one +$(o_state one pid) +running +$DIR/sleeper +20" oci list
  same "list --quiet" one oci list --quiet
  same "ps --format json" "[$(o_state one pid)]" oci ps --format json one
  matches "ps" "^[^ ]+ +$(o_state one pid) .*sleep 98765" oci ps one
  matches "events --stats" '^\{"type":"stats","id":"one","data":\{.*"pids":\{"current":1[,}]' oci events --stats one
  ok "update" oci update --memory 32M one
  same "update: the limit" 33554432 cgroup_file "$NAME/sleeper" memory.limit_in_bytes memory.max
  refused "delete: it runs" 'cannot delete container one that is not stopped: running' oci delete one
  refused "resume: not paused" 'container not paused' oci resume one
  ok "pause" oci pause one
  same "pause: state" paused o_state one status
  refused "exec: paused" 'cannot exec in a paused container' oci exec one id
  ok "resume" oci resume one
  refused "kill: unknown signal" 'unknown signal' oci kill one BOGUS
  ok "kill" oci kill one KILL
  eventually "kill: state" o_is one stopped
  refused "kill: it has ended" 'container not running' oci kill one KILL
  refused "exec: it has ended" 'cannot exec in a stopped container' oci exec one id
  ok "delete" oci delete one
  refused "delete again" 'container does not exist' oci delete one
  bundle sleeper sleep 98765
  # runc's own leaves cgroups and processes behind when it is killed.
  if [ "$(basename "$RUNTIME")" = davit-oci ]; then
    for moment in 02 05 1 2 4 8; do
      ok "create killed after 0.0$moment s" killed_create "$moment"
    done
  fi
  ok "create once more" o_create sleeper killed
  ok "delete what was never started" oci delete killed
  check_nothing_left commands
}

# ---- podman -------------------------------------------------------------------------------------

podman() {
  timeout --kill-after=1 30 podman --root "$DIR/p/storage" --runroot "$DIR/p/run" --tmpdir "$DIR/p/tmp" \
    --storage-driver vfs --cgroup-manager cgroupfs --events-backend file --runtime "$DIR/runtime" "$@"
}
# Podman's --runtime-flag is lost on the way to the process that cleans up after a container.
printf '#!/bin/sh\nexec %s --root %s "$@"\n' "$RUNTIME" "$DIR/oci" >"$DIR/runtime"
chmod +x "$DIR/runtime"
# Limits below this machine's: without CAP_SYS_RESOURCE runc cannot set podman's own.
P_RUN=(run --network none --pull never --cgroup-parent "/$NAME" --ulimit nofile=1024:1024 --ulimit nproc=1024:1024)
p_state() { podman inspect --format '{{.State.Status}}' "$1"; }
# Podman makes a cgroup for its monitors, which end after their containers, and leaves it.
conmon_gone() {
  find /sys/fs/cgroup -depth -type d -path "*/$NAME/conmon" -exec rmdir {} + 2>/dev/null
  [ -z "$(find /sys/fs/cgroup -type d -path "*/$NAME/conmon")" ]
}
p_is() { [ "$(p_state "$1")" = "$2" ]; }

check_podman() {
  podman load --quiet --input "$DIR/busybox.tar" >/dev/null 2>"$TMP/load" || {
    fail "podman loads the image" "$(head -3 "$TMP/load")"
    return
  }
  same "podman run: output" hello podman "${P_RUN[@]}" --rm "$IMAGE" echo hello
  status "podman run: exit code" 5 podman "${P_RUN[@]}" --rm "$IMAGE" sh -c 'exit 5'
  status "podman run: no such program" 127 podman "${P_RUN[@]}" --rm "$IMAGE" nosuch
  status "podman run: a directory" 126 podman "${P_RUN[@]}" --rm "$IMAGE" /etc
  same "podman run: terminal" /dev/pts/0 podman "${P_RUN[@]}" --rm --tty "$IMAGE" tty
  same "podman run: another user" 65534 podman "${P_RUN[@]}" --rm --user nobody "$IMAGE" id -u
  ok "podman run --detach" podman "${P_RUN[@]}" --detach --name one --memory 64m "$IMAGE" \
    sh -c 'echo out; echo err >&2; exec sleep 98765'
  matches "podman logs: standard output" '^out$' podman logs one
  warns "podman logs: standard error" '^err$' podman logs one
  same "podman exec: output" "uid=0(root) gid=0(root)" podman exec one id
  status "podman exec: exit code" 9 podman exec one sh -c 'exit 9'
  status "podman exec: no such program" 127 podman exec one nosuch
  same "podman exec: terminal" /dev/pts/0 podman exec --tty one tty
  matches "podman stats" '^one 1 .*67.11MB' podman stats --no-stream --format '{{.Name}} {{.PIDs}} {{.MemUsage}}' one
  matches "podman top" 'sleep 98765' podman top one
  ok "podman pause" podman pause one
  same "podman pause: state" paused p_state one
  ok "podman unpause" podman unpause one
  same "podman unpause: state" running p_state one
  ok "podman kill" podman kill --signal KILL one
  eventually "podman kill: state" p_is one exited
  same "podman kill: exit code" 137 podman inspect --format '{{.State.ExitCode}}' one
  # What follows a container's end is another process's doing.
  eventually "podman kill: the runtime's state is gone" gone ls -d "$DIR"/oci/*
  ok "podman start again" podman start one
  ok "podman rm --force" podman rm --force --time 0 one
  # Debian bookworm's criu, 3.17, does not work on newer kernels.
  if criu check >/dev/null 2>&1; then check_podman_checkpoints
  else echo "skip  podman container checkpoint: no criu in \$PATH that works on this kernel"; fi
  within 10 conmon_gone
  check_nothing_left podman
}

# A counter that goes on where it was, in the same container and, from a file, in another one.
count_in() { podman exec "$1" cat /count; }
counts_from() { [ "$(count_in "$1")" -gt "$2" ]; }
check_podman_checkpoints() {
  local seen file=$DIR/checkpoint.tar.gz
  podman "${P_RUN[@]}" --detach --name counter "$IMAGE" \
    sh -c 'i=0; while :; do i=$((i+1)); echo $i >/next; mv /next /count; sleep 0.05; done' >/dev/null
  eventually "podman: a counter counts" counts_from counter 5
  seen=$(count_in counter)
  ok "podman container checkpoint" podman container checkpoint counter
  same "podman container checkpoint: state" exited p_state counter
  ok "podman container restore" podman container restore counter
  eventually "podman container restore: it counts on" counts_from counter "$seen"
  seen=$(count_in counter)
  ok "podman container checkpoint --export" podman container checkpoint --export "$file" counter
  ok "podman rm: what was exported" podman rm --force --time 0 counter
  ok "podman container restore --import" podman container restore --import "$file" --name other
  eventually "podman container restore --import: it counts on" counts_from other "$seen"
  ok "podman rm: what was imported" podman rm --force --time 0 other
}

# ---- containerd's runc shim ---------------------------------------------------------------------

CONTAINERD=
start_containerd() {
  [ -z "$CONTAINERD" ] || return 0
  printf 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n' >"$DIR/c.toml"
  setsid containerd --config "$DIR/c.toml" --address "$ADDRESS" --root "$DIR/c/root" --state "$DIR/c/state" \
    >"$DIR/containerd.log" 2>&1 </dev/null &
  CONTAINERD=$!
  within 20 ctr version || { echo "containerd does not start: $(tail -3 "$DIR/containerd.log")"; exit 1; }
}
C_RUN=(run --snapshotter native --runc-binary "$RUNTIME" --cgroup "/$NAME/c")

check_containerd() {
  start_containerd
  ok "ctr image import" ctr image import --snapshotter native "$DIR/busybox.tar"
  same "ctr run: output" hello ctr "${C_RUN[@]}" --rm "$IMAGE" a1 echo hello
  status "ctr run: exit code" 5 ctr "${C_RUN[@]}" --rm "$IMAGE" a2 sh -c 'exit 5'
  refused "ctr run: no such program" 'executable file not found in \$PATH' ctr "${C_RUN[@]}" --rm "$IMAGE" a3 nosuch
  discard a3
  matches "ctr run: terminal" /dev/pts/0 on_terminal -- "${C_RUN[@]}" --rm --tty "$IMAGE" a4 tty
  ok "ctr run --detach" ctr "${C_RUN[@]}" --detach "$IMAGE" b sleep 98765
  same "ctr task exec: output" hello ctr task exec --exec-id e1 b echo hello
  status "ctr task exec: exit code" 9 ctr task exec --exec-id e2 b sh -c 'exit 9'
  matches "ctr task exec: terminal" /dev/pts/0 on_terminal -- task exec --tty --exec-id e3 b tty
  refused "ctr task exec: no such program" 'executable file not found in \$PATH' ctr task exec --exec-id e4 b nosuch
  ok "ctr task pause" ctr task pause b
  same "ctr task pause: state" PAUSED task_status b
  ok "ctr task resume" ctr task resume b
  same "ctr task resume: state" RUNNING task_status b
  matches "ctr task metrics" '^(pids.current|memory.usage_in_bytes) ' ctr task metrics b
  matches "ctr task ps" "^$(task_pid b) " ctr task ps b
  ok "ctr task kill" ctr task kill --signal SIGKILL b
  eventually "ctr task kill: state" has_status b STOPPED
  warns "ctr task delete" 'exit code 137' ctr task delete b
  ok "ctr container delete" ctr container delete b
  check_nothing_left containerd
}

# ---- dockerd ------------------------------------------------------------------------------------

DOCKERD=
docker() { timeout --kill-after=1 30 /usr/bin/docker --host "unix://$DIR/docker.sock" "$@"; }
start_dockerd() {
  start_containerd
  echo '{}' >"$DIR/docker.json"
  setsid dockerd --config-file "$DIR/docker.json" --containerd "$ADDRESS" --containerd-namespace "$NS" \
    --host "unix://$DIR/docker.sock" --storage-driver vfs --data-root "$DIR/d" --exec-root "$DIR/d.run" \
    --pidfile "$DIR/docker.pid" --cgroup-parent "/$NAME" --bridge=none --iptables=false --ip6tables=false \
    --ip-forward=false --ip-masq=false --add-runtime "tested=$RUNTIME" >"$DIR/docker.log" 2>&1 </dev/null &
  DOCKERD=$!
  within 30 docker version || { echo "dockerd does not start: $(tail -3 "$DIR/docker.log")"; exit 1; }
}
D_RUN=(run --network none --runtime tested)
d_is() { [ "$(docker inspect --format "{{$2}}" "$1")" = "$3" ]; }

check_docker() {
  start_dockerd
  if ! { skopeo --insecure-policy copy --quiet "oci-archive:$DIR/busybox.tar" "docker-archive:$DIR/docker.tar:$IMAGE" &&
    docker load --quiet --input "$DIR/docker.tar"; } >"$TMP/load" 2>&1; then
    fail "docker load" "$(cat "$TMP/load")"
    return
  fi
  same "docker run: output" hello docker "${D_RUN[@]}" --rm "$IMAGE" echo hello
  status "docker run: exit code" 5 docker "${D_RUN[@]}" --rm "$IMAGE" sh -c 'exit 5'
  status "docker run: no such program" 127 docker "${D_RUN[@]}" --rm "$IMAGE" nosuch
  status "docker run: a directory" 126 docker "${D_RUN[@]}" --rm "$IMAGE" /etc
  same "docker run: terminal" /dev/pts/0 docker "${D_RUN[@]}" --rm --tty "$IMAGE" tty
  ok "docker run --detach" docker "${D_RUN[@]}" --detach --name one --memory 64m "$IMAGE" \
    sh -c 'echo out; exec sleep 98765'
  matches "docker logs" '^out$' docker logs one
  same "docker exec: output" hello docker exec one echo hello
  status "docker exec: exit code" 9 docker exec one sh -c 'exit 9'
  refused "docker exec: no such program" 'executable file not found in \$PATH' docker exec one nosuch
  same "docker exec: terminal" /dev/pts/0 docker exec --tty one tty
  ok "docker pause" docker pause one
  same "docker pause: state" paused docker inspect --format '{{.State.Status}}' one
  ok "docker unpause" docker unpause one
  ok "docker update" docker update --memory 32m --memory-swap 32m one
  same "docker update: the limit" 33554432 cgroup_file "$(docker inspect --format '{{.Id}}' one)" memory.limit_in_bytes memory.max
  matches "docker stats" '/ 32MiB' docker stats --no-stream --format '{{.MemUsage}}' one
  matches "docker top" 'sleep 98765' docker top one
  ok "docker kill" docker kill one
  eventually "docker kill: state" d_is one .State.Status exited
  same "docker kill: exit code" 137 docker inspect --format '{{.State.ExitCode}}' one
  ok "docker rm" docker rm one
  check_nothing_left docker
}

# -------------------------------------------------------------------------------------------------

stop() {
  [ -n "$1" ] || return 0
  kill "$1" 2>/dev/null
  wait "$1" 2>/dev/null
}

end() {
  local ids
  if [ -n "$DOCKERD" ]; then
    ids=$(docker ps --all --quiet 2>/dev/null)
    # shellcheck disable=SC2086 # a list of ids
    [ -z "$ids" ] || docker rm --force $ids >/dev/null 2>&1
    stop "$DOCKERD"
  fi
  if [ -n "$CONTAINERD" ]; then
    for ids in $(ctr container ls --quiet); do discard "$ids"; done
    stop "$CONTAINERD"
  fi
  [ ! -d "$DIR/p" ] || podman rm --all --force --time 0 >/dev/null 2>&1
  if [ "$FAILED" -gt 0 ]; then tail -n 5 "$DIR"/*.log 2>/dev/null; fi
  find /sys/fs/cgroup -depth -mindepth 2 -type d -path "*/$NAME*" -exec rmdir {} + 2>/dev/null
  grep " $DIR/" /proc/self/mountinfo | cut -d' ' -f5 | sort -r | xargs -r umount
  rmdir "/run/containerd/runc/$NS" 2>/dev/null
  rm -rf "$DIR"
  printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
  [ "$FAILED" -eq 0 ] || exit 1
}
trap end EXIT
trap 'exit 130' INT TERM

"$here/../../scripts/make-image.sh" "$DIR/busybox.tar" "$IMAGE" >/dev/null || exit 1

# has SECTION PROGRAM...: the programs that it drives are installed.
has() {
  local section=$1 program
  shift
  for program in "$@"; do
    command -v "$program" >/dev/null && continue
    echo "skip  $section: $program is not installed"
    return 1
  done
}
[ $# -gt 0 ] || set -- commands podman containerd docker
for section in "$@"; do
  case "$section" in
  commands) check_commands ;;
  podman) ! has podman podman conmon || check_podman ;;
  containerd) ! has containerd containerd containerd-shim-runc-v2 || check_containerd ;;
  docker) ! has docker containerd dockerd docker skopeo || check_docker ;;
  *) echo "no section $section"; exit 2 ;;
  esac
done
