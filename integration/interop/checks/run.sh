# run: options that change what the process sees

same 'run prints what the process prints' hello in_container -- echo hello
stderr_of() { in_container -- sh -c 'echo out; echo err >&2' 2>&1 >/dev/null; }
same 'run keeps stderr apart' err stderr_of
stdin_of() { typed typed | ctr run --rm "$BUSYBOX" stdin cat; }
same 'run hands on standard input, and its end' typed stdin_of
status 'run passes exit code 0 on' 0 in_container -- true
status 'run passes exit code 1 on' 1 in_container -- false
status 'run passes exit code 42 on' 42 in_container -- sh -c 'exit 42'
status 'run passes death by a signal on' 143 in_container -- sh -c 'sh -c "kill \$\$"; exit $?'
same 'run --rm leaves no container' '' bash -c "ctr --address '$ADDRESS' -n '$NS' container ls -q"
refused 'run names a missing binary' 'no such file|not found' in_container -- /no/such/binary
lacks 'a run that failed leaves no container' . ctr container ls -q
refused 'run refuses an unknown image' 'not found' ctr run --rm docker.io/test/none:1 x true
refused 'run refuses -d with --rm' 'rm|detach' ctr run -d --rm "$BUSYBOX" x true

same 'run --env' 'A=1 B=two words' in_container --env A=1 --env 'B=two words' -- sh -c 'echo "A=$A B=$B"'
printf 'FROM_FILE=yes\n' >"$TMP/env"
same 'run --env-file' yes in_container --env-file "$TMP/env" -- sh -c 'echo $FROM_FILE'
same 'run --cwd' /tmp in_container --cwd /tmp -- pwd
same 'run without --cwd is in the root' / in_container -- pwd
same 'the image sets user, directory and environment' '1000:1000 /home yes' bash -c "
  ctr --address '$ADDRESS' -n '$NS' image import ${LOCAL_VERBS:+--local} '$IMAGES/user.tar' >/dev/null
  ctr --address '$ADDRESS' -n '$NS' run --rm '$USERIMAGE' image-user sh -c 'echo \$(id -u):\$(id -g) \$(pwd) \$FROM_IMAGE'"
ctr image rm --sync "$USERIMAGE" >/dev/null

mkdir "$TMP/bind" && echo from-host >"$TMP/bind/file"
same 'run --mount binds' from-host in_container --mount "type=bind,src=$TMP/bind,dst=/mnt/host,options=rbind:ro" -- cat /mnt/host/file
status 'a read-only bind refuses writes' 1 in_container --mount "type=bind,src=$TMP/bind,dst=/mnt/host,options=rbind:ro" -- touch /mnt/host/new
ok 'a writable bind takes writes' in_container --mount "type=bind,src=$TMP/bind,dst=/mnt/host,options=rbind:rw" -- touch /mnt/host/new
ok 'what the container wrote is on the host' test -e "$TMP/bind/new"
same 'run --mount tmpfs' tmpfs in_container --mount type=tmpfs,src=tmpfs,dst=/scratch,options=size=1m -- sh -c "awk '\$2 == \"/scratch\" { print \$3 }' /proc/mounts"
status 'run --read-only' 1 in_container --read-only -- touch /file
ok 'run without --read-only' in_container -- touch /file

host_net=$(readlink /proc/self/ns/net)
same 'run --net-host' "$host_net" in_container --net-host -- readlink /proc/self/ns/net
lacks 'run without --net-host has its own' "^$(printf %q "$host_net")\$" in_container -- readlink /proc/self/ns/net
same 'a container sees only its own processes' 1 in_container -- sh -c 'echo $$'
lacks 'a container has its own host name space' "$(readlink /proc/self/ns/uts | tr -dc 0-9)" in_container -- readlink /proc/self/ns/uts
ctr run -d "$BUSYBOX" joined sleep 1000
joined=/proc/$(task_pid joined)/ns/net
same 'run --with-ns joins a namespace' "$(readlink "$joined")" in_container --with-ns "network:$joined" -- readlink /proc/self/ns/net
discard joined

capability() { in_container "$@" -- grep '^CapEff' /proc/self/status | cut -f2; }
same 'the default capabilities' 00000000a80425fb capability
same 'run --cap-add' 00000000a82425fb capability --cap-add CAP_SYS_ADMIN
same 'run --cap-drop' 00000000a80425fa capability --cap-drop CAP_CHOWN
same 'run --privileged gives all capabilities that there are' "$(grep '^CapEff' /proc/self/status | cut -f2)" capability --privileged
same 'inheritable capabilities are empty' 0000000000000000 bash -c "ctr --address '$ADDRESS' -n '$NS' run --rm '$BUSYBOX' inh grep '^CapInh' /proc/self/status | cut -f2"
same 'new privileges are off' 1 bash -c "ctr --address '$ADDRESS' -n '$NS' run --rm '$BUSYBOX' nnp grep NoNewPrivs /proc/self/status | cut -f2"
same 'run --allow-new-privs' 0 bash -c "ctr --address '$ADDRESS' -n '$NS' run --rm --allow-new-privs '$BUSYBOX' anp grep NoNewPrivs /proc/self/status | cut -f2"
status 'proc paths are read-only by default' 1 in_container -- sh -c 'echo 1 >/proc/sys/kernel/printk'
same 'masked paths are empty' 0 in_container -- sh -c 'cat /proc/kcore | wc -c'
ok 'run --privileged does not mask' in_container --privileged -- test -r /proc/timer_list

seccomp_mode() { in_container "$@" -- grep '^Seccomp:' /proc/self/status | cut -f2; }
same 'run without --seccomp has no filter' 0 seccomp_mode
same 'run --seccomp has one' 2 seccomp_mode --seccomp
printf '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":28}]}' >"$TMP/seccomp.json"
refused 'run --seccomp-profile applies the profile' 'No space left' in_container --seccomp --seccomp-profile "$TMP/seccomp.json" -- mkdir /made

same 'run --rootfs' from-rootfs bash -c "
  mkdir -p '$TMP/rootfs/bin' '$TMP/rootfs/proc' '$TMP/rootfs/sys' '$TMP/rootfs/dev'
  cp /usr/bin/busybox '$TMP/rootfs/bin/sh'
  ctr --address '$ADDRESS' -n '$NS' run --rm --rootfs '$TMP/rootfs' rooted /bin/sh -c 'echo from-rootfs'"
ok 'run --rootfs leaves the directory alone' test -x "$TMP/rootfs/bin/sh"
same 'run --label shows up' red bash -c "
  ctr --address '$ADDRESS' -n '$NS' run -d --label color=red '$BUSYBOX' labelled true
  ctr --address '$ADDRESS' -n '$NS' container info labelled | sed -n 's/.*\"color\": \"\\(.*\\)\".*/\\1/p' | head -1"
discard labelled
same 'run --snapshotter native' native-ok in_container --snapshotter native -- echo native-ok
same 'run --null-io drops the output' '' in_container --null-io -- echo dropped
ok 'a device is there with --device' in_container --device /dev/fuse -- test -c /dev/fuse
status 'devices that were not given cannot be read' 1 in_container --cap-add CAP_MKNOD -- sh -c 'mknod /disk b 254 0 && head -c 1 /disk >/dev/null'
same 'the usual devices are there' 'full null ptmx random tty urandom zero' in_container -- sh -c 'cd /dev; for d in full null ptmx random tty urandom zero; do test -c $d && echo $d; done | tr "\n" " " | sed "s/ \$//"'
same 'dev has the usual links' '/proc/self/fd /proc/self/fd/0' in_container -- sh -c 'echo $(readlink /dev/fd) $(readlink /dev/stdin)'
