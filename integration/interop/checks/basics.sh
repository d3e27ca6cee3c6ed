# version, plugins, namespaces

matches 'version names the server' '^Server:' ctr version
matches 'version gives the server a UUID' 'UUID: [0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}' ctr version
uuid() { ctr version | sed -n 's/.*UUID: //p'; }
same 'the UUID stays the same' "$(uuid)" uuid

matches 'plugins ls has the table header' '^TYPE +ID +PLATFORMS +STATUS *$' ctr plugins ls
matches 'plugins ls shows the content store' '^io\.containerd\.content\.v1 +content +.* ok' ctr plugins ls
matches 'plugins ls shows overlayfs' '^io\.containerd\.snapshotter\.v1 +overlayfs +linux/[a-z0-9]+ +ok' ctr plugins ls
matches 'plugins ls shows native' '^io\.containerd\.snapshotter\.v1 +native +linux/[a-z0-9]+ +ok' ctr plugins ls
matches 'plugins ls shows the runtime' '^io\.containerd\.runtime\.v2 +task ' ctr plugins ls
matches 'plugins ls -d shows exports' 'Exports:' ctr plugins ls -d
matches 'plugins ls filters' '^io\.containerd\.gc\.v1 +scheduler' ctr plugins ls type==io.containerd.gc.v1
lacks 'plugins ls shows only what the filter lets through' 'snapshotter' ctr plugins ls type==io.containerd.gc.v1

ok 'namespaces create' ctr namespaces create "$NS-other" color=red
matches 'namespaces ls shows labels' "^$NS-other +color=red" ctr namespaces ls
refused 'namespaces create refuses a duplicate' 'already exists' ctr namespaces create "$NS-other"
refused 'namespaces create refuses a bad name' 'invalid argument' ctr namespaces create 'bad name!'
ok 'namespaces label sets' ctr namespaces label "$NS-other" color=blue shape=round
matches 'namespaces label is seen' "^$NS-other +color=blue,shape=round" ctr namespaces ls
ok 'namespaces label clears' ctr namespaces label "$NS-other" shape=
lacks 'an empty label value removes the label' 'shape' ctr namespaces ls
matches 'namespaces ls -q prints names' "^$NS-other\$" ctr namespaces ls -q
refused 'namespaces rm refuses one that is not empty' 'must be empty' ctr namespaces rm "$NS"
same 'namespaces rm prints the name' "$NS-other" ctr namespaces rm "$NS-other"
lacks 'namespaces rm removes' "^$NS-other\$" ctr namespaces ls -q
ok 'namespaces rm of an unknown one is no error' ctr namespaces rm "$NS-other"
