# run: limits, seen in the cgroup

ok 'run with limits' ctr run -d --memory-limit 67108864 --cpus 0.5 --cpu-shares 512 "$BUSYBOX" limited sleep 1000
same 'run --memory-limit' 67108864 cgroup_value memory memory.limit_in_bytes memory.max limited
cpu_quota() { cgroup_value cpu cpu.cfs_quota_us cpu.max limited | cut -d' ' -f1; }
same 'run --cpus' 50000 cpu_quota
if [ -e /sys/fs/cgroup/cpu/"$NS"/limited ]; then
  same 'run --cpu-shares' 512 cgroup_value cpu cpu.shares cpu.weight limited
fi
pid=$(task_pid limited)
matches 'the process is in its cgroup' "/$NS/limited" cat "/proc/$pid/cgroup"
matches 'task metrics prints a table' '^ID +TIMESTAMP' ctr task metrics limited
matches 'task metrics names the container' '^limited +(20|seconds:)' ctr task metrics limited
matches 'task metrics has the memory limit' 'memory\.limit_in_bytes +67108864|memory\.usage_limit +67108864' ctr task metrics limited
matches 'task metrics --format json' '"cpu"|"CPU"' ctr task metrics --format json limited
discard limited
lacks 'delete removes the cgroup' limited find /sys/fs/cgroup -maxdepth 3 -path "*/$NS/*"

# A process that asks for more than it may have is killed, and the exit code says so.
status 'a container over its memory limit is killed' 137 in_container --memory-limit 8388608 -- sh -c 'exec dd if=/dev/zero of=/dev/null bs=64M count=1'
same 'run --cgroup' 0 bash -c "
  ctr --address '$ADDRESS' -n '$NS' run -d --cgroup '/$NS/elsewhere' '$BUSYBOX' placed sleep 1000
  grep -q '/$NS/elsewhere' /proc/\$(ctr --address '$ADDRESS' -n '$NS' task ls | awk '\$1 == \"placed\" { print \$2 }')/cgroup; echo \$?"
discard placed
