/**
 * A fleet whose gateway is secured, as a person makes one: keys, tokens, boards on other machines, which are
 * network namespaces here. Nothing but the commands and the packaged programs.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt'
import t, { type Test } from 'tap'
import { enrol } from '../../firmware-agent/adapters/enrolment-client.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import { parseToken } from '../../shared/protocol/tokens.ts'
import { newKeyPair, pemOf } from '../../shared/runtime/public-keys.ts'
import { NetworkNamespaces } from '../support/network-namespaces.ts'
import { Agent, eventually, Fleet, PROGRAM, within } from '../support/processes.ts'
import {
  ANYWHERE,
  type Json,
  type Obelisk,
  Secured,
  securedHere,
} from '../support/secured-fleet.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/secured.test.ts`)

const noNetwork = NetworkNamespaces.obstacle() ?? false

t.test('boards on other machines join with a token each', { skip: noNetwork }, async (t) => {
  const network = NetworkNamespaces.open(t)
  const fleet = new Fleet(t)
  for (const name of ['n7', 'n8', 'n9', 'stranger']) network.spoke(name)
  const runIn =
    (name: string): Obelisk =>
    (...argv) => {
      const [program, ...rest] = network.command(name)
      return fleet.command(program, [...rest, process.execPath, PROGRAM, ...argv])
    }
  const secured = await Secured.start(fleet, runIn('hub'), ANYWHERE)
  const boards = await Promise.all(
    ['n7', 'n8', 'n9'].map(async (id) => {
      const token = ['--enroll-token-file', await secured.token(id)]
      return await secured.board(id, runIn(id), network.hubAddress, ...token).ready()
    }),
  )
  const [n7, ...others] = boards as [Agent, Agent, Agent]
  t.same(await secured.states(), { n7: 'alive', n8: 'alive', n9: 'alive' })
  await secured.run({ op: 'set', args: { fields: { n: 3 } } })
  t.match(await secured.run({ op: 'stat', args: { field: 'n' } }), { value: { sum: 3 * 64 * 64 } })

  await secured.restart()
  await n7.run.kill()
  n7.start()
  await n7.ready()
  t.match(await secured.run({ op: 'stat', args: { field: 'n' } }), { value: { sum: 3 * 64 * 64 } })

  const plain = secured.board('n10', runIn('stranger'), network.hubAddress)
  t.match(await within('its end', plain.run.exited), { code: 78 }, 'nobody without a token')
  const sub = runIn('stranger')(
    'sub',
    '#',
    '--url',
    `mqtt://${network.hubAddress}:${secured.port}`,
    '-t',
    '3',
  )
  t.not((await within('its end', sub.exited)).code, 0, 'nor in clear')

  t.match(await secured.command('node', 'revoke', 'n7'), { exit: { code: 0 } })
  await eventually('n7 has left', async () => (await secured.states()).n7 === 'left')
  t.same(await secured.keysOf('n7'), [])
  t.match(await secured.run({ op: 'stat', args: { field: 'n' } }), {
    value: { sum: 3 * 64 * 64 },
  })
  await eventually('n7 tries in vain', async () => {
    const text = await secured.admin.text({ path: '/metrics' })
    return /reason="key-revoked"\} [1-9]/.test(text)
  })
  await eventually('and knows why', () => n7.run.stderr.includes('"code":"revoked"'))
  t.same(await secured.states(), { n7: 'left', n8: 'alive', n9: 'alive' })
  t.notOk(others.some(({ run }) => run.hasExited))
  const events = await secured.events(t)
  t.equal(events[1], 'secured admin')
  t.equal(events.filter((event) => event === 'token-created admin').length, 3)
  for (const { id } of boards) t.ok(events.includes(`enrolled node/${id}`), id)
  t.ok(events.includes('node-revoked admin'))
  t.ok(events.includes('certificate-refused node/n7'))

  // Its box is lost: another one under the same address has its keys from a backup.
  const at = (name: string): string => join(fleet.directory, name)
  writeFileSync(at('passphrase'), 'correct horse battery')
  const passphrase = ['--passphrase-file', at('passphrase')]
  const backup = await secured.command('ca', 'backup', at('keys.backup'), ...passphrase)
  t.match(backup.exit, { code: 0 }, backup.stderr)
  await secured.gateway.kill()
  const words = [at('keys.backup'), '--data', at('other'), ...passphrase, '--none-revoked']
  const restore = runIn('hub')('ca', 'restore', ...words)
  t.match(await within('the restore', restore.exited), { code: 0 }, restore.stderr)
  const other = await secured.replaced(at('other'), ['recover', '--nodes', '2'])
  await eventually('the others are back by themselves', async () => {
    const { n8, n9 } = await other.states()
    return n8 === 'alive' && n9 === 'alive'
  })
  t.match(await other.run({ op: 'stat', args: { field: 'n' } }), { value: { sum: 3 * 64 * 64 } })
  t.same(await other.keysOf('n7'), [], 'who was revoked stays out')
})

t.test('attempts 22 and 30: kills at any moment of an enrolment leave one identity', async (t) => {
  const KILLS = 12
  const random = new Random(seed)
  const { fleet, here, secured } = await securedHere(t)
  const token = await secured.token('n7')
  const board = secured.board('n7', here, '127.0.0.1', '--enroll-token-file', token)
  for (let kills = 0; kills < KILLS; kills++) {
    // An enrolment takes some 300 ms from the start of the process on a quiet machine.
    await new Promise((resolve) => setTimeout(resolve, random.between(50, 500)))
    await board.run.kill()
    if (random.integer(3) === 0) await secured.restart()
    board.start()
  }
  await board.ready()
  t.equal((await secured.keysOf('n7')).length, 1)
  t.same(readdirSync(join(board.directory, 'identity')).sort(), ['ca.pem', 'cert.pem', 'key.pem'])
  t.notOk(existsSync(join(board.directory, 'identity.new')))

  const other = new Agent('n7', join(fleet.directory, 'thief'), () =>
    here(
      ...['agent', '--id', 'n7', '--url', `mqtts://127.0.0.1:${secured.port}`],
      ...['--data', join(fleet.directory, 'thief'), '--enroll-token-file', token],
    ),
  )
  t.match(await within('its end', other.run.exited), { code: 78 })
  t.match(other.run.stderr, /another key has used the token/)
  await secured.gateway.end('SIGTERM')
  t.ok((await secured.events(t)).includes('token-used-twice node/n7'))
  await secured.restart()
  t.equal((await secured.keysOf('n7')).length, 1)
})

/** For those who may come in; and another fleet, at whose gateway somebody guesses. */
const [open, guessed] = await Promise.all([securedHere(t), securedHere(t)])

t.test('attempts 13, 20 and 21: what a board cannot be known by leaves nothing', async (t) => {
  const { fleet, here, secured } = open
  const file = (text: string): string => {
    const path = join(fleet.directory, `given-${Math.random().toString(36).slice(2)}`)
    writeFileSync(path, text)
    return path
  }
  const url = `mqtts://127.0.0.1:${secured.port}`
  const good = await secured.token('n1', '--ttl', '1m')
  const [revoked, other] = [await secured.token('n1'), await secured.token('n2')]
  const { stdout } = await secured.command('token', 'ls', '--json')
  const tokens = JSON.parse(stdout) as { id: string }[]
  await secured.command('token', 'revoke', tokens[1]!.id)
  const { secured: elsewhere } = guessed
  const cases: readonly [name: string, argv: string[], code: number, said: RegExp][] = [
    ['no token', ['--url', url], 78, /needs a token/],
    ['no such thing', ['--url', url, '--enroll-token-file', file('obk1-abc')], 65, /is none/],
    ['empty', ['--url', url, '--enroll-token-file', file('')], 78, /empty/],
    ['revoked', ['--url', url, '--enroll-token-file', revoked], 78, /was revoked/],
    ['of another node', ['--url', url, '--enroll-token-file', other], 78, /for another node/],
    ['in clear', ['--url', 'mqtt://127.0.0.1:1', '--enroll-token-file', good], 78, /mqtts/],
    [
      'another fleet',
      ['--url', `mqtts://127.0.0.1:${elsewhere.port}`, '--enroll-token-file', good],
      ...([78, /not the one of this token/] as const),
    ],
  ]
  for (const [name, argv, code, said] of cases) {
    const data = join(fleet.directory, `bad-${name.replaceAll(' ', '-')}`)
    const run = here('agent', '--id', 'n1', '--data', data, ...argv)
    t.match(await within(name, run.exited), { code }, name)
    t.match(run.stderr, said, name)
    t.notOk(existsSync(join(data, 'identity')), name)
  }
  await t.rejects(secured.keysOf('n1'), { code: 'unknown-node' })
})

t.test('attempts 16 and 17: whoever guesses tokens is not looked at for a while', async (t) => {
  const { secured } = guessed
  const [at, version] = [{ host: '127.0.0.1', port: secured.port }, '0']
  const node = 'n1' as NodeId
  const good = parseToken(readFileSync(await secured.token('n1'), 'utf8'))!
  const guess = (): Promise<unknown> =>
    enrol({ ...at, node, version }, { ...good, secret: randomBytes(16) }, newKeyPair())
  for (let tries = 0; tries < 10; tries++) await t.rejects(guess(), { code: 'token-unknown' })
  await t.rejects(guess(), { code: 'busy', exitCode: 69 })
  t.ok((await secured.events(t)).some((event) => event.startsWith('enroll-refused ')))
})

t.test('attempts 32, 42 and 43: people and programs come in, each as he may', async (t) => {
  const { fleet, secured } = open
  const file = (name: string, text: string): string => {
    const path = join(fleet.directory, name)
    writeFileSync(path, text)
    return path
  }
  const done = async (...argv: readonly string[]): Promise<string> => {
    const { exit, stdout, stderr } = await secured.command(...argv)
    t.match(exit, { code: 0 }, `${argv.join(' ')} ${stderr}`)
    return stdout.trim()
  }
  const password = ['--password-file', file('password', 'correct horse\n')]
  await done('user', 'add', 'ann', '--role', 'operator', ...password)
  await done('user', 'add', 'bob', '--role', 'viewer', '--no-password')
  const token = await done('user', 'token', 'create', 'bob')
  const pair = newKeyPair()
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString()
  await done('user', 'add', 'bridge', '--role', 'viewer', '--no-password')
  const certificate = await done('user', 'key', 'add', 'bridge', file('bridge.pub', publicKey))
  const ca = readFileSync(join(secured.data, 'security', 'ca.crt'))

  const client = async (more: IClientOptions): Promise<MqttClient> => {
    const url = `mqtts://localhost:${secured.port}`
    const options = { ca, reconnectPeriod: 0, ...more }
    const connected = connectAsync(url, options)
    const made = await within('its answer', connected)
    t.teardown(() => made.end(true))
    return made
  }
  const hears = async (one: MqttClient, topic: string): Promise<string> => {
    const message = new Promise<string>((resolve) => {
      one.once('message', (_topic, payload) => resolve(payload.toString()))
    })
    await one.subscribeAsync(topic, { qos: 1 })
    return await within(`a message on ${topic}`, message)
  }
  const ann = await client({ username: 'ann', password: 'correct horse' })
  t.equal(await hears(ann, 'obelisk/v1/gateway/state'), 'online')
  const bob = await client({ username: 'bob', password: token })
  t.equal(await hears(bob, 'obelisk/v1/gateway/state'), 'online')
  const bridge = await client({ key: pemOf(pair), cert: certificate })
  t.equal(await hears(bridge, 'obelisk/v1/gateway/state'), 'online')
  for (const more of [
    {},
    { username: 'ann', password: 'wrong horse' },
    { username: 'nobody', password: 'correct horse' },
    { username: 'ann', password: token },
  ]) {
    await t.rejects(client(more), { code: 4 }, JSON.stringify(more))
  }

  // A viewer may look, and nothing more.
  const rejected = new Promise<string>((resolve) => {
    ann.on('message', (topic, payload) => {
      if (topic.endsWith('task/rejected')) resolve(payload.toString())
    })
  })
  await ann.subscribeAsync('obelisk/v1/task/rejected', { qos: 1 })
  const submit = 'obelisk/v1/task/submit'
  await bob.publishAsync(submit, '{"op":"nonsense","id":"of-bob"}', { qos: 1 })
  await ann.publishAsync(submit, '{"op":"nonsense","id":"of-ann"}', { qos: 1 })
  t.match(await within('a refusal', rejected), /of-ann/, 'what bob submits is not even refused')

  // A submitter gets what it was granted, and knows of nothing else.
  await done('user', 'add', 'sam', '--role', 'submitter', '--region', '0,0,8,8', ...password)
  const sam = await client({ username: 'sam', password: 'correct horse' })
  const said = new Promise<Json>((resolve) => {
    sam.on('message', (topic, payload) => {
      if (topic.endsWith('task/rejected')) resolve(JSON.parse(payload.toString()) as Json)
    })
  })
  await sam.subscribeAsync('#', { qos: 1 })
  const wide = { op: 'stat', id: 'wide', args: { field: 'n' }, region: { x: 0, y: 0, w: 9, h: 8 } }
  await sam.publishAsync(submit, JSON.stringify(wide), { qos: 1 })
  t.match(await within('a refusal', said), { id: 'wide', code: 'not-granted' })

  const ended = (one: MqttClient): Promise<void> =>
    new Promise((resolve) => one.once('close', () => resolve()))
  const ends = [ann, bob].map(ended)
  await done('user', 'rm', 'bob')
  await done('user', 'set', 'ann', '--role', 'viewer')
  await within('the end of both', Promise.all(ends))
  await t.rejects(client({ username: 'bob', password: token }), { code: 4 })
  t.ok(bridge.connected)
  const users = JSON.parse(await done('user', 'ls', '--json')) as Json[]
  t.match(users, [
    { name: 'ann', roles: ['viewer'] },
    { name: 'bridge', roles: ['viewer'] },
    { name: 'sam', roles: ['submitter'] },
  ])
  const events = await secured.events(t)
  for (const event of ['user-added', 'user-changed', 'user-removed', 'token-created']) {
    t.ok(events.includes(`${event} admin`), event)
  }
  t.ok(events.includes('login user/ann'))
  t.ok(events.includes('grant-refused user/sam'))
  t.ok(events.includes('publish-refused user/bob'))
})

t.test('attempt 60: a gateway is not open beyond its machine', async (t: Test) => {
  const fleet = new Fleet(t)
  const data = join(fleet.directory, 'gateway')
  const at = ['gateway', '--data', data, '--port', '0', '--http-port', '0']
  const said = async (argv: readonly string[]): Promise<string> => {
    const run = fleet.start([...at, ...argv])
    t.match(await within('its end', run.exited), { code: 78 }, argv.join(' '))
    return run.stderr
  }
  t.match(await said(['--host', ANYWHERE]), /is not secured yet: obelisk gateway secure/)
  t.match(await said(['--http-host', ANYWHERE]), /is not secured yet/)
  t.match(await said(['--host', ANYWHERE, '--security', 'off']), /could command the fleet/)
  t.match(await said(['--security', 'on']), /is not secured yet/)
  const made = fleet.start(['gateway', 'secure', '--data', data])
  t.match(await within('its keys', made.exited), { code: 0 })
  const again = fleet.start(['gateway', 'secure', '--data', data])
  t.match(await within('the same again', again.exited), { code: 0 })
  t.match(again.stdout, /there are the keys of this fleet/)
  t.equal(again.stdout.split('\n')[1], made.stdout.split('\n')[1], 'the same pin')
  const forgotten = fleet.command(process.execPath, [PROGRAM, ...at], { OBELISK_SECURITY: 'off' })
  t.match(await within('its end', forgotten.exited), { code: 78 })
  const unsecured = fleet.start([...at, '--security', 'off'])
  await unsecured.line('ready mqtt=')
  t.match(unsecured.stderr, /security-off/)
})
