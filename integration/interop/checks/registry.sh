# images pull, push from and to a registry on loopback. ctr 1.6 does it itself and stores through the
# daemon; ctr 2.x lets the daemon do it.

PORT=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
REGISTRY=127.0.0.1:$PORT
cat >"$TMP/registry.yml" <<YAML
version: 0.1
log: { level: error, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $TMP/registry } }
http: { addr: $REGISTRY }
YAML
docker-registry serve "$TMP/registry.yml" >/dev/null 2>&1 &
REGISTRY_PID=$!
answers() { (: <"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; }
eventually 'the registry answers' answers

# In a namespace of its own: what is deleted here is deleted.
OUTER=$NS NS=$NS-registry
digest_of() { ctr images ls | awk -v name="$1" '$1 == name { print $3 }'; }
there() { skopeo inspect --raw --tls-verify=false "docker://$1" | sha256sum | awk '{ print "sha256:" $1 }'; }

ok 'import what is to be pushed' ctr images import "$IMAGES/layered.tar"
ok 'tag with the registry' ctr images tag "$LAYERED" "$REGISTRY/test/layered:1"
ok 'images push' ctr images push --plain-http "$REGISTRY/test/layered:1"
same 'skopeo reads back what was pushed' "$(digest_of "$LAYERED")" there "$REGISTRY/test/layered:1"
ok 'images push of what is there' ctr images push --plain-http "$REGISTRY/test/layered:1"
PUSHED=$(digest_of "$LAYERED")
ok 'images rm of all names' ctr images rm --sync "$LAYERED" "$REGISTRY/test/layered:1"
lacks 'nothing is left of it' sha256 ctr content ls
ok 'images pull' ctr images pull --plain-http "$REGISTRY/test/layered:1"
same 'the same image comes back' "$PUSHED" digest_of "$REGISTRY/test/layered:1"
matches 'content remembers where it came from' 'containerd.io/distribution.source.127.0.0.1=test/layered' ctr content ls
matches 'it is complete and unpacked' "^$REGISTRY/test/layered:1 .* complete .* true" ctr images check
ok 'images pull again' ctr images pull --plain-http "$REGISTRY/test/layered:1"
ok 'a pulled image runs' ctr run --rm "$REGISTRY/test/layered:1" "pulled-$RANDOM" /bin/true
refused 'images pull of a missing tag' 'not found' ctr images pull --plain-http "$REGISTRY/test/layered:none"
refused 'images pull of a missing repository' 'not found' ctr images pull --plain-http "$REGISTRY/none/at-all:1"
refused 'images push of a missing image' 'not found' ctr images push --plain-http "$REGISTRY/none/at-all:1"

ctr images rm --sync "$REGISTRY/test/layered:1" >/dev/null 2>&1
ctr namespaces rm "$NS" >/dev/null 2>&1
NS=$OUTER
kill "$REGISTRY_PID"
wait "$REGISTRY_PID" 2>/dev/null
