/** How a unit of systemd runs Node: its flags and variables, read from the unit itself. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BenchProcesses, type Command, PROGRAM } from './bench-processes.ts'

export interface NodeSetup {
  readonly flags: readonly string[]
  readonly environment: Readonly<Record<string, string>>
}

export const NO_SETUP: NodeSetup = { flags: [], environment: {} }

/** Of the unit of this checkout, whether this runs from its sources or built. */
export function unitSetup(role: 'agent' | 'gateway'): NodeSetup {
  const isBuilt = new URL('.', import.meta.url).pathname.endsWith('/dist/scripts/bench/')
  const root = new URL(isBuilt ? '../../../' : '../../', import.meta.url)
  return setupOf(readFileSync(new URL(`systemd/obelisk-${role}.service`, root), 'utf8'))
}

/** The agent of a package, or without its file that of this checkout. */
export function agentCommand(
  { flags, environment }: NodeSetup,
  agentFile: string | undefined,
): Command {
  const words = agentFile === undefined ? [PROGRAM, 'agent'] : [agentFile]
  return { path: process.execPath, argv: [...flags, ...words], environment }
}

/** Starts an agent with data of its own, and says its process. */
export async function startAgent(
  processes: BenchProcesses,
  { id, url, command }: { readonly id: string; readonly url: string; readonly command: Command },
  more: readonly string[] = [],
): Promise<{ readonly pid: number; readonly data: string }> {
  const data = join(processes.directory, id)
  const argv = ['--id', id, '--url', url, '--data', data, '--log-level', 'warn', ...more]
  return { pid: (await processes.start(id, argv, command)).child.pid!, data }
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
