# events

command ctr --address "$ADDRESS" events >"$TMP/events" 2>&1 &
watcher=$!
command ctr --address "$ADDRESS" events 'topic=="/tasks/exit"' >"$TMP/filtered" 2>&1 &
filtered=$!
sleep 1
ctr image tag "$BUSYBOX" docker.io/test/evented:1 >/dev/null
ctr image label docker.io/test/evented:1 a=b >/dev/null
ctr image rm docker.io/test/evented:1 >/dev/null
ctr run -d "$BUSYBOX" evented sleep 1000
ctr task exec --exec-id watched evented true
ctr task pause evented
ctr task resume evented
ctr task kill --signal SIGKILL evented
eventually 'an exit event comes' file_has "$TMP/events" '/tasks/exit .*"id":"evented"'
ctr task rm evented >/dev/null
ctr container rm evented
eventually 'a container delete event comes' file_has "$TMP/events" '/containers/delete .*"id":"evented"'
sleep 0.3
kill $watcher $filtered
wait $watcher $filtered 2>/dev/null

matches 'a line has time, namespace, topic and event' "^20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9:.]+ \+0000 UTC $NS /tasks/start \{\"container_id\":\"evented\",\"pid\":[0-9]+\}" cat "$TMP/events"
for topic in images/create images/update images/delete snapshot/prepare containers/create tasks/create tasks/start tasks/exec-added \
  tasks/exec-started tasks/paused tasks/resumed tasks/exit tasks/delete containers/delete; do
  matches "event /$topic" " $NS /$topic \{" cat "$TMP/events"
done
task_topics() { awk -v ns="$NS" '$5 == ns && /evented/ && /\/tasks\// { print $6 }' "$TMP/events" | sed 's/^\/tasks\///' | tr '\n' ' ' | sed 's/ $//'; }
same 'task events come in order' 'create start exec-added exec-started exit paused resumed exit delete' task_topics
matches 'the create event names bundle, rootfs and image options' '/tasks/create .*"bundle":"/.*"rootfs":\[.*"pid":[0-9]+' cat "$TMP/events"
matches 'the exit event has the status' '/tasks/exit .*"exit_status":137' cat "$TMP/events"
lacks 'a filter lets only its topic through' '/tasks/start' cat "$TMP/filtered"
matches 'a filter lets its topic through' '/tasks/exit' cat "$TMP/filtered"
