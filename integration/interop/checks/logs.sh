# --log-uri file:// and binary://

ok 'run --log-uri file' ctr run -d --log-uri "file://$TMP/file.log" "$BUSYBOX" filed sh -c 'echo to-stdout; echo to-stderr >&2; sleep 1000'
eventually 'the log file gets stdout' file_has "$TMP/file.log" '^to-stdout$'
eventually 'the log file gets stderr' file_has "$TMP/file.log" '^to-stderr$'
discard filed
ctr run -d --log-uri "file://$TMP/file.log" "$BUSYBOX" filed echo once-more >/dev/null
eventually 'a log file is appended to' file_has "$TMP/file.log" '^once-more$'
ok 'what was there stays' file_has "$TMP/file.log" '^to-stdout$'
discard filed

# A logger: fd 3 is stdout, 4 stderr, 5 is closed when it is ready.
cat >"$TMP/logger" <<'LOGGER'
#!/bin/bash
echo "pid $$" >>"$2"
echo "args $* id $CONTAINER_ID ns $CONTAINER_NAMESPACE" >>"$2"
sed -u 's/^/out: /' <&3 >>"$2" 5>&- &
sed -u 's/^/err: /' <&4 >>"$2" 5>&- &
exec 5>&-
wait
LOGGER
chmod +x "$TMP/logger"
ok 'run --log-uri binary' ctr run -d --log-uri "binary://$TMP/logger?file=$TMP/binary.log" "$BUSYBOX" logged sh -c 'echo to-stdout; echo to-stderr >&2; sleep 1000'
eventually 'the logger gets its arguments and environment' file_has "$TMP/binary.log" "^args file $TMP/binary.log id logged ns $NS\$"
eventually 'the logger gets stdout' file_has "$TMP/binary.log" '^out: to-stdout$'
eventually 'the logger gets stderr' file_has "$TMP/binary.log" '^err: to-stderr$'
logger=$(sed -n 's/^pid //p' "$TMP/binary.log")
ok 'the logger runs as long as the task does' kill -0 "$logger"
discard logged
eventually 'the logger ends with the task' gone kill -0 "$logger"
refused 'a logger that does not exist is named' 'no such file|not found|nologger' ctr run -d --log-uri "binary://$TMP/nologger" "$BUSYBOX" unlogged true
discard unlogged
ok 'task exec --log-uri' bash -c "
  ctr --address '$ADDRESS' -n '$NS' run -d '$BUSYBOX' execlog sleep 1000 &&
  ctr --address '$ADDRESS' -n '$NS' task exec -d --exec-id l1 --log-uri 'file://$TMP/exec.log' execlog echo from-exec"
eventually 'the log of an exec is written' file_has "$TMP/exec.log" '^from-exec$'
discard execlog
