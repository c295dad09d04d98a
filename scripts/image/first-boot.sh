#!/bin/sh
# The first boot of a flashed card, started by systemd.run= of the kernel's command line. Works without a
# network. Each part can be done twice, since power may fail at any moment: only at the end is the
# command line put back, and until then every boot begins here again. Whatever fails, the reason is
# written to the boot partition, which any PC can read, and the board boots on normally. Where that partition
# cannot be written, the command line stays too: the reason is in /var/log, and each boot tries again.
#
# Ends with 0 when the command line is as it was before, and the board is to boot anew; otherwise with 1,
# and the board boots on from here.
#
# OBELISK_ROOT: another root than /, for tests.
set -u
root=${OBELISK_ROOT:-}
here=$(cd "$(dirname "$0")" && pwd) || exit 1
boot=$(dirname "$here")
log=$boot/obelisk-first-boot.log
reason=$boot/obelisk-first-boot-failed.txt

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin${PATH:+:$PATH}
export PATH
umask 022

# Early in the boot both may still be read-only.
[ -n "$root" ] || {
  mount -o remount,rw / 2>/dev/null
  mount -o remount,rw "$boot" 2>/dev/null
}

# The reason for people, where it can be written.
give_reason() { # <file> <words>
  {
    echo "Obelisk could not be set up on this board: $2"
    echo
    echo "The board boots normally. What was done is in obelisk-first-boot.log; its end:"
    echo
    tail -n 20 "$log"
    echo
    echo "To try again on the board: sudo sh $here/first-boot.sh"
  } >"$1"
}

# A card that is worn out or locked is read-only for good.
if ! (: >>"$log") 2>/dev/null; then
  problem="the boot partition $boot cannot be written: is the card locked, or worn out?"
  echo "first boot: failed: $problem" >&2
  give_reason "$root/var/log/obelisk-first-boot-failed.txt" "$problem" 2>/dev/null
  exit 1
fi
exec >>"$log" 2>&1
echo "first boot: $(date -u '+%Y-%m-%d %H:%M:%S') (a board without a clock may be wrong)"

say() { echo "first boot: $*"; }

# A whole file or none, flushed before it gets its name; nobody reads it before it has its mode.
put() { # <mode> <from> <to>
  mkdir -p "$(dirname "$3")" &&
    (umask 077 && cp "$2" "$3.new") &&
    chmod "$1" "$3.new" &&
    sync "$3.new" &&
    mv "$3.new" "$3"
}

# A secret leaves the boot partition once it is where it belongs.
take() { # <mode> <name> <to>
  [ -f "$here/$2" ] || return 0
  put "$1" "$here/$2" "$3" && rm -f "$here/$2" && sync
}

# The command line without our words; the memory cgroup and the rest stay. One line, always.
restore_command_line() {
  line=$(sed -e 's/ *systemd\.run="[^"]*"//g' \
    -e 's/ *systemd\.run_success_action=[^ ]*//g' \
    -e 's/ *systemd\.run_failure_action=[^ ]*//g' \
    -e 's/ *systemd\.unit=kernel-command-line\.target//g' \
    -e 's/^ *//' "$boot/cmdline.txt" | tr -d '\r' | tr '\n' ' ' | sed -e 's/ *$//')
  [ -n "$line" ] || return 1
  printf '%s\n' "$line" >"$boot/cmdline.new" &&
    sync "$boot/cmdline.new" &&
    mv -f "$boot/cmdline.new" "$boot/cmdline.txt" &&
    sync
}

fail() {
  say "failed: $*"
  give_reason "$reason" "$*"
  sync
  restore_command_line || exit 1
  exit 0
}

set_hostname() {
  [ -n "$BOARD_HOSTNAME" ] || return 0
  name=$BOARD_HOSTNAME
  printf '%s\n' "$name" >"$root/etc/hostname.new" &&
    mv "$root/etc/hostname.new" "$root/etc/hostname" || return 1
  touch "$root/etc/hosts"
  { grep -v '^127\.0\.1\.1[[:space:]]' "$root/etc/hosts"
    printf '127.0.1.1\t%s\n' "$name"; } >"$root/etc/hosts.new" &&
    mv "$root/etc/hosts.new" "$root/etc/hosts"
}

set_wifi() {
  if [ -d "$root/etc/NetworkManager" ]; then
    take 600 wifi.nmconnection \
      "$root/etc/NetworkManager/system-connections/obelisk.nmconnection" || return 1
  else
    take 600 wifi.conf "$root/etc/wpa_supplicant/wpa_supplicant.conf" || return 1
  fi
  rm -f "$here/wifi.nmconnection" "$here/wifi.conf"
  # Raspberry Pi OS keeps the radio off until somebody has chosen a country; flash did.
  for state in "$root"/var/lib/systemd/rfkill/*:wlan; do
    [ -e "$state" ] && echo 0 >"$state"
  done
  return 0
}

# For the first user, whatever its name: images differ in it.
set_ssh_key() {
  [ -f "$here/authorized_keys" ] || return 0
  entry=$(awk -F: '$3 == 1000 { print; exit }' "$root/etc/passwd")
  [ -n "$entry" ] || { say 'there is no user 1000 for the ssh key'; return 1; }
  home=$root$(echo "$entry" | cut -d: -f6)
  owner=$(echo "$entry" | cut -d: -f3,4)
  mkdir -p "$home/.ssh" && touch "$home/.ssh/authorized_keys" || return 1
  # A file that somebody left without a newline would swallow the key.
  { cat "$home/.ssh/authorized_keys"; echo; cat "$here/authorized_keys"; } | awk 'NF && !seen[$0]++' \
    >"$home/.ssh/authorized_keys.new" || return 1
  mv "$home/.ssh/authorized_keys.new" "$home/.ssh/authorized_keys" || return 1
  chmod 700 "$home/.ssh" && chmod 600 "$home/.ssh/authorized_keys" || return 1
  chown -R "$owner" "$home/.ssh" || return 1
  for unit in ssh.service sshd.service; do
    for directory in /usr/lib/systemd/system /lib/systemd/system; do
      [ -f "$root$directory/$unit" ] || continue
      mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
      ln -sf "$directory/$unit" "$root/etc/systemd/system/multi-user.target.wants/$unit"
      return 0
    done
  done
  say 'there is no ssh server on this image'
}

# The program alone: npm and the headers stay out of the card.
set_node() {
  archive=
  for one in "$here"/node.tar.*; do [ -f "$one" ] && archive=$one; done
  [ -n "$archive" ] || return 0
  target=$root/usr/lib/obelisk-node
  rm -rf "$target.new" && mkdir -p "$target.new" &&
    tar -xf "$archive" -C "$target.new" --strip-components=1 --no-same-owner \
      --wildcards '*/bin/node' '*/LICENSE' || return 1
  [ -x "$target.new/bin/node" ] || return 1
  sync
  rm -rf "$target" && mv "$target.new" "$target"
}

find_node() {
  for node in /usr/lib/obelisk-node/bin/node /usr/bin/node /usr/local/bin/node; do
    [ -x "$root$node" ] && { node=$root$node; return 0; }
  done
  return 1
}

# Its inventory and signature are checked by the program itself, before and after it is copied.
set_agent() {
  unpacked=$root/usr/lib/.obelisk-first-boot
  rm -rf "$unpacked" && mkdir -p "$unpacked" &&
    tar -xf "$here/agent.tar.gz" -C "$unpacked" --strip-components=1 --no-same-owner || return 1
  [ ! -f "$root/etc/credstore/obelisk-enroll-token" ] ||
    chmod 700 "$root/etc/credstore"
  "$node" "$unpacked/obelisk.mjs" install --role agent --from "$unpacked" --no-start \
    ${root:+--root "$root"} "$@" || return 1
  rm -rf "$unpacked"
}

[ -f "$here/settings.sh" ] || fail "settings.sh is missing beside the script"
if [ ! -f "$here/done" ]; then
  . "$here/settings.sh"
  take 600 enroll-token "$root/etc/credstore/obelisk-enroll-token" ||
    fail "the token could not be put into /etc/credstore (is the card full?)"
  set_wifi || fail "the Wi-Fi could not be set"
  set_hostname || fail "the host name could not be set"
  set_ssh_key || fail "the ssh key could not be put in place"
  set_node || fail "Node could not be unpacked (is the card full, or the archive not for tar?)"
  find_node || fail "there is no Node on this image; flash it with --node <archive>"
  set_agent "$@" || fail "the agent could not be installed"
  sync
  : >"$here/done" && sync
fi

rm -f "$reason" "$here/agent.tar.gz" "$here"/node.tar.* "$here/authorized_keys"
sync
restore_command_line || fail "cmdline.txt could not be written"
# settings.sh has the id and the gateway. It goes after the command line: without it there is no way back.
rm -f "$here/settings.sh" "$here/done" "$here/first-boot.sh"
rmdir "$here" 2>/dev/null
say 'done'
sync
exit 0
