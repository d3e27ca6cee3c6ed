# content ls get ingest active label rm

printf 'hello content\n' >"$TMP/blob"
blob=sha256:$(sha256sum "$TMP/blob" | cut -d' ' -f1)
size=$(stat -c %s "$TMP/blob")

ok 'content ingest takes expected size and digest' bash -c "ctr --address '$ADDRESS' -n '$NS' content ingest --expected-size $size --expected-digest $blob first <'$TMP/blob'"
same 'content get gives the bytes back' 'hello content' ctr content get "$blob"
matches 'content ls has the table header' '^DIGEST[[:space:]]+SIZE[[:space:]]+AGE[[:space:]]+LABELS' ctr content ls
matches 'content ls shows the blob' "^$blob[[:space:]]+14B[[:space:]]" ctr content ls
matches 'content ls -q prints digests' "^$blob\$" ctr content ls -q
refused 'content ingest refuses a wrong digest' 'failed precondition|unexpected commit digest' bash -c "echo other | ctr --address '$ADDRESS' -n '$NS' content ingest --expected-digest sha256:$(printf x | sha256sum | cut -d' ' -f1) second"
refused 'content ingest refuses a wrong size' 'failed precondition|size' bash -c "echo other | ctr --address '$ADDRESS' -n '$NS' content ingest --expected-size 3 third"
refused 'content get of an unknown digest' 'not found' ctr content get sha256:0000000000000000000000000000000000000000000000000000000000000000
refused 'content get of a malformed digest' 'invalid|unsupported' ctr content get sha256:xyz

# A slow ingest is listed as active while it lasts.
(printf 'part'; sleep 3) | ctr content ingest slow >/dev/null 2>&1 &
slow=$!
shows_active() { ctr content active | grep -q 'slow'; }
eventually 'content active shows an ingest' shows_active
matches 'content active has the table header' '^REF[[:space:]]+SIZE[[:space:]]+AGE' ctr content active
refused 'a second writer of a reference is refused' 'unavailable|locked' bash -c "echo x | timeout 1 ctr --address '$ADDRESS' -n '$NS' content ingest slow || { echo 'locked'; exit 1; }"
wait $slow
matches 'what was ingested slowly is there' "^sha256:$(printf part | sha256sum | cut -d' ' -f1)\$" ctr content ls -q
lacks 'content active is empty again' slow ctr content active

ok 'content label' ctr content label "$blob" color=red containerd.io/gc.root=now
matches 'content label is listed' "^$blob.*color=red" ctr content ls
ok 'content label clears' ctr content label "$blob" color=
lacks 'a cleared content label is gone' 'color=red' ctr content ls
matches 'content ls filters by label' "^$blob\$" ctr content ls -q 'labels."containerd.io/gc.root"==now'
same 'content ls leaves out what the filter excludes' '' ctr content ls -q 'labels.nothing==x'
same 'content rm prints the digest' "$blob" ctr content rm "$blob"
refused 'content rm removes' 'not found' ctr content get "$blob"
ctr content rm "sha256:$(printf part | sha256sum | cut -d' ' -f1)" >/dev/null
