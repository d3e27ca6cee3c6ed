# ctr container checkpoint/restore, ctr task checkpoint: a counter goes on counting in another container.

# Debian bookworm's criu, 3.17, does not work on newer kernels.
if ! criu check >/dev/null 2>&1; then
  echo "skip  checkpoints: $(command -v criu >/dev/null && echo 'this criu does not work on this kernel' || echo 'no criu in $PATH')"
  return 0
fi

# The file is empty for a moment whenever it is written.
count_of() {
  local count=
  until [ -n "$count" ]; do count=$(ctr task exec --exec-id "e$RANDOM" "$1" cat /count) || return 1; done
  echo "$count"
}
# counts ID FROM: the counter is above FROM, and grows.
counts() {
  local first second
  first=$(count_of "$1") && sleep 0.3 && second=$(count_of "$1") && [ "$first" -gt "$2" ] && [ "$second" -gt "$first" ]
}
CHECKPOINT=docker.io/test/checkpoint:latest

refused 'checkpoint of a container without task' 'not found|no such' ctr container checkpoint --task absent "$CHECKPOINT"
ctr run -d "$BUSYBOX" counter sh -c 'i=0; while :; do i=$((i+1)); echo $i >/count; sleep 0.05; done' >/dev/null
eventually 'the counter counts' counts counter 0
seen=$(count_of counter)
saved=$seen
CTR_TIMEOUT=60 ok 'container checkpoint' ctr container checkpoint --task --rw --image counter "$CHECKPOINT"
ok 'it counts on' counts counter "$seen"
same 'and is running' RUNNING task_status counter
matches 'the images of the processes are content' criu.checkpoint.criu.tar ctr content get "$(ctr image ls | awk -v r="$CHECKPOINT" '$1 == r { print $3 }')"

CTR_TIMEOUT=60 ok 'task checkpoint into a folder' ctr task checkpoint --image-path "$TMP/criu" counter
ok 'which CRIU has filled' test -s "$TMP/criu/inventory.img"
seen=$(count_of counter)
CTR_TIMEOUT=60 ok 'task checkpoint --exit' ctr task checkpoint --exit --image-path "$TMP/criu-exit" counter
eventually 'it ends' has_status counter STOPPED
discard counter

CTR_TIMEOUT=60 ctr container restore --live --rw restored "$CHECKPOINT" </dev/null >/dev/null 2>&1 &
eventually 'container restore' has_status restored RUNNING
ok 'it counts on from there' counts restored "$saved"
refused 'a name that is taken stays what it is' 'already exists' ctr container checkpoint --image restored "$BUSYBOX"
ok 'it can be paused' ctr task pause restored
ok 'and resumed' ctr task resume restored
ok 'and killed' ctr task kill --signal SIGKILL restored
# davit removes the task then, ctr does not.
eventually 'it ends' gone has_status restored RUNNING
discard restored

if [[ $(command ctr --version) != davit* ]]; then
  echo 'skip  a terminal: ctr 1.6 asks for none when it restores'
else
  on_terminal -- run -d -t "$BUSYBOX" typist sh -c 'while read -r line; do echo "got $line"; [ "$line" = end ] && exit 6; done' >/dev/null
  CTR_TIMEOUT=60 ok 'checkpoint of a container with a terminal' ctr container checkpoint --task "typist" "$CHECKPOINT-tty"
  discard typist
  typed_on() { on_terminal 'send:more' 'wait:got more' 'send:end' -- container restore --live typist-2 "$CHECKPOINT-tty"; }
  status 'what is typed arrives at its new terminal' 6 typed_on
  discard typist-2
  ok 'remove the checkpoint of the terminal' ctr image rm --sync "$CHECKPOINT-tty"
fi
ok 'remove the checkpoint' ctr image rm --sync "$CHECKPOINT"
