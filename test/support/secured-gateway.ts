/** A gateway that is secured, as a process of its own, and commands that are run from another machine. */
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import { gatewayClient } from '../../scripts/client/node-carrier.ts'
import { runCommand } from '../../scripts/commands/program.ts'
import { VERSION } from '../../shared/runtime/version.ts'
import { putKeys } from './fleet-keys.ts'
import { Fleet, freePort, type Run, within } from './processes.ts'

export interface Said {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Asked {
  readonly status: number
  readonly body: string
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
}

export interface Ask {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: object | string
  readonly localAddress?: string
}

export class SecuredGateway {
  readonly fleet: Fleet
  readonly data: string
  readonly port: number
  readonly httpPort: number
  readonly #argv: readonly string[]
  run: Run

  static async start(t: Test, ...more: readonly string[]): Promise<SecuredGateway> {
    const fleet = new Fleet(t)
    const data = join(fleet.directory, 'gateway')
    await putKeys(fleet, data)
    const at = { port: await freePort(), httpPort: await freePort() }
    const gateway = new SecuredGateway(fleet, data, at, more)
    await gateway.run.line('ready mqtts=')
    return gateway
  }

  private constructor(
    fleet: Fleet,
    data: string,
    { port, httpPort }: { readonly port: number; readonly httpPort: number },
    more: readonly string[],
  ) {
    this.fleet = fleet
    this.data = data
    this.port = port
    this.httpPort = httpPort
    const at = ['--port', `${port}`, '--http-port', `${httpPort}`]
    this.#argv = ['gateway', '--data', data, ...at, '--grid', '32x32', ...more]
    this.run = fleet.start(this.#argv)
  }

  async restart(): Promise<void> {
    await this.run.end('SIGTERM')
    await this.startAgain()
  }

  /** Once it has ended. */
  async startAgain(): Promise<void> {
    this.run = this.fleet.start(this.#argv)
    await this.run.line('ready mqtts=')
  }

  get url(): string {
    return `https://localhost:${this.httpPort}`
  }

  get ca(): string {
    return readFileSync(join(this.data, 'security', 'ca.crt'), 'utf8')
  }

  /** As the gateway's owner. */
  async owner(...argv: readonly string[]): Promise<Said> {
    return await command([...argv, '--http', `unix:${join(this.data, 'admin.sock')}`])
  }

  /** What the owner's command says, trimmed; it must not fail. */
  async done(...argv: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.owner(...argv)
    if (code !== 0) throw new Error(`${argv.join(' ')} ends with ${code}: ${stderr}`)
    return stdout.trim()
  }

  /** Resolves with a token of a new user. */
  async user(name: string, role: string, ...more: readonly string[]): Promise<string> {
    await this.done('user', 'add', name, '--role', role, '--no-password', ...more)
    return await this.done('user', 'token', 'create', name)
  }

  /** As the gateway's owner, over its socket. */
  async put(path: string, body: object): Promise<void> {
    const owner = gatewayClient(`unix:${join(this.data, 'admin.sock')}`)
    await owner.request({ method: 'PUT', path, body })
  }

  /** Over HTTPS, on a connection of its own. */
  async ask(
    path: string,
    { method = 'GET', headers = {}, body, ...more }: Ask = {},
  ): Promise<Asked> {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
    const type = text === undefined ? {} : { 'content-type': 'application/json' }
    return await new Promise((resolve, reject) => {
      const asking = request(
        {
          ...{ host: '127.0.0.1', port: this.httpPort, servername: 'localhost', path, method },
          ...{ headers: { ...type, ...headers }, ca: this.ca, agent: false, ...more },
        },
        (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', reject)
          response.on('end', () => {
            const { statusCode: status, headers: got } = response
            resolve({ status: status!, body: Buffer.concat(chunks).toString(), headers: got })
          })
        },
      )
      asking.on('error', reject)
      asking.end(text)
    })
  }
}

/** Runs a command in this process. */
export async function command(
  argv: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  stdin: Readable = Readable.from([]),
): Promise<Said> {
  const text = { stdout: '', stderr: '' }
  const to = (name: keyof typeof text) => ({
    write: (more: string | Uint8Array) => {
      text[name] += Buffer.from(more).toString()
    },
  })
  const streams = { stdout: to('stdout'), stderr: to('stderr'), stdin, environment }
  const code = await within(argv.join(' '), runCommand(argv, streams, VERSION))
  return { code, ...text }
}
