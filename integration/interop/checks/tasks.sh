# run -d and task ls ps exec kill pause resume start rm

ok 'run -d' ctr run -d --pid-file "$TMP/pid" "$BUSYBOX" worker sh -c 'trap "exit 7" TERM; while :; do usleep 50000; done'
matches 'task ls has the table header' '^TASK +PID +STATUS' ctr task ls
matches 'task ls shows it running' '^worker +[0-9]+ +RUNNING' ctr task ls
same 'task ls -q' worker ctr task ls -q
same 'run --pid-file has the pid of the task' "$(task_pid worker)" cat "$TMP/pid"
ok 'the pid is that of a living process' test -d "/proc/$(task_pid worker)"
refused 'a second task of a container is refused' 'already exists' ctr task start worker
refused 'container rm refuses one with a task' 'task|running' ctr container rm worker
refused 'task rm refuses a running one' 'must be stopped|running' ctr task rm worker
matches 'task ps has the table header' '^PID +INFO' ctr task ps worker
matches 'task ps shows the first process' "^$(task_pid worker) +-" ctr task ps worker

same 'task exec prints what the process prints' hello ctr task exec --exec-id e1 worker echo hello
status 'task exec passes the exit code on' 9 ctr task exec --exec-id e2 worker sh -c 'exit 9'
same 'task exec --cwd' /tmp ctr task exec --exec-id e3 --cwd /tmp worker pwd
same 'task exec --user by number' '1000:1000' ctr task exec --exec-id e4 --user 1000:1000 worker sh -c 'echo $(id -u):$(id -g)'
exec_stdin() { typed typed | ctr task exec --exec-id e5 worker cat; }
same 'task exec hands on standard input, and its end' typed exec_stdin
refused 'task exec names a missing binary' 'no such file|not found' ctr task exec --exec-id e6 worker /no/such/binary
refused 'task exec in an unknown container' 'not found' ctr task exec --exec-id e7 nothing true
ok 'task exec -d' ctr task exec -d --exec-id background worker sleep 1000
matches 'task ps names the exec' 'background|ExecID' ctr task ps worker
same 'an exec sees the processes of the container' 1 ctr task exec --exec-id e8 worker sh -c 'test -d /proc/1 && ps | grep -c "[s]leep 1000"'
ok 'task kill --exec-id' ctr task kill --exec-id background --signal SIGKILL worker
eventually 'the exec is gone' gone ctr task exec --exec-id e9 worker sh -c 'ps | grep "[s]leep 1000"'
same 'task kill of an exec leaves the task' RUNNING task_status worker
status 'task rm --exec-id gives the exit code' 137 ctr task rm --exec-id background worker
refused 'task rm --exec-id of an unknown one' 'not found' ctr task rm --exec-id background worker

ok 'task pause' ctr task pause worker
same 'task ls shows it paused' PAUSED task_status worker
refused 'task exec in a paused one is refused' 'paused|cannot' ctr task exec --exec-id e10 worker true
ok 'task resume' ctr task resume worker
same 'task ls shows it running again' RUNNING task_status worker
same 'task exec works after resume' again ctr task exec --exec-id e11 worker echo again

ok 'task kill' ctr task kill --signal SIGTERM worker
eventually 'task ls shows it stopped' has_status worker STOPPED
refused 'task kill of a stopped one' 'not found|already finished' ctr task kill worker
refused 'task exec in a stopped one is refused' 'cannot|not running|failed precondition' ctr task exec --exec-id e12 worker true
warns 'task rm tells the exit code' 'exit with non-zero exit code 7' ctr task rm worker
refused 'task rm of an unknown one' 'not found' ctr task rm worker
ok 'container rm after task rm' ctr container rm worker

ok 'run -d of one with children' ctr run -d "$BUSYBOX" family sh -c 'sleep 1000 & sleep 1000 & wait'
children() { [ "$(ctr task ps family | grep -c '^[0-9]')" -eq 3 ]; }
eventually 'task ps shows every process' children
ok 'task kill --all' ctr task kill --all --signal SIGKILL family
eventually 'task kill --all stops it' has_status family STOPPED
warns 'task rm after kill --all' 'exit code 137' ctr task rm family
ctr container rm family

ok 'run -d for rm --force' ctr run -d "$BUSYBOX" forced sleep 1000
warns 'task rm --force kills' 'exit code 137' ctr task rm --force forced
ok 'task start again' ctr task start -d forced
same 'a task that was started again runs' RUNNING task_status forced
discard forced
same 'nothing is left' '' ctr task ls -q
