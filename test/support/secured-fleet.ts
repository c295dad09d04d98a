/** A fleet whose gateway is secured, by nothing but the commands and the packaged programs. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { gatewayClient } from '../../scripts/client/node-carrier.ts'
import type { GatewayClient } from '../../shared/client/http.ts'
import { putKeys } from './fleet-keys.ts'
import { Agent, Fleet, freePort, type Run, within } from './processes.ts'
import { command } from './secured-gateway.ts'

const GRID = ['--grid', '64x64', '--fields', 'n:i32', '--replicas', '2']
/** None is dead by its silence alone while a test lasts. */
const TIMES = ['--dead-after-ms', '600000']
export const ANYWHERE = '0.0.0.0'
/** Who has not logged in anywhere. */
const NOBODY = { XDG_CONFIG_HOME: '/nonexistent' }

export type Json = Record<string, unknown>
/** Runs `obelisk` somewhere. */
export type Obelisk = (...argv: readonly string[]) => Run

interface Place {
  readonly host: string
  readonly port: number
  readonly data: string
  /** Behind `gateway`. */
  readonly words: readonly string[]
}

function argvOf({ host, port, data, words }: Place): string[] {
  const at = ['--data', data, '--host', host, '--port', `${port}`, '--http-port', '0']
  return ['gateway', ...words, ...at, ...GRID, ...TIMES]
}

export class Secured {
  readonly fleet: Fleet
  readonly data: string
  readonly port: number
  readonly admin: GatewayClient
  readonly #here: Obelisk
  gateway: Run

  /** Keys that are made there, and a gateway that is ready. */
  static async start(fleet: Fleet, here: Obelisk, host: string): Promise<Secured> {
    const data = join(fleet.directory, 'gateway')
    const made = here('gateway', 'secure', '--host', host, '--data', data)
    const { code } = await within('its keys', made.exited)
    if (code !== 0) throw new Error(`gateway secure: ${made.stderr}`)
    return await Secured.at(fleet, here, host, data)
  }

  /** A gateway that is ready, where its keys are. */
  static async at(fleet: Fleet, here: Obelisk, host: string, data: string): Promise<Secured> {
    const secured = new Secured(fleet, here, { host, port: await freePort(), data, words: [] })
    await secured.gateway.line('ready mqtts=')
    return secured
  }

  readonly #at: Place

  private constructor(fleet: Fleet, here: Obelisk, at: Place) {
    this.fleet = fleet
    this.data = at.data
    this.port = at.port
    this.#here = here
    this.#at = at
    this.admin = gatewayClient(`unix:${join(at.data, 'admin.sock')}`)
    this.gateway = here(...argvOf(at))
  }

  /** After its end: another box under the same address, where the gateway is started with these words. */
  async replaced(data: string, words: readonly string[]): Promise<Secured> {
    const other = new Secured(this.fleet, this.#here, { ...this.#at, data, words })
    await other.gateway.line('ready mqtts=')
    return other
  }

  async restart(): Promise<void> {
    await this.gateway.kill()
    this.gateway = this.#here(...argvOf(this.#at))
    await this.gateway.line('ready mqtts=')
  }

  /** Runs a command to its end in this process, as the gateway's owner. */
  async command(
    ...argv: readonly string[]
  ): Promise<{ exit: { code: number }; stdout: string; stderr: string }> {
    const http = ['--http', `unix:${join(this.data, 'admin.sock')}`]
    const { code, ...said } = await command([...argv, ...http], NOBODY)
    return { exit: { code }, ...said }
  }

  /** The file of a new token. */
  async token(...argv: readonly string[]): Promise<string> {
    const { exit, stdout, stderr } = await this.command('token', 'create', ...argv)
    if (exit.code !== 0) throw new Error(`token create: ${stderr}`)
    const path = join(this.fleet.directory, `token-${Math.random().toString(36).slice(2)}`)
    writeFileSync(path, stdout)
    return path
  }

  board(id: string, there: Obelisk, host: string, ...argv: readonly string[]): Agent {
    const directory = join(this.fleet.directory, `board-${id}`)
    const url = ['--url', `mqtts://${host}:${this.port}`]
    const own = ['agent', '--id', id, ...url, '--data', directory, ...argv]
    return new Agent(id, directory, () => there(...own))
  }

  async run(task: Json): Promise<Json> {
    return await this.admin.json<Json>({
      method: 'POST',
      path: '/process?wait=60s',
      contentType: 'application/json',
      body: Buffer.from(JSON.stringify(task)),
      timeoutMs: 70_000,
    })
  }

  async states(): Promise<Record<string, string>> {
    const nodes = await this.admin.json<{ id: string; state: string }[]>({ path: '/api/nodes' })
    return Object.fromEntries(nodes.map(({ id, state }) => [id, state]))
  }

  /** What the security log says, oldest first, and that nothing of it was changed. */
  async events(t: Test): Promise<string[]> {
    const at = ['--data', this.data]
    const verified = await command(['security', 'log', '--verify', ...at], NOBODY)
    t.match(verified, { code: 0 }, verified.stderr)
    const told = await command(['security', 'log', '--json', ...at], NOBODY)
    t.match(told, { code: 0 }, told.stderr)
    const lines = told.stdout.trim().split('\n')
    return lines.map((line) => JSON.parse(line) as Json).map(({ event, who }) => `${event} ${who}`)
  }

  async keysOf(node: string): Promise<string[]> {
    const path = `/api/identities/node/${node}`
    const { keys } = await this.admin.json<{ keys: { sha256: string }[] }>({ path })
    return keys.map(({ sha256 }) => sha256)
  }
}

/** A secured gateway on this machine alone, and what starts programs beside it. */
export interface SecuredHere {
  readonly fleet: Fleet
  readonly here: Obelisk
  readonly secured: Secured
}

export async function securedHere(t: Test): Promise<SecuredHere> {
  const fleet = new Fleet(t)
  const here: Obelisk = (...argv) => fleet.start(argv)
  const data = join(fleet.directory, 'gateway')
  await putKeys(fleet, data)
  return { fleet, here, secured: await Secured.at(fleet, here, '127.0.0.1', data) }
}

/** A board of this name that has enrolled and joined. */
export async function joined({ secured, here }: SecuredHere, id: string): Promise<Agent> {
  const token = ['--enroll-token-file', await secured.token(id)]
  return await secured.board(id, here, '127.0.0.1', ...token).ready()
}
