# snapshot ls tree info prepare view mounts diff commit usage rm

ctr image import "$IMAGES/layered.tar" >/dev/null
top=$(ctr snapshot tree | sed 's/[^a-z0-9:]//g' | grep '^sha256:' | tail -1)
matches 'snapshot ls has the table header' '^KEY +PARENT +KIND' ctr snapshot ls
matches 'snapshot ls shows the unpacked layers' '^sha256:[0-9a-f]{64} +sha256:[0-9a-f]{64} +Committed' ctr snapshot ls
matches 'snapshot tree indents children' '\\_ sha256:' ctr snapshot tree
matches 'snapshot info gives kind and name' '"Kind": "Committed"' ctr snapshot info "$top"
matches 'snapshot info gives the parent' '"Parent": "sha256:' ctr snapshot info "$top"
refused 'snapshot info of an unknown key' 'not found' ctr snapshot info nothing

ok 'snapshot prepare' ctr snapshot prepare work "$top"
refused 'snapshot prepare refuses a duplicate' 'already exists' ctr snapshot prepare work "$top"
refused 'snapshot prepare refuses an unknown parent' 'not found' ctr snapshot prepare orphan nothing
matches 'snapshot ls shows it as active' '^work +sha256:[0-9a-f]{64} +Active' ctr snapshot ls
mkdir "$TMP/snap"
matches 'snapshot mounts prints a mount command' "^mount -t overlay .* $TMP/snap .*lowerdir=" ctr snapshot mounts "$TMP/snap" work
ok 'the printed mount command works' bash -c "$(ctr snapshot mounts "$TMP/snap" work)"
same 'the mount shows the layers' new cat "$TMP/snap/data/replaced"
printf 'written\n' >"$TMP/snap/data/written"
rm "$TMP/snap/data/kept"
matches 'snapshot usage of the active one' '^work +[0-9.]+ [KM]?i?B' ctr snapshot usage work
umount "$TMP/snap"

ctr snapshot diff work >"$TMP/diff" 2>/dev/null
list_diff() { gzip -dc <"$TMP/diff" 2>/dev/null | tar -tf - 2>/dev/null || tar -tf "$TMP/diff"; }
matches 'snapshot diff has the written file' '^data/written$' list_diff
matches 'snapshot diff has a whiteout for the removed one' '^data/\.wh\.kept$' list_diff
lacks 'snapshot diff has nothing that did not change' 'data/replaced' list_diff
for blob in $(ctr content ls -q 'labels."containerd.io/gc.root"'); do ctr content rm "$blob" >/dev/null; done

sleep 1 # what was deleted above may still be collected
ok 'snapshot commit' ctr snapshot commit committed work
refused 'a committed snapshot is no longer there by its key' 'not found' ctr snapshot info work
matches 'snapshot ls shows it as committed' '^committed +sha256:[0-9a-f]{64} +Committed' ctr snapshot ls
ok 'snapshot prepare over it' ctr snapshot prepare again committed
refused 'snapshot commit refuses an existing name' 'already exists' ctr snapshot commit committed again
refused 'snapshot rm refuses a parent' 'has child|cannot remove|failed precondition' ctr snapshot rm committed
ok 'snapshot view' ctr snapshot view seen committed
# Unlike prepare, ctr's view does not protect what it makes from collection.
ctr snapshot label seen containerd.io/gc.root=now >/dev/null
ok 'snapshot rm of a child' ctr snapshot rm again
matches 'snapshot ls shows it as a view' '^seen +committed +View' ctr snapshot ls
matches 'the mounts of a view are read-only' 'ro|lowerdir=' ctr snapshot mounts "$TMP/snap" seen
ok 'the mount command of a view works' bash -c "$(ctr snapshot mounts "$TMP/snap" seen)"
same 'a view shows what was committed' written cat "$TMP/snap/data/written"
refused 'a view is not writable' 'Read-only' touch "$TMP/snap/x"
umount "$TMP/snap"
ok 'snapshot label' ctr snapshot label seen color=red
matches 'snapshot label is in info' '"color": "red"' ctr snapshot info seen
ok 'snapshot rm of the view' ctr snapshot rm seen
ok 'snapshot rm of the committed one' ctr snapshot rm committed
refused 'snapshot rm of an unknown key' 'not found' ctr snapshot rm committed

ok 'another snapshotter has its own keys' ctr snapshot --snapshotter native prepare work
matches 'native gives a bind mount' 'bind' ctr snapshot --snapshotter native mounts "$TMP/snap" work
lacks 'the default snapshotter does not show it' '^work ' ctr snapshot ls
ok 'snapshot rm in another snapshotter' ctr snapshot --snapshotter native rm work
refused 'an unknown snapshotter is refused' 'snapshotter not loaded: nothing' ctr snapshot --snapshotter nothing ls
ctr image rm --sync "$LAYERED" >/dev/null
