/** Results that one recipient alone can read, from the key to the opening; and that they are in clear nowhere else. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import t, { type Test } from 'tap'
import { gatewayClient } from '../../scripts/client/node-carrier.ts'
import type { GatewayClient } from '../../shared/client/http.ts'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { decodeCbor } from '../../shared/protocol/cbor.ts'
import { putKeys } from '../support/fleet-keys.ts'
import { Agent, eventually, Fleet, freePort, type Run, within } from '../support/processes.ts'
import { command, type Said } from '../support/secured-gateway.ts'

type Json = Record<string, unknown>

const FLAGS = ['--grid', '32x32', '--fields', 'n:i32', '--replicas', '1', '--http-port', '0']
const LIMITS = { bytesMax: 2 ** 24, depthMax: 16, itemsMax: 1_000_000 }
const DIGESTS = 40

/** Those that were run as programs. */
const ran = new Set<string>()

class Sealed {
  readonly fleet: Fleet
  readonly data: string
  readonly port: number
  readonly admin: GatewayClient
  gateway: Run

  static async start(t: Test): Promise<Sealed> {
    const fleet = new Fleet(t)
    const data = join(fleet.directory, 'gateway')
    await putKeys(fleet, data)
    const sealed = new Sealed(fleet, data, await freePort())
    await sealed.gateway.line('ready ')
    const token = join(fleet.directory, 'token')
    writeFileSync(token, await sealed.done('token', 'create', 'n1'))
    const board = join(fleet.directory, 'n1')
    const url = `mqtts://127.0.0.1:${sealed.port}`
    const argv = ['agent', '--id', 'n1', '--url', url, '--data', board]
    const agent = new Agent('n1', board, () => fleet.start([...argv, '--enroll-token-file', token]))
    await agent.ready()
    return sealed
  }

  private constructor(fleet: Fleet, data: string, port: number) {
    this.fleet = fleet
    this.data = data
    this.port = port
    this.admin = gatewayClient(`unix:${join(data, 'admin.sock')}`)
    this.gateway = this.#begin()
  }

  #begin(): Run {
    return this.fleet.start(['gateway', '--data', this.data, '--port', `${this.port}`, ...FLAGS])
  }

  async restart(): Promise<void> {
    await this.gateway.kill()
    this.gateway = this.#begin()
    await this.gateway.line('ready ')
  }

  /** Runs a command: as a program the first time, then in this process, for a tenth of the cost. */
  async run(...argv: readonly string[]): Promise<Said> {
    const words = argv.slice(0, 2).join(' ')
    if (ran.has(words)) return await command(argv)
    ran.add(words)
    const run = this.fleet.start(argv)
    const { code } = await within(argv.join(' '), run.exited)
    return { code: code ?? -1, stdout: run.stdout, stderr: run.stderr }
  }

  /** Runs a command at the owner's socket, which must do. */
  async done(...argv: readonly string[]): Promise<string> {
    const said = await this.run(...argv, '--http', `unix:${join(this.data, 'admin.sock')}`)
    if (said.code !== 0) throw new Error(`${argv.join(' ')}: ${said.stderr}`)
    return said.stdout
  }

  async submit(task: Json, query = '?wait=60s'): Promise<Json> {
    return await this.admin.json<Json>({
      method: 'POST',
      path: `/process${query}`,
      contentType: 'application/json',
      body: Buffer.from(JSON.stringify(task)),
      timeoutMs: 70_000,
    })
  }

  /** Whether a text stands anywhere on the gateway's disk. */
  holds(text: string): boolean {
    return readdirSync(this.data, { recursive: true })
      .map((path) => join(this.data, String(path)))
      .filter((path) => statSync(path).isFile())
      .some((path) => readFileSync(path).includes(text))
  }
}

t.test('a result is sealed to one who can open it, and to nobody else', async (t) => {
  const at = await Sealed.start(t)
  const path = (name: string): string => join(at.fleet.directory, name)
  const keygen = await at.run('seal', 'keygen', path('alice.key'))
  t.match(keygen, { code: 0 })
  t.equal(statSync(path('alice.key')).mode & 0o777, 0o600)
  writeFileSync(path('alice.pub'), keygen.stdout)
  t.match(await at.run('seal', 'keygen', path('alice.key')), { code: 1 }, 'once')
  await at.run('seal', 'keygen', path('bob.key'))
  await at.done('seal', 'recipient', 'add', 'alice', path('alice.pub'))
  t.match(await at.done('seal', 'recipient', 'ls'), /^alice /m)
  writeFileSync(path('gateway.pub'), await at.done('seal', 'signer'))

  const region = { x: 0, y: 0, w: 4, h: 2 }
  const written = await at.submit({ op: 'set', args: { fields: { n: 7 } }, seal: 'alice' })
  t.match(written, { state: 'completed', effect: 'done', sealed: { body: String } })
  t.notOk('value' in written)
  const plain = await at.submit({ op: 'get', region })
  const sealed = await at.submit({ id: 'mine', op: 'get', region, seal: 'alice' })
  t.same(Object.keys(sealed.sealed as Json).sort(), ['body', 'head', 'kem', 'sig'])
  t.notOk('value' in sealed)
  t.notMatch(sealed, { error: {} })

  const open = (file: string, ...flags: string[]): Promise<Said> =>
    at.run('seal', 'open', file, '--key', path('alice.key'), ...flags)
  const signer = ['--signer', path('gateway.pub')]
  writeFileSync(path('result.json'), JSON.stringify(sealed))
  const opened = await open(path('result.json'), ...signer)
  t.match(opened, { code: 0 }, opened.stderr)
  t.same(JSON.parse(opened.stdout), plain.value)
  const unsigned = await open(path('result.json'))
  t.match(unsigned.stderr, /warning: anybody can have sealed it/)
  const bob = await at.run('seal', 'open', path('result.json'), '--key', path('bob.key'), ...signer)
  t.match(bob, { code: 65 })
  t.equal(bob.stdout, '')
  t.match(bob.stderr, /this key does not open it: it is sealed to alice/)
  const other = await open(path('result.json'), '--signer', path('alice.pub'))
  t.match(other, { code: 65 }, 'that is no key of a gateway')

  const file = path('result.cbor')
  await at.done('task', 'result', 'mine', '--cbor', '--output', file)
  t.same(JSON.parse((await open(file, ...signer)).stdout), plain.value)
  for (const part of ['head', 'kem', 'body', 'sig']) {
    const bytes = Buffer.from((sealed.sealed as Json)[part] as string, 'base64')
    bytes[bytes.length >> 1]! ^= 1
    const damaged = {
      ...sealed,
      sealed: { ...(sealed.sealed as Json), [part]: bytes.toString('base64') },
    }
    writeFileSync(path('damaged.json'), JSON.stringify(damaged))
    const refused = await open(path('damaged.json'), ...signer)
    t.match(refused, { code: 65 }, part)
    t.equal(refused.stdout, '', part)
    t.match(refused.stderr, /cannot be opened/, part)
  }
  writeFileSync(path('other.json'), JSON.stringify({ ...sealed, id: 'yours' }))
  t.match((await open(path('other.json'), ...signer)).stderr, /belongs to the result of task mine/)

  const words = ['task', 'submit', 'get', '--region', '0,0,4,2', '--seal', 'alice', '--wait']
  writeFileSync(path('told.json'), await at.done(...words))
  t.same(JSON.parse((await open(path('told.json'), ...signer)).stdout), plain.value)

  // Whoever follows it over MQTT sees no more, now or later.
  writeFileSync(path('password'), 'correct horse\n')
  await at.done('user', 'add', 'eve', '--role', 'viewer', '--password-file', path('password'))
  const heard = new Map<string, Buffer>()
  const eve = await connectAsync(`mqtts://127.0.0.1:${at.port}`, {
    ...{ ca: readFileSync(join(at.data, 'security/ca.crt')), protocolVersion: 4 },
    ...{ servername: 'localhost', username: 'eve', password: 'correct horse' },
  })
  t.teardown(() => eve.end(true))
  eve.on('message', (topic, payload) => heard.set(topic.split('/v1/')[1]!, payload))
  await eve.subscribeAsync('obelisk/v1/task/#', { qos: 1 })
  await at.submit({ id: 'later', op: 'get', region, seal: 'alice' })
  for (const id of ['mine', 'later']) {
    const bytes = await eventually(`result ${id}`, () => heard.get(`task/${id}/result`))
    const result = decodeCbor(bytes, LIMITS) as unknown as { value: Json }
    t.ok(result.value.sealed, id)
    t.notOk('value' in result.value, id)
    const json = await eventually(`mirror ${id}`, () => heard.get(`task/${id}/result/json`))
    const mirror = JSON.parse(json.toString()) as Json
    t.match(mirror, { id, op: 'get', state: 'completed', lsus: 8 })
    t.notOk('value' in mirror || 'sealed' in mirror, id)
  }

  await t.rejects(at.submit({ op: 'get', region, seal: 'nobody' }), {
    ...{ constructor: ObeliskError, status: 422, code: 'unknown-recipient' },
  })
  await at.done('seal', 'recipient', 'rm', 'alice')
  await t.rejects(at.submit({ op: 'get', region, seal: 'alice' }), { code: 'unknown-recipient' })
  t.match(await at.submit({ id: 'mine', op: 'get', region, seal: 'alice' }), { id: 'mine' })
  const log = await at.run('security', 'log', '--data', at.data)
  t.match(
    log.stdout,
    /recipient-added .*recipient\/alice.*[0-9a-f]{64}[\s\S]*recipient-removed .*recipient\/alice/,
  )
})

t.test('a gateway that is killed shows no value in clear, and seals what it owes', async (t) => {
  const at = await Sealed.start(t)
  const key = join(at.fleet.directory, 'alice.key')
  const { stdout } = await at.run('seal', 'keygen', key)
  await at.done('seal', 'recipient', 'add', 'alice', stdout.trim())
  const signer = (await at.done('seal', 'signer')).trim()
  const secrets = Array.from({ length: DIGESTS }, (_, index) => `secret number ${index}`)
  const hexOf = (text: string): string => createHash('sha256').update(text).digest('hex')
  for (const [index, data] of secrets.entries()) {
    const task = { id: `d${index}`, op: 'digest', items: [{ key: 'k', data }], seal: 'alice' }
    // Some are sealed, some on their way, and some just accepted.
    await at.submit(task, '')
    if (index % 10 === 9) await at.restart()
  }
  const clear = { id: 'clear', op: 'digest', items: [{ key: 'k', data: 'no secret' }] }
  t.match(await at.submit(clear), { state: 'completed' })
  t.ok(at.holds(hexOf('no secret')), 'what is not sealed is found')
  for (const [index, data] of secrets.entries()) {
    const path = `/api/tasks/d${index}/result?wait=60s`
    const text = await at.admin.text({ path, timeoutMs: 70_000 })
    const file = join(at.fleet.directory, 'result.json')
    writeFileSync(file, text)
    t.match(JSON.parse(text), { state: 'completed', sealed: {} })
    t.notOk(at.holds(hexOf(data)), data)
    if (index % 10 !== 0) continue
    const opened = await at.run('seal', 'open', file, '--key', key, '--signer', signer)
    t.match(JSON.parse(opened.stdout), { items: 1, sha256: { k: hexOf(data) } })
  }
})
