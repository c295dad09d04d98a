/** The part of a unit that depends on the machine, and the command for people. */
import type { Role } from '../package/architectures.ts'
import { NODE_PATHS } from './places.ts'

/** First version with OpenFile= (systemd.service(5)). */
const SYSTEMD_WITH_OPEN_FILE = 253
/** What the unit files say as they are shipped. */
const SHIPPED_NODE = '/usr/bin/node'

/** What depends on the machine. */
export interface Machine {
  readonly systemdVersion: number | undefined
  readonly node: string
  /** Where what became of a version is written, of an agent that takes them from its gateway. */
  readonly upgrades?: string
}

/** A unit of which nothing else depends on the machine, with the Node that is there. */
export function withNode(unit: string, node: string): string {
  return unit.replace(`ExecStart=${SHIPPED_NODE} `, `ExecStart=${node} `)
}

/** The drop-in, or nothing where the unit fits as it is. */
export function dropInText(
  unit: string,
  { systemdVersion, node, upgrades }: Machine,
): string | undefined {
  const lines: string[] = []
  if (systemdVersion !== undefined && systemdVersion >= SYSTEMD_WITH_OPEN_FILE) {
    lines.push('# The program tells systemd how it is, without another process.')
    lines.push('OpenFile=/run/systemd/notify:notify')
  }
  if (node !== SHIPPED_NODE) {
    const start = /^ExecStart=(\/\S+\/node)( .*)$/m.exec(unit)
    if (start !== null) lines.push('ExecStart=', `ExecStart=${node}${start[2]}`)
  }
  if (upgrades !== undefined) lines.push(`Environment=UPGRADE_DIRECTORY=${upgrades}`)
  if (lines.length === 0) return undefined
  return `# Written by obelisk install for this machine.\n[Service]\n${lines.join('\n')}\n`
}

/** A Node that is on nobody's PATH needs a script, since the program finds its Node by PATH. */
export function commandText(role: Role, node: string): string | undefined {
  if (node !== NODE_PATHS[0]) return undefined
  return `#!/bin/sh\n# Written by obelisk install.\nexec ${node} /usr/lib/obelisk-${role}/obelisk.mjs "$@"\n`
}
