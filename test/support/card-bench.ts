/** What tests of cards share: the command in this process, packages and archives to flash. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { runCommand } from '../../scripts/commands/program.ts'
import { formatToken } from '../../shared/protocol/tokens.ts'
import { makeKey, makeTree } from './packaged-tree.ts'

export interface Outcome {
  code: number
  out: string
  err: string
}

export async function obelisk(argv: readonly string[], input = ''): Promise<Outcome> {
  const outcome: Outcome = { code: 0, out: '', err: '' }
  const stdin = Readable.from([input])
  const stdout = { write: (text: string | Uint8Array) => (outcome.out += text) }
  const stderr = { write: (text: string | Uint8Array) => (outcome.err += text) }
  const environment = { PATH: process.env.PATH }
  outcome.code = await runCommand(argv, { stdout, stderr, stdin, environment }, '0')
  return outcome
}

const ID = ['--id', 'edge-042']
/** Of a gateway that lends the board its port. */
export const BOARD = [...ID, '--gateway', 'mqtt://127.0.0.1:1883']
export const SECURED_BOARD = [...ID, '--gateway', 'mqtts://gw.local:8883']
export const TOKEN = formatToken({
  ...{ kind: 'node', id: 'aaaaaaaa' },
  ...{ secret: new Uint8Array(16).fill(1), pin: new Uint8Array(32).fill(2) },
})

/** A package for boards of that architecture. */
export function makePackage(directory: string, architecture: string, role = 'agent'): string {
  const name = `obelisk-${role}-1.0.0-${architecture}`
  makeTree(join(directory, name), { version: '1.0.0', role, architecture, key: makeKey() })
  const path = join(directory, `${name}.tar.gz`)
  execFileSync('tar', ['-czf', path, '-C', directory, name])
  return path
}

/** What looks like Node for a machine, and is not: enough to be looked at, not to run. */
export function makeNodeArchive(directory: string, machine: number, version = '20.19.2'): string {
  const name = `node-v${version}-linux-x`
  mkdirSync(join(directory, name, 'bin'), { recursive: true })
  const head = Buffer.alloc(4096)
  head.write('\u007fELF', 'latin1')
  head.writeUInt16LE(machine, 18)
  writeFileSync(join(directory, name, 'bin/node'), head)
  chmodSync(join(directory, name, 'bin/node'), 0o755)
  writeFileSync(join(directory, name, 'LICENSE'), 'as it is\n')
  const path = join(directory, `${name}.tar.xz`)
  execFileSync('tar', ['-cJf', path, '-C', directory, name])
  return path
}
