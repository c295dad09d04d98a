/** The part of a unit that depends on the machine, and the command for people. */
import type { Role } from '../package/architectures.ts'
import { NODE_PATHS } from './places.ts'

/** First version with OpenFile= (systemd.service(5)). */
const SYSTEMD_WITH_OPEN_FILE = 253
/** What the unit files say as they are shipped. */
const SHIPPED_NODE = '/usr/bin/node'

/** The drop-in, or nothing where the unit fits as it is. */
export function dropInText(
  unit: string,
  { systemdVersion, node }: { systemdVersion: number | undefined; node: string },
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
  if (lines.length === 0) return undefined
  return `# Written by obelisk install for this machine.\n[Service]\n${lines.join('\n')}\n`
}

/** A Node that is on nobody's PATH needs a script, since the program finds its Node by PATH. */
export function commandText(role: Role, node: string): string | undefined {
  if (node !== NODE_PATHS[0]) return undefined
  return `#!/bin/sh\n# Written by obelisk install.\nexec ${node} /usr/lib/obelisk-${role}/obelisk.mjs "$@"\n`
}
