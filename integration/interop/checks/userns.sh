# ctr run --uidmap --gidmap --remap-labels: container root is not host root, and nothing is chowned.

# containerd 1.6's snapshotters only change the owner of the top folder.
if ! ctr plugins ls --detailed 'id==overlayfs' | grep -q remap-ids; then
  echo "skip  user namespaces: this daemon's overlayfs does not map ids"
  return 0
fi

mkdir "$TMP/volume" && echo kept >"$TMP/volume/kept" && chown 33:34 "$TMP/volume/kept"
ok 'run in a user namespace' ctr run -d --uidmap 0:200000:65536 --gidmap 0:300000:65536 --remap-labels \
  --mount "type=bind,src=$TMP/volume,dst=/volume,options=rbind:idmap" "$BUSYBOX" mapped sleep 1000
same 'its root is a user of no meaning to the host' '200000:300000' stat -c %u:%g "/proc/$(task_pid mapped)"
inside() { ctr task exec --exec-id "e$RANDOM" mapped sh -c "$1"; }
same 'who is root inside' 0 inside 'id -u'
same "the image's files are root's, a volume's whose they were" '0:0 0:0 33:34' \
  inside 'echo $(stat -c %u:%g /bin/busybox / /volume/kept)'
ok 'both can be written to' inside 'echo x >/bin/new && echo x >/volume/new'
same 'and what was written is its own' '0:0 0:0' inside 'echo $(stat -c %u:%g /bin/new /volume/new)'
same "on the host the volume has the container's ids" '33:34 0:0' \
  sh -c "echo \$(stat -c %u:%g '$TMP/volume/kept' '$TMP/volume/new')"
layer() { awk -v p="$(task_pid mapped)" '$5 == "/" { print $0 }' "/proc/$(task_pid mapped)/mountinfo" | grep -o "$1=[^,: ]*" | cut -d= -f2; }
below=$(layer 'lowerdir+*') above=$(layer upperdir)
ok 'the mount tells its layers' test -n "$below" -a -n "$above"
same 'the layer below is as it was unpacked' 0:0 stat -c %u:%g "$below/bin/busybox"
same "and the layer above has the host's ids" 200000:300000 stat -c %u:%g "$above/bin/new"
discard mapped
