/** The client library against gateways that run, go away and come back. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type ConnectOptions, connect } from '../../scripts/client/connect.ts'
import type { Obelisk } from '../../shared/client/obelisk.ts'
import type { ObeliskError } from '../../shared/client/obelisk-error.ts'
import type { Progress } from '../../shared/client/task.ts'
import { eventually, Fleet, type Gateway, within } from '../support/processes.ts'
import { command, SecuredGateway } from '../support/secured-gateway.ts'
import { HttpClient } from '../support/wire-client.ts'

const GRID = ['--grid', '400x300', '--fields', 'temp:f32,visits:i32,level:f64']
const WAYS = ['http', 'mqtt'] as const

const fleet = new Fleet(t)
const gateway = await fleet.gateway(...GRID, '--replicas', '1')
const agent = await fleet.agent('edge-1', gateway.url)
const http = new HttpClient(gateway.http)

async function client(
  t: Test,
  way: (typeof WAYS)[number],
  at: Gateway = gateway,
): Promise<Obelisk> {
  const obelisk = await connect(way === 'http' ? at.http : at.url)
  t.teardown(() => obelisk.close())
  return obelisk
}

const done = async <T>(what: string, work: Promise<T>): Promise<T> => await within(what, work)

for (const way of WAYS) {
  t.test(`a task is run, and what is wrong with one is told, over ${way}`, async (t) => {
    const obelisk = await client(t, way)
    const seen: Progress[] = []
    const region = { x: 3, y: 4, w: 20, h: 10 }
    const add = { op: 'add', region, args: { field: 'visits', value: 2 } }
    const onAccepted = (): void => void told.push('accepted')
    const told: string[] = []
    const onProgress = (progress: Progress): void => void seen.push(progress)
    const added = await obelisk.run(add, { onProgress, onAccepted })
    t.match(added, { state: 'completed', op: 'add', value: { lsus: 200 } })
    t.same(told, ['accepted'])
    t.match(seen.at(-1), { done: Number, total: Number })
    const stat = { id: `stat-${way}`, op: 'stat', region, args: { field: 'visits' } }
    const first = await obelisk.run(stat)
    t.match(first, { id: stat.id, value: { count: 200 } })
    t.same(await obelisk.run(stat), first, 'the same task again is the same task')
    const items = [{ key: 'a', data: new Uint8Array([1, 2]) }]
    t.match(await obelisk.run({ op: 'digest', items }), { value: { items: 1 } })
    const other = { ...stat, args: { field: 'temp' } }
    await t.rejects(obelisk.run(other, { onAccepted }), { code: 'task-id-conflict' })
    t.same(told, ['accepted'], 'which this never was')
    await t.rejects(obelisk.run({ op: 'stat', args: { field: 'x', bins: -1 } }), {
      code: 'invalid',
      errors: [{ code: 'out-of-range' }, { code: 'unknown-field' }],
    })
  })

  t.test(`each step of a task is told once, and its last one, over ${way}`, async (t) => {
    const obelisk = await client(t, way)
    const seen: Progress[] = []
    agent.run.signal('SIGSTOP')
    const onAccepted = (): void => agent.run.signal('SIGCONT')
    t.teardown(onAccepted)
    const stat = { op: 'stat', args: { field: 'temp', bins: 4 } }
    const onProgress = (progress: Progress): void => void seen.push(progress)
    const { shards } = await obelisk.run(stat, { onProgress, onAccepted })
    t.same(seen.at(-1), { done: shards, total: shards })
    const told = seen.map(({ done, total }) => `${done}/${total}`)
    t.equal(new Set(told).size, told.length, told.join(', '))
  })

  t.test(`cells are written and read, and seen from afar, over ${way}`, async (t) => {
    const obelisk = await client(t, way)
    const whole = { x: 0, y: 0, w: 400, h: 300 }
    const values = Float32Array.from({ length: 400 * 300 }, (_, n) => Math.fround(n / 7))
    const seen: Progress[] = []
    const onProgress = (progress: Progress): void => void seen.push(progress)
    const put = await obelisk.put('temp', whole, values, { id: `load-${way}`, onProgress })
    t.same(put, { id: `load-${way}`, tasks: 2, lsus: 120_000 })
    t.same(seen, [
      { done: 1, total: 2 },
      { done: 2, total: 2 },
    ])
    const again = await obelisk.put('temp', whole, values, { id: `load-${way}` })
    t.same(again, put, 'a put that is repeated is the same')
    const got = await obelisk.get('temp')
    t.match(got, { x: 0, y: 0, width: 400, height: 300 })
    t.same(Array.from(got.data), Array.from(values))
    const part = await obelisk.get('temp', { x: 10, y: 20, w: 2, h: 2 })
    t.same(
      Array.from(part.data),
      [8010, 8011, 8410, 8411].map((n) => Math.fround(n / 7)),
    )
    const seenFrom = await obelisk.overview('temp', { step: 16, of: ['min', 'max'] })
    t.match(seenFrom, { step: 16, columns: 25, rows: 19, min: Float32Array, max: Float32Array })
    t.equal(seenFrom.min!.length, 25 * 19)
    t.equal(seenFrom.min![1], Math.fround(16 / 7))
    t.equal(seenFrom.max![0], Math.fround((15 * 400 + 15) / 7))
    await t.rejects(obelisk.put('temp', whole, [1, 2]), {
      message: /2 numbers for a region of 120000/,
    })
    await t.rejects(obelisk.get('heat'), { code: 'unknown-field' })
  })

  t.test(`a task is run once, whatever breaks, over ${way}`, async (t) => {
    const obelisk = await client(t, way)
    const region = { x: 0, y: 0, w: 8, h: 8 }
    const task = { op: 'add', region, args: { field: 'level', value: 1 }, deadline_ms: 600_000 }
    const before = await obelisk.run({ op: 'stat', region, args: { field: 'level' } })
    let away = 0
    const onAway = (error: ObeliskError): void => {
      t.ok(error.isPassing, error.message)
      away += 1
    }
    let ran = 0
    let accepted = 0
    let stop = false
    const onAccepted = (): void => void (accepted += 1)
    const streams = Array.from({ length: 4 }, async () => {
      while (!stop) {
        await obelisk.run(task, { onAway, onAccepted })
        ran += 1
      }
    })
    for (let kill = 0; kill < 2; kill++) {
      const soon = ran + 5
      await eventually('some are run', () => ran >= soon)
      await gateway.run.kill()
      const told = away
      await eventually('that it is away is told', () => away > told)
      await gateway.restart()
    }
    const soon = ran + 5
    await eventually('they go on', () => ran >= soon)
    stop = true
    await done('all of them', Promise.all(streams))
    const after = await obelisk.run({ op: 'stat', region, args: { field: 'level' } })
    t.equal(after.value.sum - before.value.sum, 64 * ran, `${ran} tasks, each once`)
    t.equal(after.value.min, after.value.max)
    t.equal(accepted, ran, 'of each it is told once')
  })

  t.test(`a signal cancels, over ${way}`, async (t) => {
    const obelisk = await client(t, way)
    const id = `cancelled-${way}`
    agent.run.signal('SIGSTOP')
    t.teardown(() => agent.run.signal('SIGCONT'))
    const enough = new AbortController()
    const task = { id, op: 'stat', args: { field: 'temp' } }
    const running = obelisk.run(task, { signal: enough.signal })
    await eventually(
      'it is accepted',
      async () => (await http.request(`/api/tasks/${id}`)).status === 200,
    )
    enough.abort(new Error('enough'))
    await t.rejects(running, { message: 'enough' })
    await eventually('it is cancelled', async () => {
      const { body } = await http.request(`/api/tasks/${id}`)
      return body.state === 'cancelled'
    })
    agent.run.signal('SIGCONT')
    const late = { signal: AbortSignal.abort(new Error('late')) }
    await t.rejects(obelisk.run(task, late), { message: 'late' })
    await t.rejects(obelisk.run(task), { code: 'cancelled', message: `task ${id} was cancelled` })
  })

  t.test(`who watches goes on after the gateway, over ${way}`, async (t) => {
    const obelisk = await client(t, way)
    const seen: Record<string, unknown>[] = []
    const stop = new AbortController()
    const watching = (async () => {
      for await (const event of obelisk.watch({ signal: stop.signal })) seen.push(event)
    })()
    const run = async (id: string): Promise<void> => {
      await obelisk.run({ id, op: 'digest', items: [{ key: 'a', data: 'b' }] })
    }
    const isSeen = (id: string) => () =>
      seen.some(
        (event) => event.type === 'task-state' && event.id === id && event.state === 'completed',
      )
    let tried = 0
    await eventually('one is told', async () => {
      await run(`watched-${way}-${tried++}`)
      return seen.length > 0
    })
    await gateway.run.kill()
    await gateway.restart()
    await run(`after-${way}`)
    await eventually('that something was missed is told', () =>
      seen.some(({ type }) => type === 'missed'),
    )
    await run(`again-${way}`)
    await eventually('what comes then is told', isSeen(`again-${way}`))
    stop.abort()
    await done('the end of watching', watching)
  })
}

t.test('a fleet without nodes is waited for, as long as the gateway says', async (t) => {
  const empty = new Fleet(t)
  const alone = await empty.gateway()
  const overHttp = await client(t, 'http', alone)
  const overMqtt = await client(t, 'mqtt', alone)
  const away: ObeliskError[] = []
  let accepted = 0
  const waiting = [overHttp, overMqtt].map((obelisk) =>
    obelisk.run(
      { op: 'stat', args: { field: 'value' } },
      {
        onAway: (error) => void away.push(error),
        onAccepted: () => void (accepted += 1),
      },
    ),
  )
  await eventually('both are told', () => away.length >= 2)
  const refused = away.find(({ status }) => status === 503)
  t.match(refused, { code: 'no-node', retryAfterMs: 5000 })
  t.ok(away.every(({ code }) => code === 'no-node'))
  t.equal(accepted, 0, 'MQTT acknowledges what is refused, too')
  await empty.agent('edge-1', alone.url)
  const results = await done('both', Promise.all(waiting))
  for (const { value } of results) t.equal(value.count, 1024 * 1024)
  t.equal(accepted, 2)
})

t.test('a secured gateway is used by a login, by a token, and by its owner', async (t) => {
  const secured = await SecuredGateway.start(t)
  const token = await secured.user('ann', 'operator')
  const home = join(secured.fleet.directory, 'config')
  const file = join(secured.fleet.directory, 'token')
  const environment = { XDG_CONFIG_HOME: home }
  writeFileSync(file, token)
  const login = await command(['login', secured.url, '--token-file', file], environment)
  t.equal(login.code, 0, login.stderr)

  const before = process.env.XDG_CONFIG_HOME
  process.env.XDG_CONFIG_HOME = home
  t.teardown(() => {
    if (before === undefined) delete process.env.XDG_CONFIG_HOME
    else process.env.XDG_CONFIG_HOME = before
  })
  const mqtts = `mqtts://localhost:${secured.port}`
  const { ca } = secured
  const bad = token.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A'))
  const clients = {
    'the login': await connect(),
    'its URL': await connect(secured.url),
    'its URL, MQTT': await connect(mqtts),
    'a token': await connect(secured.url, { token, ca }),
    'a token, MQTT': await connect(mqtts, { token, ca, user: 'ann' }),
    'its owner': await connect(`unix:${join(secured.data, 'admin.sock')}`),
  }
  const items = [{ key: 'a', data: 'b' }]
  for (const [who, obelisk] of Object.entries(clients)) {
    t.teardown(() => obelisk.close())
    // Nobody has a node: that it asks for one shows that it was let in.
    const enough = new AbortController()
    const onAway = (error: ObeliskError): void => enough.abort(error)
    const asked = obelisk.run({ op: 'digest', items }, { signal: enough.signal, onAway })
    await t.rejects(asked, { code: 'no-node' }, who)
  }
  rmSync(home, { recursive: true })
  const refused: readonly (readonly [string | undefined, ConnectOptions, string])[] = [
    [secured.url, {}, 'gateway-not-pinned'],
    [mqtts, {}, 'gateway-not-pinned'],
    [secured.url, { token: bad, ca }, 'unauthenticated'],
    [mqtts, { token: bad, ca, user: 'ann' }, 'login-refused'],
    ['nonsense', {}, 'unreachable'],
    [undefined, {}, 'unreachable'],
  ]
  for (const [url, options, code] of refused) {
    const work = connect(url, options).then((obelisk) => obelisk.run({ op: 'digest', items }))
    await t.rejects(work, { code }, code)
  }
})
