#!/bin/sh
# Installs the tree that this file stands in, or the new version of it:
#   sudo ./install.sh [--key <file>] [options of `obelisk install`]
# Checks first that this machine can run it, and that it is what the owner of the release key signed:
# of the key in <file>, or that of the installed version, or, the first time, the one that it brings.
# Ends with a code of its own for each check (docs/operations.md), else with that of `obelisk install`.
set -eu

fail() {
  code=$1
  shift
  printf 'install.sh: %s\n' "$*" >&2
  exit "$code"
}

# Of package.json, which has a line for each of these.
said() {
  sed -n "s/^ *\"$1\": \"\\(.*\\)\",\\{0,1\\}\$/\\1/p" "$tree/package.json" | tail -n 1
}

# Whether version $1 is $2 or newer, by major and minor.
is_at_least() {
  minor=${1#*.}
  wanted_minor=${2#*.}
  [ "${1%%.*}" -gt "${2%%.*}" ] ||
    { [ "${1%%.*}" -eq "${2%%.*}" ] && [ "${minor%%.*}" -ge "${wanted_minor%%.*}" ]; }
}

tree=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
[ -f "$tree/package.json" ] || fail 65 "$tree is not a whole package: unpack the tarball anew"
role=$(said role)
architecture=$(said architecture)
glibc=$(said glibc)
node_version=$(said node)
node_version=${node_version#>=}

key=
if [ "${1-}" = --key ]; then
  [ $# -ge 2 ] || fail 2 'usage: install.sh [--key <file>] [options of obelisk install]'
  key=$2
  shift 2
  { [ -f "$key" ] && [ -r "$key" ]; } || fail 66 "--key: $key is no file, or cannot be read"
fi

# dpkg knows what the programs here are made for; the kernel may be of another kind.
machine=$(dpkg --print-architecture 2>/dev/null || uname -m)
case $machine in
  x86_64) machine=amd64 ;;
  aarch64) machine=arm64 ;;
  armv6l | armv7l) machine=armhf ;;
esac
[ "$machine" = "$architecture" ] ||
  fail 20 "this package is for $architecture, and this machine is $machine: take the package for it"

node=
seen=
for candidate in /usr/lib/obelisk-node/bin/node /usr/bin/node /usr/local/bin/node; do
  [ -x "$candidate" ] || continue
  version=$("$candidate" --version 2>/dev/null) || continue
  if is_at_least "${version#v}" "$node_version"; then
    node=$candidate
    break
  fi
  seen="$seen; $candidate is $version"
done
[ -n "$node" ] ||
  fail 21 "Node $node_version or newer is needed, in /usr/bin or /usr/local/bin${seen:-; there is none}"

libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || libc=
[ -n "$libc" ] || fail 22 "glibc $glibc or newer is needed, and this system has another C library"
is_at_least "${libc#glibc }" "$glibc" ||
  fail 22 "glibc $glibc or newer is needed, and this is $libc: a newer release of the system has it"

systemd=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
[ "${systemd:-252}" -ge 252 ] ||
  fail 23 "systemd 252 or newer is needed, and this is $systemd: a newer release of the system has it"

installed=/usr/lib/obelisk-$role/release-key.pem
if [ -n "$key" ]; then
  trusted=$key
elif [ -f "$installed" ]; then
  trusted=$installed
else
  trusted=$tree/release-key.pem
fi
fingerprint=$("$node" "$tree/verify.mjs" "$tree" "$trusted") ||
  fail 65 "this is not what the owner of $trusted signed; nothing was changed"

[ "$(id -u)" = 0 ] || fail 77 'only root may install: sudo ./install.sh'
[ -d /run/systemd/system ] || fail 23 'systemd does not run here'

if [ "$trusted" = "$tree/release-key.pem" ]; then
  printf 'first installation: from now on the release key of SHA-256 %s is trusted\n' "$fingerprint"
fi

[ -z "$key" ] || set -- --release-key "$key" "$@"
umask 022
exec "$node" "$tree/obelisk.mjs" install --role "$role" --from "$tree" "$@"
