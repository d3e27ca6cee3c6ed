# lease create ls rm

same 'lease create prints the id' lease-a ctr leases create --id lease-a color=red
refused 'lease create refuses a duplicate' 'already exists' ctr leases create --id lease-a
matches 'lease ls has the table header' '^ID +CREATED AT +LABELS' ctr leases ls
matches 'lease ls shows it' '^lease-a +[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z +(.*,)?color=red' ctr leases ls
generated=$(ctr leases create 2>/dev/null)
matches 'lease create invents an id' "^${generated:-none}\$" ctr leases ls -q
matches 'lease create sets an expiry by default' "^$generated .*containerd.io/gc.expire=" ctr leases ls
same 'lease rm prints the id' lease-a ctr leases rm lease-a
ok 'lease rm --sync' ctr leases rm --sync "$generated"
same 'lease ls is empty' '' ctr leases ls -q
refused 'lease rm of an unknown one' 'not found' ctr leases rm lease-a
