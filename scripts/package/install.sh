#!/bin/sh
# Installs the tree that this file stands in, or the new version of it:
#   sudo ./install.sh [--key <file>] [options of `obelisk install`]
# Checks first that this machine can run it, and that it is what the owner of the release key signed:
# of the key in <file>, or that of the installed version, or, the first time, the one that it brings.
# Only a copy is checked and used, which nobody else can change meanwhile. Where a version is installed, the
# verify.mjs of that one checks. With --root or --help it does not matter what this machine is.
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

unpacked=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
[ -f "$unpacked/package.json" ] || fail 65 "$unpacked is not a whole package: unpack the tarball anew"

key=
if [ "${1-}" = --key ]; then
  [ $# -ge 2 ] || fail 2 'usage: install.sh [--key <file>] [options of obelisk install]'
  key=$2
  shift 2
  { [ -f "$key" ] && [ -r "$key" ]; } || fail 66 "--key: $key is no file, or cannot be read"
fi

# The directory of --root, and whether this machine matters.
root=
is_here=1
is_help=
is_dry=
before=
for word in "$@"; do
  [ "$before" != --root ] || root=$word
  case $word in
    --root=*) root=${word#--root=} ;;
    --help | -h) is_help=1 ;;
    --dry-run) is_dry=1 ;;
  esac
  before=$word
done
[ -z "$root$is_help" ] || is_here=

work=$(mktemp -d) || fail 73 'there is no room for a copy of the package in the directory for temporary files'
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
tree=$work/tree
cp -RP -- "$unpacked" "$tree" || fail 73 "$unpacked could not be copied to $work"
strange=$(find "$tree" ! -type f ! -type d | head -n 1)
[ -z "$strange" ] || fail 65 "$unpacked${strange#"$tree"} is not a plain file: unpack the tarball anew"
role=$(said role)
architecture=$(said architecture)
glibc=$(said glibc)
node_version=$(said node)
node_version=${node_version#>=}

# dpkg knows what the programs here are made for; the kernel may be of another kind.
machine=$(dpkg --print-architecture 2>/dev/null || uname -m)
case $machine in
  x86_64) machine=amd64 ;;
  aarch64) machine=arm64 ;;
  armv6l | armv7l) machine=armhf ;;
esac
[ -z "$is_here" ] || [ "$machine" = "$architecture" ] ||
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

if [ -n "$is_here" ]; then
  libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || libc=
  [ -n "$libc" ] || fail 22 "glibc $glibc or newer is needed, and this system has another C library"
  is_at_least "${libc#glibc }" "$glibc" ||
    fail 22 "glibc $glibc or newer is needed, and this is $libc: a newer release of the system has it"
  systemd=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
  [ "${systemd:-252}" -ge 252 ] ||
    fail 23 "systemd 252 or newer is needed, and this is $systemd: a newer release of the system has it"
fi

installed=/usr/lib/obelisk-$role
if [ -n "$key" ]; then
  trusted=$key
elif [ -f "$root$installed/release-key.pem" ]; then
  trusted=$root$installed/release-key.pem
else
  trusted=$tree/release-key.pem
fi
refused="this is not what the owner of $trusted signed; nothing was changed"
# It says the fingerprint of the key, whatever it finds; one that is damaged does not.
fingerprint=
if [ -f "$installed/verify.mjs" ]; then
  verdict=0
  fingerprint=$("$node" "$installed/verify.mjs" "$tree" "$trusted") || verdict=$?
  if [ -n "$fingerprint" ] || [ "$verdict" = 2 ]; then
    [ "$verdict" = 0 ] || fail 65 "$refused"
  else
    echo "install.sh: $installed/verify.mjs is damaged; that of the package is used" >&2
  fi
fi
[ -n "$fingerprint" ] || fingerprint=$("$node" "$tree/verify.mjs" "$tree" "$trusted") || fail 65 "$refused"

if [ -n "$is_here" ]; then
  [ "$(id -u)" = 0 ] || [ -n "$is_dry" ] || fail 77 'only root may install: sudo ./install.sh'
  [ -d /run/systemd/system ] || fail 23 'systemd does not run here; --root <dir> installs below another root'
fi

if [ -z "$is_help" ] && [ "$trusted" = "$tree/release-key.pem" ]; then
  printf 'first installation: from now on the release key of SHA-256 %s is trusted\n' "$fingerprint"
fi

[ -z "$is_help" ] || echo 'install.sh takes --key <file> first, and then what obelisk install takes:'
[ -z "$key" ] || set -- --release-key "$key" "$@"
umask 022
code=0
"$node" "$tree/obelisk.mjs" install --role "$role" --from "$tree" "$@" || code=$?
exit "$code"
