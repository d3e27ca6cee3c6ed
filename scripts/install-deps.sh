#!/bin/sh
# Installs what building and testing davit needs from Debian (bookworm). Needs root.
#
#   install-deps.sh build     compilers and libraries
#   install-deps.sh test      besides, the programs that the tests compare with and drive
#   install-deps.sh check     besides, the linters
set -eu

build='g++ cmake ninja-build make pkg-config libseccomp-dev libisal-dev libzstd-dev nettle-dev rapidjson-dev doctest-dev busybox-static'
test='attr btrfs-progs docker-registry e2fsprogs erofs-utils containerd runc crun skopeo umoci docker.io podman conmon strace util-linux iproute2 python3-minimal procps'
check='clang-format-19 clang-tidy-19'

case "${1:-build}" in
build) want=$build ;;
test) want="$build $test" ;;
check) want="$build $test $check" ;;
*)
  echo "usage: install-deps.sh [build|test|check]" >&2
  exit 2
  ;;
esac

missing=
for package in $want; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" != 0 ]; then
  echo "missing Debian packages:$missing (run as root: apt-get install$missing)" >&2
  exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# No package may start a service here: the tests start what they need themselves.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d.davit
chmod 0755 /usr/sbin/policy-rc.d.davit
made=
[ -e /usr/sbin/policy-rc.d ] || { mv /usr/sbin/policy-rc.d.davit /usr/sbin/policy-rc.d && made=1; }
# shellcheck disable=SC2086 # a list of words
apt-get install -qq -y --no-install-recommends $missing >/dev/null
rm -f /usr/sbin/policy-rc.d.davit
[ -z "$made" ] || rm -f /usr/sbin/policy-rc.d
