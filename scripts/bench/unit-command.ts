/** How a unit of systemd runs Node: its flags and variables, read from the unit itself. */
import { readFileSync } from 'node:fs'
import { type Command, NODE, PROGRAM } from './bench-processes.ts'

export interface NodeSetup {
  readonly flags: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

/** Of the unit of this checkout, whether this runs from its sources or built. */
export function unitSetup(role: 'agent' | 'gateway'): NodeSetup {
  const isBuilt = new URL('.', import.meta.url).pathname.endsWith('/dist/scripts/bench/')
  const root = new URL(isBuilt ? '../../../' : '../../', import.meta.url)
  return setupOf(readFileSync(new URL(`systemd/obelisk-${role}.service`, root), 'utf8'))
}

/** An agent as its unit starts it: that of a package, or without its file that of this checkout. */
export function agentCommand(file?: string, nodeFlags: readonly string[] = []): Command {
  const { flags, environment } = unitSetup('agent')
  const words = file === undefined ? [PROGRAM, 'agent'] : [file]
  return { ...NODE, argv: [...flags, ...nodeFlags, ...words], environment }
}

export function setupOf(unit: string): NodeSetup {
  const [, start = ''] = /^ExecStart=(.*)$/m.exec(unit) ?? []
  const words = start.split(' ').slice(1)
  const program = words.findIndex((word) => !word.startsWith('--'))
  if (program < 0) throw new Error('the unit has no ExecStart= with a program for Node')
  const variables = [...unit.matchAll(/^Environment=(.*)$/gm)].flatMap(([, line]) => {
    return line!.split(' ').map((pair) => pair.split('=') as [string, string])
  })
  return { flags: words.slice(0, program), environment: Object.fromEntries(variables) }
}
