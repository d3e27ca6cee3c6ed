#!/bin/bash
# Unpacks an image that uses every feature of tar with davitd, containerd and umoci, and compares the trees:
# type, mode, owner, times, size, links, attributes and content.
#
#   trees.sh [ARCHIVE NAME]...    further images to compare: OCI archives and the image's name in each
#
# DAVIT_TEST_CONTAINERD: a directory with another containerd and ctr than those in PATH.
# The daemons are the script's own. One line per check; the last line is "N passed, N failed".
set -u -o pipefail
export LC_ALL=C
unset CONTAINERD_ADDRESS CONTAINERD_NAMESPACE CONTAINERD_SNAPSHOTTER
PATH=${DAVIT_TEST_CONTAINERD:+$DAVIT_TEST_CONTAINERD:}$PATH

here=$(cd "$(dirname "$0")" && pwd)
NS=trees
DIR=$(mktemp -d /tmp/trees-XXXXXX)
TMP=$DIR/tmp
ADDRESS=$DIR/d/sock
mkdir -p "$TMP" "$DIR"/{d,c,layout/blobs/sha256}
. "$here/lib.sh"

PIDS=()
finish() {
  umount "$DIR"/tree-* 2>/dev/null
  [ ${#PIDS[@]} -eq 0 ] || { kill "${PIDS[@]}" && wait "${PIDS[@]}"; } 2>/dev/null
  umount "$DIR/btrfs" 2>/dev/null
  rm -rf "$DIR"
}
trap finish EXIT

# ---- the image ----------------------------------------------------------------------------------

LAYERS=() DIFFS=()
# layer NAME TAR-OPTION...: packs the folder NAME, all of it but its root, as the next layer.
layer() {
  local name=$1 file=$DIR/$1.tar
  shift
  (cd "$DIR/$name" && find . -mindepth 1 -print0 | sort -z | sed -z 's,^\./,,' |
    tar --no-recursion --null -T - "$@" -cf "$file") || exit 1
  add "$file"
}
# add FILE: an archive as the next layer.
add() {
  local digest
  DIFFS+=("$(sha256sum <"$1" | cut -d' ' -f1)")
  gzip -n1 "$1"
  digest=$(sha256sum <"$1.gz" | cut -d' ' -f1)
  mv "$1.gz" "$DIR/layout/blobs/sha256/$digest"
  LAYERS+=("$digest")
}
# blob: standard input as a blob; prints digest and size as a descriptor has them.
blob() {
  local digest
  cat >"$TMP/blob"
  digest=$(sha256sum <"$TMP/blob" | cut -d' ' -f1)
  mv "$TMP/blob" "$DIR/layout/blobs/sha256/$digest"
  printf '"digest":"sha256:%s","size":%s' "$digest" "$(stat -c %s "$DIR/layout/blobs/sha256/$digest")"
}
joined() { local IFS=,; echo "$*"; }

# make_image NAME: of the layers so far; the archive is NAME.tar, the layout holds the last one.
make_image() {
  local name=$1 layers=() diffs=() digest config manifest type=application/vnd.oci.image
  for digest in "${LAYERS[@]}"; do
    layers+=("{\"mediaType\":\"$type.layer.v1.tar+gzip\",\"digest\":\"sha256:$digest\",\"size\":$(stat -c %s "$DIR/layout/blobs/sha256/$digest")}")
  done
  for digest in "${DIFFS[@]}"; do diffs+=("\"sha256:$digest\""); done
  config=$(printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%s]}}' "$(joined "${diffs[@]}")" | blob)
  manifest=$(printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","config":{"mediaType":"%s.config.v1+json",%s},"layers":[%s]}' \
    "$type" "$type" "$config" "$(joined "${layers[@]}")" | blob)
  printf '{"imageLayoutVersion":"1.0.0"}' >"$DIR/layout/oci-layout"
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s.manifest.v1+json",%s,"annotations":{"org.opencontainers.image.ref.name":"%s","io.containerd.image.name":"docker.io/test/%s:latest"}}]}' \
    "$type" "$manifest" "$name" "$name" >"$DIR/layout/index.json"
  cp "$DIR/layout/index.json" "$DIR/$name.json"
  tar -C "$DIR/layout" -cf "$DIR/$name.tar" oci-layout index.json blobs
}

XATTRS=(--xattrs '--xattrs-include=*')
long=$(printf 'long-name-%.0s' $(seq 12)) # 120 bytes: more than a header holds
mkdir -p "$DIR"/{base,gnu,top,links,s00,s01,s10}
cd "$DIR/base"
mkdir -p dir/sub/deep opaque/old replaced "$long/$long/$long" attributes
for f in dir/a dir/b dir/sub/c opaque/x opaque/old/y replaced/inner "$long/$long/$long/$long" file link-me; do echo "base $f" >"$f"; done
ln -s dir/a symlink && ln -s /nowhere/at/all dangling && ln -s dir dirlink && ln -s "$long/$long" longlink
ln link-me linked && ln symlink linked-symlink
mkfifo fifo && mknod char c 1 3 && mknod block b 7 200
echo x >setuid && chown 3000000:4294967000 setuid && chmod 6755 setuid
echo x >nobody && chown 65534:2097152 nobody && chmod 0 nobody
chmod 1777 dir/sub && chown 12:34 dir
setfattr -n user.name -v value attributes && setfattr -n user.empty attributes/../file
setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 file
touch -d '2001-02-03 04:05:06.789012345' dir/a && touch -d '2040-01-01' dir/b && touch -h -d '1999-12-31' symlink
touch -d '2010-10-10 10:10:10.5' dir dir/sub opaque attributes
layer base --format=posix --pax-option=delete=atime,delete=ctime "${XATTRS[@]}"

cd "$DIR/gnu"
mkdir -p names "$long/$long"
for name in $'new\nline' $'tab\tand space ' $'\xff\xfe' "quote\"'\\" 'ünïcode' '-dash' '...'; do echo "$name" >"names/$name"; done
echo gnu >"$long/$long/$long-$long" && ln -s "/$long/$long/$long" gnu-longlink
echo old >ids && chown 3000001:3000002 ids
layer gnu --format=gnu

for version in 0.0 0.1 1.0; do
  cd "$DIR/s${version/./}"
  truncate -s 2M "sparse-$version" && echo data | dd of="sparse-$version" bs=4096 seek=77 conv=notrunc status=none
  truncate -s 1M "only-hole-$version"
  layer "s${version/./}" --format=posix --sparse --sparse-version=$version --pax-option=delete=atime,delete=ctime
done

cd "$DIR/top"
mkdir -p dir/sub opaque file symlink attributes
touch dir/.wh.b .wh.dangling opaque/.wh..wh..opq && echo new >opaque/new
echo was-directory >replaced && echo was-link >dirlink && echo was-file >file/inner && echo below >symlink/below
echo again >dir/a && chmod 600 dir/a && chmod 711 dir/sub && chmod 700 attributes
setfattr -n user.name -v other attributes
touch -d '2011-11-11 11:11:11.25' dir dir/sub opaque file
layer top --format=posix --pax-option=delete=atime,delete=ctime "${XATTRS[@]}"

cd "$DIR/links"
echo 'another link-me' >link-me && touch -d '2012-12-12' link-me && ln link-me third && ln link-me dirlink
layer links --format=ustar
cd "$DIR"
make_image torture

# What containerd ignores and umoci refuses: a header for all entries that follow. (containerd makes the folder
# that the header itself is in by its name.)
mkdir "$DIR/global" && echo global >"$DIR/global/global"
layer global --format=posix --pax-option=globexthdr.name=global-header,comment=global,uname=somebody,delete=atime,delete=ctime
make_image global

# What only GNU tar and davitd know: its own sparse files.
LAYERS=() DIFFS=()
mkdir "$DIR/sparse" && cd "$DIR/sparse"
truncate -s 3M sparse-gnu && for at in 0 100 300 500; do echo "at $at" | dd of=sparse-gnu bs=4096 seek=$at conv=notrunc status=none; done
for i in $(seq 30); do echo "$i" | dd of=sparse-many bs=8192 seek=$((2 * i)) conv=notrunc status=none; done
touch -d '2012-12-12' sparse-gnu sparse-many
cd "$DIR"
layer sparse --format=gnu --sparse
# A hard link to a file that only a lower layer has, where containerd stops: the file is taken out of the archive again.
mkdir "$DIR/far" && echo far >far/target && ln far/target far/link && touch -d '2012-12-12' far/target
(cd far && tar --format=ustar -cf "$DIR/near.tar" target && tar --format=ustar -cf "$DIR/far.tar" target link)
tar --delete -f far.tar target
add "$DIR/near.tar"
add "$DIR/far.tar"
make_image sparse

# Directories that the upper layer does not describe look like those below, whichever layer is unpacked first.
LAYERS=() DIFFS=()
mkdir -p "$DIR"/lower/odd/er/deep "$DIR"/middle/odd/er "$DIR"/upper/odd/er/deep "$DIR"/upper/dir
cd "$DIR/lower"
mkdir real dir && head -c 3000000 /dev/urandom >real/noise
chmod 1700 odd/er/deep && chmod 2711 odd && chown 12:34 odd && chown 56:78 dir && chmod 1777 dir
setfattr -n user.name -v lower odd
touch -d '2013-01-01 01:01:01.5' real/noise real odd/er/deep odd/er odd dir
layer lower --format=posix --pax-option=delete=atime,delete=ctime "${XATTRS[@]}"
cd "$DIR/middle"
echo middle >odd/er/file && chmod 750 odd/er && chown 3:4 odd/er && setfattr -n user.other -v middle odd/er
touch -d '2014-01-01 01:01:01.5' odd/er/file odd/er
tar --format=posix --pax-option=delete=atime,delete=ctime "${XATTRS[@]}" -cf "$DIR/middle.tar" odd/er || exit 1
add "$DIR/middle.tar"
cd "$DIR/upper"
for at in odd/er/deep dir; do head -c 50000 /dev/urandom >"$at/implied" && touch -d '2015-01-01' "$at/implied"; done
tar --format=ustar -cf "$DIR/upper.tar" odd/er/deep/implied dir/implied || exit 1
add "$DIR/upper.tar"
cd "$DIR"
make_image implied

# ---- the trees ----------------------------------------------------------------------------------

# tree ROOT: everything in it as text, one line for each name. Hard links show the first of their names.
tree() {
  (cd "$1" && find . -mindepth 1 -printf '%P\0%y %m %U:%G %T@ %l\0%i\0%s\0' |
    python3 -c '
import hashlib, os, stat, sys
fields = sys.stdin.buffer.read().split(b"\0")[:-1]
rows = sorted(zip(*[iter(fields)] * 4))
first = {}
for name, about, inode, size in rows:
    same = first.setdefault(inode, name)
    info = os.lstat(name)
    content = b""
    if stat.S_ISREG(info.st_mode):
        with open(name, "rb") as file: content = size + b" " + hashlib.sha256(file.read()).hexdigest().encode()
    elif stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
        content = b"%d:%d" % (os.major(info.st_rdev), os.minor(info.st_rdev))
    attributes = {key: os.getxattr(name, key, follow_symlinks=False) for key in sorted(os.listxattr(name, follow_symlinks=False))}
    link = b"" if same == name else b" = " + same
    print(repr(name), about.decode(), content.decode(), attributes or "", repr(link) if link else "")
')
}

start() {
  local address=$1
  shift
  "$@" >"$TMP/daemon.log" 2>&1 &
  PIDS+=($!)
  for _ in $(seq 100); do
    ADDRESS=$address ctr version >/dev/null 2>&1 && return
    sleep 0.1
  done
  echo "$1 did not start: $(tail -3 "$TMP/daemon.log")"
  exit 1
}

SNAPSHOTTERS=(native erofs)
if command -v mkfs.btrfs >/dev/null && grep -q 'btrfs$' /proc/filesystems; then
  truncate -s 512M "$DIR/btrfs.img" && mkdir "$DIR/btrfs" && mkfs.btrfs -q "$DIR/btrfs.img" >/dev/null 2>&1 &&
    mount -o loop "$DIR/btrfs.img" "$DIR/btrfs" || exit 1
  SNAPSHOTTERS+=(btrfs)
else
  echo 'skip  btrfs: no mkfs.btrfs, or not in this kernel'
fi
printf 'version = 3\n[plugins."io.containerd.snapshotter.v1.btrfs"]\nroot_path = "%s/btrfs"\n' "$DIR" >"$DIR/d/config.toml"
start "$DIR/d/sock" "$here/../../bin/davitd" --config "$DIR/d/config.toml" --address "$DIR/d/sock" --root "$DIR/d/root" --state "$DIR/d/state"
cat >"$DIR/c/config.toml" <<EOF
version = 2
root = "$DIR/c/root"
state = "$DIR/c/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
EOF
start "$DIR/c/sock" containerd --config "$DIR/c/config.toml" --address "$DIR/c/sock"

# unpacked WHO SNAPSHOTTER ARCHIVE IMAGE: imports and mounts the image at tree-WHO, and lists it.
unpacked() {
  local ADDRESS=$DIR/${1:0:1}/sock CTR_TIMEOUT=300 root=$DIR/tree-$1
  mkdir -p "$root"
  ctr image import --snapshotter "$2" "$3" >/dev/null && ctr image mount --snapshotter "$2" "$4" "$root" >/dev/null || return 1
  tree "$root" >"$TMP/$1"
  ctr image unmount --rm "$root" >/dev/null
}
# loaded ARCHIVE IMAGE: as unpacked(), by the daemon alone and in a namespace of its own, layers side by side.
loaded() {
  local ADDRESS=$DIR/d/sock NS=loaded root=$DIR/tree-loaded
  mkdir -p "$root"
  "$here/../../bin/davit" --address "$ADDRESS" --namespace "$NS" load --input "$1" >/dev/null || return 1
  ctr image mount "$2" "$root" >/dev/null || return 1
  tree "$root" >"$TMP/loaded"
  ctr image unmount --rm "$root" >/dev/null
}
# compared ARCHIVE IMAGE
compared() {
  local image=${2##*/} snapshotter
  ok "$image: davitd loads it" loaded "$1" "$2"
  ok "$image: containerd unpacks it" unpacked containerd overlayfs "$1" "$2"
  ok "$image: davitd unpacks it" unpacked davit overlayfs "$1" "$2"
  ok "$image: davitd's tree is containerd's" diff "$TMP/containerd" "$TMP/davit"
  ok "$image: so is the one it loads" diff "$TMP/containerd" "$TMP/loaded"
  for snapshotter in "${SNAPSHOTTERS[@]}"; do
    ok "$image: davitd's $snapshotter snapshotter unpacks it" unpacked "davit-$snapshotter" "$snapshotter" "$1" "$2"
    ok "$image: its tree is containerd's" diff "$TMP/containerd" "$TMP/davit-$snapshotter"
  done
}

compared "$DIR/torture.tar" docker.io/test/torture:latest
status 'the tree is not empty' 0 test "$(wc -l <"$TMP/davit")" -gt 40
if command -v umoci >/dev/null; then
  cp "$DIR/torture.json" "$DIR/layout/index.json"
  ok 'umoci unpacks it' umoci unpack --image "$DIR/layout:torture" "$DIR/bundle"
  tree "$DIR/bundle/rootfs" >"$TMP/umoci"
  ok "davitd's tree is umoci's" diff "$TMP/umoci" "$TMP/davit"
fi
compared "$DIR/global.tar" docker.io/test/global:latest
implied=("$DIR/implied.tar" docker.io/test/implied:latest)
ok 'containerd unpacks what implies directories' unpacked containerd overlayfs "${implied[@]}"
ok 'davitd loads it' loaded "${implied[@]}"
ok 'davitd unpacks it' unpacked davit overlayfs "${implied[@]}"
ok "davitd's native snapshotter unpacks it" unpacked davit-native native "${implied[@]}"
ok "davitd's trees are the same" diff "$TMP/loaded" "$TMP/davit"
ok 'also the native one' diff "$TMP/loaded" "$TMP/davit-native"
# containerd's implied directories are as old as their files' unpacking.
sed -Ei 's/^(.* d [0-7]+ [0-9:]+) [0-9.]+ /\1 /' "$TMP/containerd" "$TMP/loaded"
ok "and containerd's, but for the directories' times" diff "$TMP/containerd" "$TMP/loaded"
ok "davitd loads GNU tar's sparse files and links to lower layers" loaded "$DIR/sparse.tar" docker.io/test/sparse:latest
ok 'davitd unpacks them' unpacked davit overlayfs "$DIR/sparse.tar" docker.io/test/sparse:latest
cp -a far/* sparse/
tree "$DIR/sparse" >"$TMP/sparse"
ok 'as they were' diff "$TMP/sparse" "$TMP/davit"
ok 'both times' diff "$TMP/sparse" "$TMP/loaded"
while [ $# -ge 2 ]; do
  compared "$1" "$2"
  shift 2
done

echo "$PASSED passed, $FAILED failed"
[ "$FAILED" -eq 0 ]
