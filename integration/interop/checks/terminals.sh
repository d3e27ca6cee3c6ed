# run -t, exec -t, attach: through a real terminal

run_tty() { on_terminal -- run --rm -t "$BUSYBOX" "tty-$RANDOM" "$@"; }
matches 'run -t gives the process a terminal' '/dev/(pts/0|console)' run_tty tty
# ctr hands the size on after the task started.
matches 'run -t hands on the size of the terminal' '33 77' run_tty sh -c 'usleep 500000; stty size'
status 'run -t passes the exit code on' 6 run_tty sh -c 'exit 6'
matches 'run -t sets TERM' 'TERM=xterm' run_tty env
shell() { on_terminal 'wait:[#$] ' 'send:echo sum-$((6 * 7))' 'wait:sum-42' 'send:exit 3' -- run --rm -t "$BUSYBOX" "shell-$RANDOM" sh; }
status 'run -t works like a shell, exit code included' 3 shell
interrupted() {
  on_terminal 'wait:[#$] ' 'send:sh -c "echo go-\$((1)); exec sleep 100"' 'wait:go-1' key:c 'wait:[#$] ' 'send:echo after-$((1 + 1))' 'wait:after-2' 'send:exit 0' \
    -- run --rm -t "$BUSYBOX" "shell-$RANDOM" sh
}
ok 'the interrupt key ends the foreground job only' interrupted
end_of_file() { on_terminal 'wait:[#$] ' key:d -- run --rm -t "$BUSYBOX" "shell-$RANDOM" sh; }
ok 'the end-of-file key ends the shell' end_of_file

detached() { on_terminal -- run -d -t "$BUSYBOX" console sh; }
ok 'run -d -t' detached
exec_tty() { on_terminal -- task exec -t --exec-id "tty-$RANDOM" console "$@"; }
matches 'task exec -t gives a terminal' '/dev/pts/' exec_tty tty
matches 'task exec -t hands on the size' '33 77' exec_tty sh -c 'usleep 500000; stty size'
status 'task exec -t passes the exit code on' 8 exec_tty sh -c 'exit 8'
attached() { on_terminal 'send:echo attached-$((20 + 3))' 'wait:attached-23' 'send:exit 4' -- task attach console; }
status 'task attach talks to the terminal and gives the exit code' 4 attached
refused 'an attached task is deleted when it ends' 'not found' ctr task rm console
discard console

ctr run -d "$BUSYBOX" plain sh -c 'while read -r line; do echo "read $line"; [ "$line" = end ] && exit 5; done' >/dev/null
attach_plain() { typed one end | ctr task attach plain; }
attach_plain >"$TMP/attached"
same 'task attach without a terminal gives the exit code' 5 echo $?
matches 'task attach talks to a process without a terminal' '^read one$' cat "$TMP/attached"
discard plain
