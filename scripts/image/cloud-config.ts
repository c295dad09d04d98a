/**
 * cloud-init user-data for a board whose card somebody else writes, such as the Raspberry Pi Imager. The
 * text is YAML whose every value is a JSON text, which YAML 1.2 takes as it is. Pure.
 */
import { basename } from 'node:path'
import { CREDENTIAL } from '../install/places.ts'
import { quoted } from './board-files.ts'
import type { BoardWishes } from './board-wishes.ts'
import { installArguments } from './board-wishes.ts'

export interface Payload {
  /** An http address, or a file that is put onto the boot partition under its own name. */
  readonly agent: string
  readonly agentSha256?: string | undefined
  readonly node?: string | undefined
}

const SCRIPT = '/usr/local/sbin/obelisk-first-boot'

export function cloudConfig(board: BoardWishes, payload: Payload): string {
  const { hostname, sshKeys, token } = board
  const lines = ['#cloud-config']
  if (hostname !== undefined) lines.push(`hostname: ${text(hostname)}`, 'manage_etc_hosts: true')
  if (sshKeys !== undefined) {
    const keys = sshKeys.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'))
    lines.push('ssh_authorized_keys:', ...keys.map((key) => `  - ${text(key.trim())}`))
  }
  lines.push('write_files:')
  if (token !== undefined) {
    lines.push(...file(`/etc/credstore/${CREDENTIAL}`, '0600', token))
  }
  lines.push(...file(SCRIPT, '0700', script(board, payload)))
  lines.push('runcmd:', `  - [${text(SCRIPT)}]`)
  return `${lines.join('\n')}\n`
}

function file(path: string, mode: string, content: string): string[] {
  return [
    `  - path: ${text(path)}`,
    `    permissions: ${text(mode)}`,
    `    content: ${text(content)}`,
  ]
}

function text(value: string): string {
  return JSON.stringify(value)
}

function script(board: BoardWishes, payload: Payload): string {
  const words = installArguments(board).map(quoted).join(' ')
  const check =
    payload.agentSha256 === undefined
      ? ''
      : `echo ${quoted(`${payload.agentSha256}  agent.tar.gz`)} | sha256sum -c\n`
  const node =
    payload.node === undefined
      ? ''
      : `${fetching(payload.node, 'node.tar')}mkdir -p /usr/lib/obelisk-node
tar -xf node.tar -C /usr/lib/obelisk-node --strip-components=1 --no-same-owner --wildcards '*/bin/node' '*/LICENSE'
`
  return `#!/bin/sh
set -eu
work=$(mktemp -d)
cd "$work"
boot=/boot/firmware
[ -d "$boot" ] || boot=/boot
line=$boot/cmdline.txt
if [ -f "$line" ] && ! grep -qw cgroup_enable=memory "$line"; then
  sed -i '1s/$/ cgroup_enable=memory/' "$line"
fi
${fetching(payload.agent, 'agent.tar.gz')}${check}${node}mkdir agent
tar -xf agent.tar.gz -C agent --strip-components=1 --no-same-owner
for node in /usr/lib/obelisk-node/bin/node /usr/bin/node /usr/local/bin/node; do
  if [ -x "$node" ]; then break; fi
done
"$node" agent/obelisk.mjs install --role agent --from "$work/agent" ${words}
cd /
rm -rf "$work" ${SCRIPT}
`
}

function fetching(place: string, name: string): string {
  const isAddress = /^https?:\/\//.test(place)
  return isAddress
    ? `curl -fsSL --retry 5 -o ${name} ${quoted(place)}\n`
    : `cp "$boot"/${quoted(basename(place))} ${name}\n`
}
