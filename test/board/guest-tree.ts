/** The Debian that the virtual machines run: systemd, Node, a network address, and an ear for commands. */
import { type DebianTree, debianTree } from './debian-tree.ts'

/** Of the channel between the test and its guest. */
export const CHANNEL = 'obelisk.test'

/** Each line is an id and a script in base64; answered by the id, the exit code, and what it said. */
const EAR = `#!/bin/bash
exec 3<>/dev/virtio-ports/${CHANNEL}
while read -r id script <&3; do
  said=$(base64 -d <<<"$script" | bash 2>&1 | base64 -w0; exit "\${PIPESTATUS[1]}")
  echo "$id $? $said" >&3
done
`

const EAR_UNIT = `[Unit]
Description=Commands of the test
BindsTo=dev-virtio\\x2dports-${CHANNEL}.device
After=dev-virtio\\x2dports-${CHANNEL}.device

[Service]
ExecStart=/usr/local/sbin/ear
Restart=always
OOMScoreAdjust=-1000

[Install]
WantedBy=multi-user.target
`

/** QEMU's user network: the host is 10.0.2.2, and its loopback is behind that address. */
const NETWORK = `[Match]
Name=eth0

[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
LinkLocalAddressing=no
`

const TREE: DebianTree = {
  architecture: 'amd64',
  packages: [
    ...['systemd', 'systemd-sysv', 'udev', 'dbus', 'libnss-resolve', 'nodejs', 'kmod'],
    ...['initramfs-tools', 'linux-image-cloud-amd64', 'zstd', 'xz-utils'],
  ],
  files: {
    'usr/local/sbin/ear': { text: EAR, mode: 0o755 },
    'etc/systemd/system/ear.service': { text: EAR_UNIT },
    'etc/systemd/network/10-eth0.network': { text: NETWORK },
    'etc/fstab': { text: '/dev/root / ext4 defaults 0 1\n' },
    'etc/hostname': { text: 'guest\n' },
    'etc/hosts': { text: '127.0.0.1 localhost\n' },
    'boot/firmware/.keep': { text: '' },
  },
  finish: [
    ['systemctl', 'enable', 'ear.service', 'systemd-networkd.service'],
    [
      ...[
        'systemctl',
        'mask',
        'e2scrub_reap.service',
        'apt-daily.timer',
        'apt-daily-upgrade.timer',
      ],
      ...['dpkg-db-backup.timer', 'systemd-networkd-wait-online.service'],
      ...['getty@tty1.service', 'systemd-logind.service'],
    ],
    // What a first boot would do, emulated.
    ['ldconfig'],
    ['journalctl', '--update-catalog'],
    ['systemd-sysusers'],
    ['touch', '-r', '/usr', '/etc/.updated', '/var/.updated'],
  ],
}

export async function guestTree(): Promise<string> {
  return await debianTree(TREE)
}

/** The Debian before it, with systemd 252 and Node 18. */
export async function olderGuestTree(): Promise<string> {
  return await debianTree({ ...TREE, suite: 'bookworm' })
}
