# image import ls check label tag export mount unmount rm

matches 'image import says what it unpacks' "unpacking $LAYERED \(sha256:[0-9a-f]{64}\)\.\.\.done" ctr image import "$IMAGES/layered.tar"
matches 'image ls has the table header' '^REF +TYPE +DIGEST +SIZE +PLATFORMS +LABELS' ctr image ls
matches 'image ls shows the image' "^$LAYERED +application/vnd.oci.image.manifest.v1\+json +sha256:[0-9a-f]{64} +[0-9.]+ MiB +linux/" ctr image ls
matches 'image ls -q prints references' "^$LAYERED\$" ctr image ls -q
matches 'image ls filters by name' "^$LAYERED\$" ctr image ls -q "name==$LAYERED"
lacks 'image ls leaves out what the filter excludes' busybox ctr image ls -q "name==$LAYERED"
matches 'image check finds it complete and unpacked' "^$LAYERED +.* complete \(4/4\) +.*/.* +true" ctr image check

ok 'image label' ctr image label "$LAYERED" color=red
matches 'image label is listed' "^$LAYERED .*color=red" ctr image ls
ok 'image label clears' ctr image label "$LAYERED" color=
lacks 'a cleared image label is gone' 'color=red' ctr image ls
refused 'image label of an unknown image' 'not found' ctr image label docker.io/test/none:1 a=b

same 'image tag prints the new name' docker.io/test/tagged:v1 ctr image tag "$LAYERED" docker.io/test/tagged:v1
refused 'image tag refuses an existing name' 'already exists' ctr image tag "$LAYERED" docker.io/test/tagged:v1
ok 'image tag --force replaces' ctr image tag --force "$BUSYBOX" docker.io/test/tagged:v1
refused 'image tag of an unknown image' 'not found' ctr image tag docker.io/test/none:1 docker.io/test/none:2

ok 'image export' ctr image export "$TMP/exported.tar" "$LAYERED"
matches 'the exported archive is an OCI layout' '^index\.json$' tar -tf "$TMP/exported.tar"
matches 'the exported archive has a docker manifest' '^manifest\.json$' tar -tf "$TMP/exported.tar"
same 'image rm prints the name' "$LAYERED" ctr image rm --sync "$LAYERED"
warns 'image rm warns of an unknown image' 'image not found' ctr image rm "$LAYERED"
ok 'image import of what was exported' ctr image import "$TMP/exported.tar"
matches 'what was exported runs' '^ok$' ctr run --rm "$LAYERED" exported sh -c "$(cat "$IMAGES/layered.check")"

mkdir "$TMP/mnt"
ok 'image mount' ctr image mount "$LAYERED" "$TMP/mnt"
same 'a mounted image shows its files' new cat "$TMP/mnt/data/replaced"
refused 'a mounted image is read-only' 'Read-only file system' touch "$TMP/mnt/data/x"
ok 'image unmount' ctr image unmount "$TMP/mnt"
same 'an unmounted image is gone' '' ls "$TMP/mnt"
ctr snapshot rm "$TMP/mnt" >/dev/null 2>&1
ok 'image mount --rw' ctr image mount --rw "$LAYERED" "$TMP/mnt"
ok 'a writable image mount takes files' touch "$TMP/mnt/data/x"
ok 'image unmount --rm' ctr image unmount --rm "$TMP/mnt"
lacks 'image unmount --rm removes the snapshot' "$TMP/mnt" ctr snapshot ls

ok 'image import --no-unpack' ctr image import --no-unpack --base-name docker.io/test/raw "$IMAGES/user.tar"
matches 'image import --no-unpack does not unpack' '^docker\.io/test/user.* false' ctr image check
refused 'image import of what is no archive' '.' ctr image import "$IMAGES/layered.check"

# Collection: content that only a removed image held is gone when rm --sync returns.
blobs_before=$(ctr content ls -q | sort)
for image in $(ctr image ls -q | grep -v "^$BUSYBOX\$"); do ctr image rm --sync "$image" >/dev/null; done
blobs_after=$(ctr content ls -q | sort)
if [ "$(wc -l <<<"$blobs_after")" -eq 3 ] && [ "$(wc -l <<<"$blobs_before")" -gt 3 ]; then
  pass 'image rm --sync collects content'
else
  fail 'image rm --sync collects content' "before: $blobs_before" "after: $blobs_after"
fi
same 'image rm --sync collects snapshots' 1 bash -c "ctr --address '$ADDRESS' -n '$NS' snapshot ls | grep -c Committed"
