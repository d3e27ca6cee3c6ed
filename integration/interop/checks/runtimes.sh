# ctr run --runc-binary: another OCI runtime does what the shim would do itself.

for binary in runc "$here/../../bin/davit-oci"; do
  path=$(command -v "$binary") && path=$(realpath "$path")
  if [ -z "$path" ]; then
    echo "skip  runtimes: no $binary"
    continue
  fi
  by="by ${path##*/}"
  same "run $by" hello ctr run --rm --runc-binary "$path" "$BUSYBOX" other echo hello
  status "its exit status $by" 7 ctr run --rm --runc-binary "$path" "$BUSYBOX" other sh -c 'exit 7'
  refused "a program that is not there $by" 'executable file not found in \$PATH' \
    ctr run --rm --runc-binary "$path" "$BUSYBOX" other nosuch
  discard other
  matches "run on a terminal $by" '^/dev/(pts/0|console)' \
    on_terminal -- run --rm -t --runc-binary "$path" "$BUSYBOX" other tty
  discard other
  ctr run -d --runc-binary "$path" "$BUSYBOX" other sleep 1000 >/dev/null
  same "run --detach $by" RUNNING task_status other
  same "exec $by" from-exec ctr task exec --exec-id e1 other echo from-exec
  status "exec's exit status $by" 3 ctr task exec --exec-id e2 other sh -c 'exit 3'
  ok "pause $by" ctr task pause other
  ok "resume $by" ctr task resume other
  ok "metrics $by" ctr task metrics other
  ok "kill $by" ctr task kill --signal SIGKILL other
  eventually "it stops $by" has_status other STOPPED
  discard other
done
refused 'a runtime that is not there' '/no/such/runtime' ctr run --rm --runc-binary /no/such/runtime "$BUSYBOX" other true
discard other
