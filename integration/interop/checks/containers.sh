# container create info label ls rm

ok 'container create' ctr container create --label color=red --env FROM=create "$BUSYBOX" kept env
refused 'container create refuses a duplicate' 'already exists' ctr container create "$BUSYBOX" kept true
refused 'container create refuses an unknown image' 'not found' ctr container create docker.io/test/none:1 other true
refused 'container create refuses a bad id' 'invalid argument' ctr container create "$BUSYBOX" 'bad id' true
matches 'container ls has the table header' '^CONTAINER +IMAGE +RUNTIME' ctr container ls
matches 'container ls shows it' "^kept +$BUSYBOX +io\.containerd\.runc\.v2" ctr container ls
matches 'container ls -q prints ids' '^kept$' ctr container ls -q
matches 'container info gives the labels' '"color": "red"' ctr container info kept
matches 'container info gives the spec' '"ociVersion"' ctr container info kept
matches 'container info --spec gives only the spec' '"FROM=create"' ctr container info --spec kept
matches 'container info names the snapshot' '"SnapshotKey": "kept"' ctr container info kept
refused 'container info of an unknown one' 'not found' ctr container info nothing
matches 'container label prints the labels' 'shape=round' ctr container label kept color=blue shape=round
lacks 'container label clears' shape ctr container label kept shape=
matches 'container ls filters by label' '^kept$' ctr container ls -q 'labels.color==blue'
same 'container ls leaves out what the filter excludes' '' ctr container ls -q 'labels.color==red'
matches 'task start runs a created container' '^FROM=create$' ctr task start kept
ok 'container rm' ctr container rm kept
refused 'container rm of an unknown one' 'not found' ctr container rm kept
lacks 'container rm removes its snapshot' '^kept ' ctr snapshot ls
ok 'container create again' ctr container create "$BUSYBOX" kept true
# The collector may take a snapshot that nobody refers to: hold it.
ctr snapshot label kept containerd.io/gc.root=now >/dev/null
ok 'container rm --keep-snapshot' ctr container rm --keep-snapshot kept
matches 'container rm --keep-snapshot keeps it' '^kept ' ctr snapshot ls
ok 'the kept snapshot can be removed' ctr snapshot rm kept
