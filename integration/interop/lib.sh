# Assertions and helpers for ctr.sh. Each assertion prints one line.

PASSED=0
FAILED=0

pass() { PASSED=$((PASSED + 1)); printf 'ok    %s\n' "$1"; }
fail() {
  FAILED=$((FAILED + 1))
  printf 'FAIL  %s\n' "$1"
  shift
  for line in "$@"; do printf '      %s\n' "$line"; done
}

# A call that hangs must end the check, not the run. ctr 2.x does some verbs of images in the daemon,
# through the Transfer service, unless it is told otherwise: what is tested here are the services below.
ctr() {
  if [ "$1" = image ] && [[ " $LOCAL_VERBS " == *" $2 "* ]]; then set -- "$1" "$2" --local "${@:3}"; fi
  timeout --kill-after=1 "${CTR_TIMEOUT:-30}" ctr --address "$ADDRESS" --namespace "$NS" "$@"
}
LOCAL_VERBS=$(for verb in import export tag; do
  if command ctr image "$verb" --help | grep -q -e --local; then echo "$verb"; fi
done | paste -sd' ')

# ok NAME COMMAND...: the command exits 0.
ok() {
  local name=$1 output status
  shift
  output=$("$@" 2>&1 </dev/null)
  status=$?
  if [ $status -eq 0 ]; then pass "$name"; else fail "$name" "command: $*" "status: $status" "output: ${output:0:600}"; fi
}

# status NAME EXPECTED COMMAND...: the command exits with exactly this status.
status() {
  local name=$1 expected=$2 output status
  shift 2
  output=$("$@" 2>&1 </dev/null)
  status=$?
  if [ $status -eq "$expected" ]; then pass "$name"; else fail "$name" "command: $*" "status: $status, expected $expected" "output: ${output:0:600}"; fi
}

# refused NAME PATTERN COMMAND...: the command fails, and what it says matches.
refused() {
  local name=$1 pattern=$2 output status
  shift 2
  output=$("$@" 2>&1 </dev/null)
  status=$?
  if [ $status -ne 0 ] && [ $status -ne 124 ] && grep -Eq -- "$pattern" <<<"$output"; then pass "$name"
  else fail "$name" "command: $*" "status: $status" "expected failure matching: $pattern" "output: ${output:0:600}"; fi
}

# same NAME EXPECTED COMMAND...: the command's standard output is exactly this.
same() {
  local name=$1 expected=$2 output
  shift 2
  output=$("$@" 2>"$TMP/stderr" </dev/null | tr -d '\r')
  if [ "$output" = "$expected" ]; then pass "$name"
  else fail "$name" "command: $*" "expected: $expected" "output: ${output:0:600}" "stderr: $(head -c 400 "$TMP/stderr")"; fi
}

# matches NAME PATTERN COMMAND...: some line of the command's standard output matches.
matches() {
  local name=$1 pattern=$2 output
  shift 2
  output=$("$@" 2>"$TMP/stderr" </dev/null | tr -d '\r')
  if grep -Eq -- "$pattern" <<<"$output"; then pass "$name"
  else fail "$name" "command: $*" "expected a line matching: $pattern" "output: ${output:0:900}" "stderr: $(head -c 400 "$TMP/stderr")"; fi
}

# warns NAME PATTERN COMMAND...: the command exits 0 and says something that matches.
warns() {
  local name=$1 pattern=$2 output status
  shift 2
  output=$("$@" 2>&1 </dev/null)
  status=$?
  if [ $status -eq 0 ] && grep -Eq -- "$pattern" <<<"$output"; then pass "$name"
  else fail "$name" "command: $*" "status: $status" "expected output matching: $pattern" "output: ${output:0:600}"; fi
}

# lacks NAME PATTERN COMMAND...: the command succeeds and no line of its output matches.
lacks() {
  local name=$1 pattern=$2 output
  shift 2
  if ! output=$("$@" 2>"$TMP/stderr" </dev/null); then
    fail "$name" "command failed: $*" "stderr: $(head -c 400 "$TMP/stderr")"
  elif grep -Eq -- "$pattern" <<<"$output"; then
    fail "$name" "command: $*" "expected no line matching: $pattern" "output: ${output:0:600}"
  else pass "$name"; fi
}

# eventually NAME COMMAND...: the command succeeds within ten seconds.
eventually() {
  local name=$1 tries=100
  shift
  while [ $tries -gt 0 ]; do
    if "$@" >/dev/null 2>&1; then pass "$name"; return 0; fi
    tries=$((tries - 1))
    sleep 0.1
  done
  fail "$name" "never succeeded: $*"
  return 1
}

# on_terminal [STEP...] -- CTR ARGUMENTS...: runs ctr on a real terminal of 33 rows and 77 columns (see terminal.py).
on_terminal() {
  local steps=()
  while [ "$1" != -- ]; do steps+=("$1"); shift; done
  shift
  timeout --kill-after=5 60 python3 "$here/terminal.py" 33 77 ${steps[@]+"${steps[@]}"} -- ctr --address "$ADDRESS" --namespace "$NS" "$@"
}

# What is typed into ctr is sent a while after it started: ctr 1.6 loses the end of input that comes
# before the task is created.
typed() { printf '%s\n' "$@"; sleep 1; }

task_status() { ctr task ls | awk -v id="$1" '$1 == id { print $3 }'; }
task_pid() { ctr task ls | awk -v id="$1" '$1 == id { print $2 }'; }
has_status() { [ "$(task_status "$1")" = "$2" ]; }
file_has() { grep -Eq -- "$2" "$1"; }
gone() { ! "$@"; }

# in_container [RUN OPTION...] -- COMMAND...: output of the command in a fresh container of busybox.
SEQUENCE=0
in_container() {
  local options=()
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  SEQUENCE=$((SEQUENCE + 1))
  ctr run --rm "${options[@]}" "$BUSYBOX" "c$SEQUENCE-$RANDOM" "$@"
}

# cgroup_value V1CONTROLLER V1FILE V2FILE ID: the first line of the container's file.
cgroup_value() {
  local v1=/sys/fs/cgroup/$1/$NS/$4/$2 v2=/sys/fs/cgroup/$NS/$4/$3
  if [ -e "$v1" ]; then head -1 "$v1"; else head -1 "$v2"; fi
}

# Removes a container and its task, whatever their state.
discard() {
  local id
  for id in "$@"; do
    ctr task kill --signal SIGKILL --all "$id" >/dev/null 2>&1
    ctr task rm --force "$id" >/dev/null 2>&1
    ctr container rm "$id" >/dev/null 2>&1
  done
}

# Empties the namespace, so that what stays behind is the daemon's doing, and prints the result.
finish() {
  local id key
  jobs -p | while read -r id; do kill "$id" 2>/dev/null; done
  for id in $(ctr container ls --quiet); do discard "$id"; done
  ctr image ls --quiet | while read -r id; do ctr image rm --sync "$id"; done >/dev/null 2>&1
  ctr leases ls --quiet | while read -r id; do ctr leases rm --sync "$id"; done >/dev/null 2>&1
  for _ in 1 2 3 4 5 6; do
    ctr snapshot ls | awk 'NR > 1 { print $1 }' | while read -r key; do ctr snapshot rm "$key"; done >/dev/null 2>&1
  done
  ctr content ls --quiet | while read -r key; do ctr content rm "$key"; done >/dev/null 2>&1
  for id in "$NS" "$NS-other"; do ctr namespaces rm "$id" >/dev/null 2>&1; done
  rm -rf "$TMP"
  printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
  [ "$FAILED" -eq 0 ] || exit 1
}

# within SECONDS COMMAND...: the command succeeds in that time.
within() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.1
  done
}
