#!/bin/sh
# Installs what `make build` built, or removes it.
#
#   install.sh [--remove] DESTDIR PREFIX
set -eu
remove=
if [ "$1" = --remove ]; then
  remove=1
  shift
fi
destdir=$1
prefix=$2
lib=$destdir$prefix/lib/davit
bin=$destdir$prefix/bin
unit=$destdir/etc/systemd/system/davit.service
programs='davitd davit containerd-shim-davit-v1 davit-oci'

if [ -n "$remove" ]; then
  for name in $programs; do rm -f "$bin/$name"; done
  rm -rf "$lib"
  rm -f "$unit"
  echo "removed; images and containers in /var/lib/davit are still there"
  exit 0
fi

[ -x bin/davitd ] || { echo "nothing built: run 'make build' first" >&2; exit 1; }
rm -rf "$lib.new"
mkdir -p "$lib.new/bin" "$bin" "$(dirname "$unit")"
cp -R bin/. "$lib.new/bin/"
rm -rf "$lib"
mv "$lib.new" "$lib"
for name in $programs; do
  [ -e "$lib/bin/$name" ] && ln -sfn "$prefix/lib/davit/bin/$name" "$bin/$name"
done
sed "s#@PREFIX@#$prefix#g" scripts/davit.service >"$unit"
echo "installed to $prefix; start with: systemctl enable --now davit"
