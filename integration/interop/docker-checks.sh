# The checks of dockerd.sh, a function per section. Sourced, not run.

check_images() {
  docker save --output "$TMP/bb.tar" bb
  ok "save, remove and load an image" docker rmi bb
  matches "load names the image" 'Loaded image: bb:latest' docker load --input "$TMP/bb.tar"
  printf 'FROM bb\nRUN echo built >/built\nRUN [ "$(cat /built)" = built ]\nCMD ["cat", "/built"]\n' >"$TMP/Dockerfile"
  ok "build runs its steps in containers" env DOCKER_BUILDKIT=0 "$DOCKER" --host "$HOST" build --network none \
    --tag built --file "$TMP/Dockerfile" "$TMP"
  same "the built image runs" built docker run --rm --network none built
  up origin -- sh -c 'echo mine >/file; sleep 1000'
  eventually "a file is written" docker exec origin test -s /file
  ok "commit pauses and resumes a running container" docker commit origin committed
  same "the committed image runs" mine docker run --rm --network none committed cat /file
  ok "cp out of a container" docker cp origin:/file "$TMP/file"
  ok "cp into a container" docker cp "$TMP/file" origin:/copied
  same "what was copied in is there" mine docker exec origin cat /copied
  drop origin
  docker rmi built committed >/dev/null
}

check_run() {
  local status
  same "run: output" hello run_it -- echo hello
  same "run: input" typed run_it --interactive -- echo typed
  same "run: input reaches the program" "$(printf 'a\nb')" bash -c "printf 'a\nb\n' | '$DOCKER' --host '$HOST' run -i --rm --network none bb cat"
  for status in 0 3 255; do status "exit status $status" $status run_it -- sh -c "exit $status"; done
  status "a program killed by a signal" 137 run_it --init=false -- sh -c 'sleep 100 & kill -9 $!; wait $!'
  status "cannot execute: 126" 126 run_it -- /etc/passwd
  refused "cannot execute: says so" 'exec: "/etc/passwd": permission denied' run_it -- /etc/passwd
  status "a directory: 126" 126 run_it -- /etc
  status "no such program: 127" 127 run_it -- nosuch
  refused "no such program: says so" 'exec: "nosuch": executable file not found in \$PATH' run_it -- nosuch
  status "no such file: 127" 127 run_it -- /no/such
  refused "no such file: says so" 'no such file or directory' run_it -- /no/such
  same "a big output is whole" 20000000 bash -c "'$DOCKER' --host '$HOST' run --rm --network none bb head -c 20000000 /dev/zero | wc -c"
  same "hostname" box run_it --hostname box -- hostname
  same "environment" 'a b' run_it --env 'V=a b' -- sh -c 'echo "$V"'
  same "working directory" /tmp run_it --workdir /tmp -- pwd
  same "a working directory is made" /made run_it --workdir /made -- pwd
  same "process 1" 1 run_it -- sh -c 'echo $$'
  same "no network but the loopback" lo run_it -- ls /sys/class/net
  same "the host's network" "$(ls /sys/class/net | tr -d '\r')" docker run --rm --network host bb ls -1 /sys/class/net
  up shared
  same "another container's network" "$(docker exec shared readlink /proc/1/ns/net)" \
    docker run --rm --network container:shared bb readlink /proc/self/ns/net
  same "another container's processes" sleep run_it --pid container:shared -- cat /proc/1/comm
  same "the host's processes" "$(cat /proc/1/comm)" run_it --pid host -- cat /proc/1/comm
  same "another OCI runtime, named by its path" other run_it --runtime other -- echo other
  drop shared
  ok "run with a restart policy" up again --restart on-failure:2 -- sh -c 'echo try; exit 1'
  eventually "a failing container is restarted" is again .RestartCount 2
  drop again
  ok "run with a health check" up well --health-cmd 'test -e /tmp' --health-interval 1s
  eventually "the health check runs" is well .State.Health.Status healthy
  drop well
}

check_exec() {
  up main --env OF=container
  same "exec: output" yes docker exec main echo yes
  status "exec: exit status" 7 docker exec main sh -c 'exit 7'
  status "exec: cannot execute" 126 docker exec main /etc/passwd
  refused "exec: says what it cannot run" 'exec: "nosuch": executable file not found in \$PATH' docker exec main nosuch
  status "exec: killed" 137 docker exec main sh -c 'kill -9 $$'
  same "exec: input" '5' bash -c "printf 12345 | '$DOCKER' --host '$HOST' exec -i main wc -c"
  same "exec: the container's environment" container docker exec main sh -c 'echo $OF'
  same "exec: environment" here docker exec --env OF=here main sh -c 'echo $OF'
  same "exec: working directory" /tmp docker exec --workdir /tmp main pwd
  same "exec: user and groups" 'uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)' docker exec --user user main id
  privileged same "exec: privileged has all capabilities" "$(run_it --privileged -- grep CapEff /proc/self/status)" \
    docker exec --privileged main grep CapEff /proc/self/status
  ok "exec: detached" docker exec --detach main touch /tmp/detached
  eventually "exec: detached ran" docker exec main test -e /tmp/detached
  same "exec: same cgroup" "$(docker exec main cat /proc/1/cgroup)" docker exec main cat /proc/self/cgroup
  ok "exec: many at a time" many_execs
  drop main
  refused "exec: not running" 'No such container' docker exec main true
}
many_execs() {
  local pids=() pid number
  for number in 1 2 3 4 5 6 7 8; do
    [ "$(docker exec main echo "$number")" = "$number" ] &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || return 1; done
}

check_logs() {
  up talker -- sh -c 'echo out; echo err >&2; sleep 1000'
  eventually "logs: both streams" logs_have talker err
  same "logs: standard output" out docker logs talker
  same "logs: standard error" err bash -c "'$DOCKER' --host '$HOST' logs talker 2>&1 >/dev/null"
  drop talker
  up counter -- sh -c 'for i in $(seq 2000); do echo line $i; done'
  same "wait gives the status" 0 docker wait counter
  same "logs: every line" 2000 bash -c "'$DOCKER' --host '$HOST' logs counter | wc -l"
  same "logs: follow ends with the container" 2000 bash -c "timeout 10 '$DOCKER' --host '$HOST' logs --follow counter | wc -l"
  same "logs: the last line" 'line 2000' docker logs --tail 1 counter
  drop counter
  up quiet --log-driver none -- sh -c 'echo x; sleep 1000'
  refused "logs: driver none keeps none" 'does not support reading' docker logs quiet
  drop quiet
}

check_terminals() {
  matches "a terminal of the client's size" '^33 77$' on_tty -- run --rm -it --network none bb sh -c 'sleep 1; stty size'
  matches "a shell on a terminal" '^sum 42$' on_tty wait:'# ' send:'echo sum $((40 + 2))' wait:'sum 42' send:exit -- \
    run --rm -it --network none bb sh
  status "a terminal gives the exit status" 9 on_tty wait:'# ' send:'exit 9' -- run --rm -it --network none bb sh
  status "the interrupt key" 130 on_tty wait:ready key:c -- run --rm -it --network none --init=false bb sh -c 'trap "exit 130" INT; echo ready; while :; do sleep 0.1; done'
  up main
  matches "exec on a terminal" '^/dev/pts/[0-9]+$' on_tty -- exec -it main tty
  matches "exec on a terminal has the client's size" '^33 77$' on_tty -- exec -it main sh -c 'sleep 1; stty size'
  status "exec on a terminal gives the exit status" 4 on_tty wait:'# ' send:'exit 4' -- exec -it main sh
  drop main
  docker run --detach --interactive --tty --network none --name tty bb sh >/dev/null
  matches "attach to a terminal" '^joined$' on_tty send:'' wait:'# ' send:'echo join""ed' wait:'^joined|\njoined' key:p key:q -- attach tty
  same "detached by its keys, it runs" true field tty .State.Running
  matches "attach again" '^twice$' on_tty send:'' wait:'# ' send:'echo twi""ce' wait:'twice' send:exit -- attach tty
  eventually "and it has ended" is tty .State.Running false
  drop tty
}

check_limits() {
  up small --memory 32m --memory-swap 32m --cpus 0.5 --pids-limit 20 --cpu-shares 512 --cpuset-cpus 0
  same "memory limit" 33554432 limit small memory memory.limit_in_bytes memory.max
  same "pids limit" 20 limit small pids pids.max pids.max
  same "cpu limit" 50000 bash -c "echo '$(limit small cpu cpu.cfs_quota_us cpu.max)' | cut -d' ' -f1"
  same "cpuset" 0 limit small cpuset cpuset.cpus cpuset.cpus
  ok "update --memory" docker update --memory 48m --memory-swap 48m small
  same "the memory limit is updated" 50331648 limit small memory memory.limit_in_bytes memory.max
  ok "update --cpus" docker update --cpus 1.5 small
  same "the cpu limit is updated" 150000 bash -c "echo '$(limit small cpu cpu.cfs_quota_us cpu.max)' | cut -d' ' -f1"
  ok "update --pids-limit" docker update --pids-limit 30 small
  same "the pids limit is updated" 30 limit small pids pids.max pids.max
  refused "no more processes than the limit" 'fork' docker exec small sh -c 'i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i + 1)); done'
  drop small
  up busy -- sh -c 'while :; do :; done'
  matches "stats" '^busy [1-9][0-9.]*% [0-9.]+[KM]iB / [0-9.]+GiB [1-9]' docker stats --no-stream --format '{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}' busy
  matches "top" 'while :; do :; done' docker top busy
  matches "top with ps's options" '^ *PID +COMMAND|sh$' docker top busy -eo pid,comm
  drop busy
  up eater --memory 24m --memory-swap 24m -- sh -c 'a=0123456789abcdef; while :; do a=$a$a; done'
  eventually "out of memory: it ends" is eater .State.Running false
  same "out of memory: status" 137 field eater .State.ExitCode
  same "out of memory: flag" true field eater .State.OOMKilled
  drop eater
  same "ulimit" 123 run_it --ulimit nofile=123:123 -- sh -c 'ulimit -n'
  same "shared memory's size" 1024 run_it --shm-size 1m -- sh -c "df -k /dev/shm | awk 'NR == 2 { print \$2 }'"
  same "oom_score_adj" 500 run_it --oom-score-adj 500 -- cat /proc/self/oom_score_adj
}

check_security() {
  same "default capabilities" 'CapEff: 00000000a80425fb' bash -c "echo $(run_it -- grep CapEff /proc/self/status)"
  same "no capability" 'CapEff: 0000000000000000' bash -c "echo $(run_it --cap-drop ALL -- grep CapEff /proc/self/status)"
  same "one capability" 'CapEff: 0000000000000400' bash -c "echo $(run_it --cap-drop ALL --cap-add NET_BIND_SERVICE -- grep CapEff /proc/self/status)"
  same "a user has no capability" 'CapEff: 0000000000000000' bash -c "echo $(run_it --user 1000 -- grep CapEff /proc/self/status)"
  same "user by name" 'uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)' run_it --user user -- id
  same "user and group by number" 'uid=7 gid=8' run_it --user 7:8 -- sh -c 'id | cut -d" " -f1,2'
  matches "more groups" '77' run_it --group-add 77 -- id -G
  refused "no such user" 'unable to find user nobody2' run_it --user nobody2 -- id
  same "the default seccomp profile is on" 'Seccomp: 2' bash -c "echo $(run_it -- grep Seccomp: /proc/self/status)"
  same "seccomp may be off" 'Seccomp: 0' bash -c "echo $(run_it --security-opt seccomp=unconfined -- grep Seccomp: /proc/self/status)"
  refused "the default profile forbids unshare" 'Operation not permitted' run_it -- unshare -U true
  echo '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":95}]}' >"$TMP/seccomp.json"
  refused "a profile of one's own" 'not supported' run_it --security-opt "seccomp=$TMP/seccomp.json" -- mkdir /tmp/x
  same "no new privileges" 'NoNewPrivs: 1' bash -c "echo $(run_it --security-opt no-new-privileges -- grep NoNewPrivs /proc/self/status)"
  same "without, they are possible" 'NoNewPrivs: 0' bash -c "echo $(run_it -- grep NoNewPrivs /proc/self/status)"
  refused "/proc/sys is read-only" 'Read-only' run_it -- sh -c 'echo x >/proc/sys/kernel/hostname'
  privileged same "privileged may" x run_it --privileged -- sh -c 'echo x >/proc/sys/kernel/hostname; hostname'
  same "sysctl" 4 run_it --sysctl net.ipv4.ip_default_ttl=4 -- cat /proc/sys/net/ipv4/ip_default_ttl
  same "/proc/kcore is masked" 0 run_it -- sh -c 'cat /proc/kcore | wc -c'
  refused "a device is not allowed" 'Operation not permitted|No such' run_it --cap-add MKNOD -- sh -c 'mknod /tmp/d b 7 0 && cat /tmp/d'
  ok "a device that is given" run_it --device /dev/null:/dev/given -- sh -c 'test -c /dev/given && echo x >/dev/given'
}

check_mounts() {
  mkdir -p "$TMP/volume"
  mount --bind "$TMP/volume" "$TMP/volume" && mount --make-shared "$TMP/volume"
  echo there >"$TMP/volume/file"
  same "bind mount" there run_it --volume "$TMP/volume:/v" -- cat /v/file
  ok "a bind mount is writable" run_it --volume "$TMP/volume:/v" -- sh -c 'echo here >/v/file'
  same "and written" here cat "$TMP/volume/file"
  refused "a read-only bind mount" 'Read-only file system' run_it --volume "$TMP/volume:/v:ro" -- touch /v/x
  same "a file as bind mount" here run_it --volume "$TMP/volume/file:/etc/one" -- cat /etc/one
  refused "read-only root" 'Read-only file system' run_it --read-only -- touch /x
  ok "a tmpfs in a read-only root" run_it --read-only --tmpfs /scratch -- touch /scratch/x
  ok "a named volume" run_it --volume named:/data -- sh -c 'echo kept >/data/file'
  same "a named volume keeps its files" kept run_it --volume named:/data -- cat /data/file
  ok "a volume is removed" docker volume rm named
  refused "a bind mount's source must be there" 'bind source path does not exist' run_it --mount type=bind,src=/no/such,dst=/v -- true
  up slave --mount "type=bind,src=$TMP/volume,dst=/v,bind-propagation=rslave"
  mkdir -p "$TMP/volume/sub"
  mount --bind "$DIR/rootfs/etc" "$TMP/volume/sub"
  ok "a slave mount sees what the host mounts" docker exec slave test -e /v/sub/passwd
  umount "$TMP/volume/sub"
  drop slave
  umount "$TMP/volume"
  same "/etc/hosts has the name" box run_it --hostname box -- sh -c 'grep -o box /etc/hostname'
}

check_control() {
  up main --init=false -- sh -c 'trap "exit 5" TERM; trap "echo usr1" USR1; echo ready; while :; do sleep 0.1; done'
  eventually "it runs" logs_have main ready
  ok "kill --signal" docker kill --signal USR1 main
  eventually "the signal arrives" logs_have main usr1
  ok "pause" docker pause main
  same "paused" paused field main .State.Status
  refused "exec in a paused container" 'is paused' docker exec main true
  ok "unpause" docker unpause main
  same "running again" running field main .State.Status
  ok "rename" docker rename main other
  ok "stop" docker stop --time 10 other
  same "stop asks first" 5 field other .State.ExitCode
  ok "start again" docker start other
  eventually "it runs again" is other .State.Running true
  ok "restart" docker restart --time 0 other
  same "restarted" running field other .State.Status
  ok "kill" docker kill other
  eventually "killed" is other .State.Running false
  same "killed: status" 137 field other .State.ExitCode
  refused "kill a stopped one" 'is not running' docker kill other
  ok "rm" docker rm other
  up main
  refused "rm of a running one" 'annot remove .*running' docker rm main
  ok "rm --force" docker rm --force main
  up main
  docker pause main >/dev/null
  ok "rm --force of a paused one" docker rm --force main
  refused "a name is free again" 'No such' docker inspect main
  up slow --init=false -- sh -c 'trap "" TERM; while :; do sleep 0.1; done'
  ok "stop kills what does not end" docker stop --time 1 slow
  same "stopped with SIGKILL" 137 field slow .State.ExitCode
  drop slow
}

check_events() {
  local since
  since=$(date +%s)
  up seen --memory 24m --memory-swap 24m -- sh -c 'a=0123456789abcdef; while :; do a=$a$a; done'
  docker wait seen >/dev/null
  drop seen
  sleep 1
  same "events: a container's life in order" 'create start oom die destroy' events_of "$since" seen
  since=$(date +%s)
  up seen
  docker exec seen true
  docker pause seen >/dev/null
  docker unpause seen >/dev/null
  docker kill seen >/dev/null
  drop seen
  sleep 1
  same "events: exec, pause, kill" 'create start exec_create exec_start exec_die pause unpause kill die destroy' events_of "$since" seen
}
# Not the network's, whose place among them is open.
events_of() {
  docker events --since "$1" --until "$(date +%s)" --filter "container=$2" --format '{{.Action}}' | cut -d: -f1 | xargs
}

check_restarts() {
  local ticks
  up ticker --init=false -- sh -c 'trap "exit 6" TERM; i=0; while :; do i=$((i + 1)); echo tick $i; sleep 0.2; done'
  up idle
  stop "$DAEMON" TERM
  start_daemon
  eventually "$TARGET restarted: exec again" docker exec ticker true
  same "it still runs" running field ticker .State.Status
  ticks=$(docker logs ticker | wc -l)
  sleep 1
  ok "its log goes on" [ "$(docker logs ticker | wc -l)" -gt "$ticks" ]
  ok "kill after the restart" docker kill idle
  eventually "dockerd hears of the end" is idle .State.Running false
  same "with its status" 137 field idle .State.ExitCode
  drop idle

  up idle
  stop "$DAEMON" KILL
  start_daemon
  eventually "$TARGET killed and restarted: exec again" docker exec idle true
  same "a new container" new run_it -- echo new
  drop idle

  up ends -- sleep 2
  stop "$DOCKERD_PID" TERM
  start_dockerd
  same "dockerd restarted: it still runs" running field ticker .State.Status
  ok "exec after dockerd's restart" docker exec ticker true
  ticks=$(docker logs ticker | wc -l)
  sleep 1
  ok "the log goes on after dockerd's restart" [ "$(docker logs ticker | wc -l)" -gt "$ticks" ]
  eventually "what ends then is seen" is ends .State.Running false
  same "with status 0" 0 field ends .State.ExitCode
  drop ends

  up ends --init=false -- sh -c 'sleep 2; exit 8'
  stop "$DOCKERD_PID" KILL
  sleep 3
  start_dockerd
  eventually "what ended while dockerd was away is seen" is ends .State.Running false
  same "with its own status" 8 field ends .State.ExitCode
  drop ends

  stop "$DOCKERD_PID" KILL
  stop "$DAEMON" KILL
  start_daemon
  start_dockerd
  same "both restarted: it still runs" running field ticker .State.Status
  ok "stop after all restarts" docker stop --time 10 ticker
  same "and its status" 6 field ticker .State.ExitCode
  drop ticker
}
