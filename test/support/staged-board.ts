/** A board below another root: an agent that is installed, its state, and what it asks root for. */

import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runCommand } from '../../scripts/commands/program.ts'
import { packTarball } from '../../scripts/package/archive.ts'
import { readInventory, type TreeFile } from '../../scripts/package/inventory.ts'
import { PROTOCOL_VERSION } from '../../shared/protocol/messages.ts'
import { architectureOf } from '../../shared/runtime/architecture.ts'
import { type KeyPair, makeKey, makeTree, type TreeOptions } from './packaged-tree.ts'

const BOOT = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
const UNITS = ['obelisk-agent-upgrade.path', 'obelisk-agent-upgrade.service'].map(
  (name) => `systemd/${name}`,
)
const SYSTEMD = new URL('../../', import.meta.url)
const STAGED = ['install', '--role', 'agent', '--staged'] as const

export interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

export class StagedBoard {
  readonly root: string
  readonly key: KeyPair
  readonly #directory: string

  constructor(directory: string, key: KeyPair = makeKey()) {
    this.#directory = directory
    this.key = key
    this.root = join(directory, 'root')
    mkdirSync(this.at('usr/bin'), { recursive: true })
    writeFileSync(this.at('usr/bin/node'), '')
    mkdirSync(this.at('var/lib/private/obelisk-agent/upgrade'), { recursive: true })
  }

  at(path: string): string {
    return join(this.root, path)
  }

  staging(name = ''): string {
    return this.at(`var/lib/private/obelisk-agent/upgrade/${name}`)
  }

  /** An unpacked package. */
  tree(options: Partial<TreeOptions> & { readonly version: string }): string {
    const { version, key = this.key } = options
    const units = UNITS.map((path) => [path, readFileSync(new URL(path, SYSTEMD), 'utf8')])
    const architecture = architectureOf(process.arch)
    const more = { ...Object.fromEntries(units), ...options.more }
    return makeTree(join(this.#directory, `tree-${version}`), {
      ...{ architecture, ...options, version, key, more },
      inventory: { protocol: PROTOCOL_VERSION, ...options.inventory },
    })
  }

  async install(version: string): Promise<Said> {
    return await this.obelisk('install', '--role', 'agent', '--from', this.tree({ version }))
  }

  /** The bytes of a package. */
  archive(tree: string): Buffer {
    return packTarball(filesOf(tree), 'obelisk-agent', 0)
  }

  /** As the agent asks for it; the name of the package. */
  ask(archive: Uint8Array, over: Record<string, unknown> = {}): string {
    const sha256 = createHash('sha256').update(archive).digest('hex')
    writeFileSync(this.staging(`${sha256}.tar.gz`), archive)
    const request = { id: 'asked-1', sha256, boot: BOOT, ...over }
    writeFileSync(this.staging('request.json'), JSON.stringify(request))
    return sha256
  }

  async staged(): Promise<Said> {
    return await this.obelisk(...STAGED)
  }

  async obelisk(...argv: string[]): Promise<Said> {
    const said = { code: 0, out: '', err: '' }
    const stdin = (async function* () {})()
    const stdout = { write: (text: string | Uint8Array) => (said.out += text) }
    const stderr = { write: (text: string | Uint8Array) => (said.err += text) }
    const streams = { stdout, stderr, stdin, environment: { PATH: process.env.PATH } }
    said.code = await runCommand([...argv, '--root', this.root], streams, '0')
    return said
  }

  get outcome(): Record<string, unknown> | undefined {
    try {
      const path = this.at('run/obelisk-agent-upgrade/outcome.json')
      return JSON.parse(readFileSync(path, 'utf8'))
    } catch {
      return undefined
    }
  }

  forgetOutcome(): void {
    rmSync(this.at('run'), { recursive: true, force: true })
  }

  get version(): string {
    return readFileSync(this.at('usr/lib/obelisk-agent/agent.mjs'), 'utf8').slice(3).trim()
  }
}

/** What a package has, with its list and signatures. */
export function filesOf(tree: string): TreeFile[] {
  const signed = ['inventory.json', 'inventory.sig']
  const listed = readInventory(tree).files.map(({ path, mode }) => ({ path, mode }))
  return [...listed, ...signed.map((path) => ({ path, mode: '0644' }))].map(({ path, mode }) => {
    return { path, bytes: readFileSync(join(tree, path)), mode: Number.parseInt(mode, 8) }
  })
}
