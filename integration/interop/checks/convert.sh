# image convert: the same files in other types. What comes out is known without asking a daemon.

converted() { python3 "$here/converted.py" "$IMAGES/$1.tar" "${@:2}"; }
digest_of() { ctr image ls | awk -v name="$1" '$1 == name { print $3 }'; }
types_of() { ctr content get "$(digest_of "$1")" | grep -o '"mediaType":"[^"]*"' | cut -d'"' -f4 | sort -u; }
MINE=$(ctr image ls | awk -v name="$BUSYBOX" '$1 == name' | grep -o 'linux/[a-z0-9]*' | cut -d/ -f2)

# In a namespace of its own: nothing but what is converted here is there.
OUTER=$NS NS=$NS-convert
ok 'import what is to be converted' ctr image import "$IMAGES/layered.tar"
ok 'import one for two platforms' ctr image import --all-platforms "$IMAGES/platforms.tar"

PLAIN=docker.io/test/plain:1
same 'convert --uncompress prints the digest that it must have' "$(converted layered uncompress)" \
  ctr image convert --uncompress "$LAYERED" "$PLAIN"
same 'the new name stands for it' "$(converted layered uncompress)" digest_of "$PLAIN"
same "its layers have an uncompressed layer's type" \
  "$(printf '%s\n' application/vnd.oci.image.config.v1+json application/vnd.oci.image.layer.v1.tar application/vnd.oci.image.manifest.v1+json)" \
  types_of "$PLAIN"
same 'convert of what needs nothing is the same image' "$(converted layered)" ctr image convert --oci "$LAYERED" docker.io/test/same:1
ok 'convert into a name that is in use' ctr image convert --oci "$LAYERED" docker.io/test/same:1
same 'convert --oci --all-platforms' "$(converted platforms oci)" \
  ctr image convert --oci --all-platforms "$PLATFORMS" docker.io/test/oci:1
same 'convert keeps one platform' "$(converted platforms oci "$MINE")" ctr image convert --oci "$PLATFORMS" docker.io/test/mine:1
same 'convert keeps the platforms that are named' "$(converted platforms uncompress amd64 arm64)" \
  ctr image convert --uncompress --platform linux/amd64 --platform linux/arm64 "$PLATFORMS" docker.io/test/named:1
same 'convert --uncompress --oci' "$(converted platforms uncompress oci "$MINE")" \
  ctr image convert --uncompress --oci "$PLATFORMS" docker.io/test/both:1
refused 'convert of an image that is not there' 'not found' ctr image convert --oci docker.io/test/none:1 docker.io/test/none:2

# What is new holds all that it needs, and nothing else.
ok 'remove what it was made from' ctr image rm --sync "$LAYERED" "$PLATFORMS" docker.io/test/same:1
for image in "$PLAIN" docker.io/test/mine:1 docker.io/test/both:1; do
  matches "$image is complete" "^$image .* complete " ctr image check
  same "$image unpacks and runs" ok ctr run --rm --snapshotter native "$image" "converted-$RANDOM" sh -c "$(cat "$IMAGES/layered.check")"
done
ok 'export of a converted image' ctr image export --all-platforms "$TMP/converted.tar" docker.io/test/oci:1
same 'what is exported is that image' "$(converted platforms oci)" \
  python3 -c 'import json, sys, tarfile; print(json.load(tarfile.open(sys.argv[1]).extractfile("index.json"))["manifests"][0]["digest"])' "$TMP/converted.tar"
for image in $(ctr image ls -q); do ctr image rm --sync "$image" >/dev/null; done
same 'nothing is left of them' '' ctr content ls -q
ctr snapshot --snapshotter native ls | awk 'NR > 1 { print $1 }' | while read -r key; do ctr snapshot --snapshotter native rm "$key"; done >/dev/null 2>&1
ctr namespaces rm "$NS" >/dev/null 2>&1
NS=$OUTER
