/**
 * The codex over real processes: programs are defined, patched while tasks that name them run, and survive the end of
 * the gateway at any moment.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Random } from '../../shared/core/random.ts'
import { StruckGateway } from '../support/power-cut/struck-gateway.ts'
import { eventually, Fleet, within } from '../support/processes.ts'
import { shortDirectory } from '../support/short-directory.ts'
import { BASE, HttpClient, isEnd, type Json, WireClient } from '../support/wire-client.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/codex.test.ts`)
/** Short, or at full length. */
const isLong = process.env.LONG !== undefined
// Most of the time is spent waiting.
t.jobs = 2

const directory = shortDirectory()
t.teardown(() => rmSync(directory, { recursive: true, force: true }))
const skip = StruckGateway.obstacle(directory) ?? false

const SIDE = 16
const GRID = ['--grid', `${SIDE}x${SIDE}`, '--tile', '4', '--fields', 'n:i32']
/** What each version adds. */
const STEPS = [1, 1000]
const sourceOf = (step: number): string => `n = n + ${step} where x == $x and y == $y`

async function ask(http: HttpClient, method: string, path: string, body: unknown) {
  return await http.request(path, {
    method,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(body)),
  })
}

const define = (http: HttpClient, source: string, more: object = {}) =>
  ask(http, 'PUT', '/api/codex/heat', { source, ...more })
const use = (http: HttpClient, version: number, more: object = {}) =>
  ask(http, 'POST', '/api/codex/heat/current', { version, ...more })

t.test('a patch under load: each task is of one version', { buffered: true }, async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...GRID)
  const http = new HttpClient(gateway.http)
  await fleet.agents(['a', 'b'], gateway.url)
  for (const step of STEPS)
    t.equal((await define(http, sourceOf(step), { glyph: '♨' })).status, 201)
  const tasks = Array.from({ length: 60 }, (_, index) => ({
    ...{ id: `w${index}`, op: ['heat', '♨'][index % 2] },
    args: { with: { x: index % SIDE, y: Math.floor(index / SIDE) } },
  }))
  // What one client hears comes in the order in which the gateway took it.
  const heard = [`${BASE}/gateway/codex`, `${BASE}/task/+/state`]
  const wire = await WireClient.connect(gateway.url, ...heard)
  let isOver = false
  const patching = (async (): Promise<number> => {
    let patches = 0
    for (; !isOver; patches++) {
      const answer = await use(http, 1 + ((patches + 1) % 2), { if_version: 1 + (patches % 2) })
      if (answer.status !== 200) throw new Error(JSON.stringify(answer.body))
    }
    return patches
  })()
  const send = async (): Promise<void> => {
    for (const task of tasks) {
      if (!(await wire.submit(task, 'json'))) throw new Error('the connection closed')
    }
  }
  await send()
  await send()
  isOver = true
  t.comment(`${await patching} patches`)
  const current = new Map<string, number>()
  let version = 0
  for (const { topic, payload } of wire.messages) {
    const said = JSON.parse(payload.toString()) as Json
    if (topic.endsWith('/codex')) version = said.programs[0].version
    else if (!current.has(said.id)) current.set(said.id, version)
  }
  const met = new Set<number>()
  const expected = new Array<number>(SIDE * SIDE).fill(0)
  for (const [index, { id }] of tasks.entries()) {
    const { body } = await http.request(`/api/tasks/${id}/result?wait=60s`)
    const { op, state, program } = body as Json
    t.match([op, state, program.name, program.context], ['heat', 'completed', 'heat', 'main'])
    t.equal(program.version, current.get(id), `${id} got what was current when it was accepted`)
    met.add(program.version)
    expected[index] = STEPS[program.version - 1]!
  }
  t.same([...met].sort(), [1, 2], 'both versions ran')
  const { value } = await http.run({ op: 'get' })
  t.same(value.fields.n, expected, 'each once, and as its result says')
  await wire.next('gateway/codex', ({ payload }) => {
    return JSON.parse(payload.toString()).programs[0]?.glyph === '♨'
  })
  await wire.close()
})

/** What a codex of these changes may look like. */
interface Model {
  versions: number
  current: number
  winter: number | undefined
}

t.test(
  'when the gateway is killed, a change is there as a whole, or not',
  { buffered: true },
  async (t) => {
    const random = new Random(seed)
    const fleet = new Fleet(t)
    const gateway = await fleet.gateway(...GRID)
    const http = new HttpClient(gateway.http)
    const agents = await fleet.agents(['a', 'b'], gateway.url)
    await define(http, sourceOf(1))
    const model: Model = { versions: 1, current: 1, winter: undefined }
    const task = { id: 'kept', op: 'heat', args: { with: { x: 0, y: 0 } } }
    t.match(await http.post(task), { status: 202 })
    const ROUNDS = isLong ? 40 : 5
    for (let round = 0; round < ROUNDS; round++) {
      const change = (['define', 'use', 'winter'] as const)[round % 3]!
      const version = 1 + random.integer(model.versions)
      const asked =
        change === 'define'
          ? define(http, sourceOf(round + 2))
          : use(http, version, change === 'winter' ? { context: 'winter' } : {})
      const after: Model = { ...model }
      if (change === 'define') after.versions += 1
      else if (change === 'use') after.current = version
      else after.winter = version
      const answered = asked.then(
        ({ status }) => status < 300,
        () => false,
      )
      await new Promise((resolve) => setTimeout(resolve, random.integer(25)))
      gateway.run.signal('SIGKILL')
      await within('its end', gateway.run.exited)
      const wasAnswered = await answered
      await gateway.restart()
      const list = (await http.get('/api/codex')) as Json
      const [program] = list.programs
      const named = list.contexts.find(({ name }: Json) => name === 'winter')
      const found = {
        versions: program.latest,
        current: program.version,
        winter: named?.programs.heat,
      }
      const isAfter = JSON.stringify(found) === JSON.stringify(after)
      if (wasAnswered) t.same(found, after, `${change} was answered`)
      else if (!isAfter) t.same(found, model, `${change} was not answered, and is not there`)
      if (isAfter) Object.assign(model, after)
      t.equal(list.integrity, 1)
    }
    t.match(await http.post(task), { status: 202 }, 'it is the task of the beginning')
    await Promise.all(
      agents.map(({ id }) => eventually(id, () => http.node(id).catch(() => false))),
    )
    const ended = await eventually('its end', async () => {
      const { body } = await http.request('/api/tasks/kept/result?wait=20s')
      return isEnd(String(body.state)) && body
    })
    t.match(ended, { state: 'completed', program: { name: 'heat', version: 1 } })
    const { value } = await http.run({ op: 'get' })
    t.equal(value.fields.n[0], 1, 'and did so once')
  },
)

interface Seen {
  readonly versions: readonly Json[]
  readonly contexts: Readonly<Record<string, Readonly<Record<string, number>>>>
}

/** All that there is of a codex; what contexts name is told once. */
async function seenBy(http: HttpClient): Promise<Seen> {
  const [list, heat] = [await http.get('/api/codex'), await http.get('/api/codex/heat')]
  if (list.integrity !== 1) throw new Error(`${list.integrity} of it is as it was defined`)
  const contexts = list.contexts.map(({ name, programs }: Json) => [name, programs])
  return {
    versions: heat.versions.map(({ current_in: _, ...version }: Json) => version).reverse(),
    contexts: Object.fromEntries(contexts),
  }
}

t.test(
  'at whichever write the gateway ends, nothing is half there',
  { skip, buffered: true },
  async (t) => {
    const fleet = new Fleet(t)
    const struck = await StruckGateway.start(fleet, directory, ...GRID)
    const { gateway } = struck
    const http = new HttpClient(gateway.http)
    const agents = await fleet.agents(['a', 'b'], gateway.url)
    for (const step of STEPS) await define(http, sourceOf(step))
    const ask = async (asked: ReturnType<typeof define>): Promise<Json> => {
      const { status, body } = await asked
      if (status >= 300) throw new Error(JSON.stringify(body))
      return body
    }
    let seen = await seenBy(http)
    const count = (what: string, strikes: number): void => {
      t.ok(strikes > 1, `${what}: ${strikes} moments`)
    }

    const defined = await struck.atEachWrite(
      () => ask(define(http, sourceOf(seen.versions.length + 1))),
      async (answer) => {
        const { versions, contexts } = await seenBy(http)
        t.same(contexts, seen.contexts)
        t.same(
          versions.slice(0, seen.versions.length),
          seen.versions,
          'what was there is as it was',
        )
        const more = versions.length - seen.versions.length
        t.ok(answer === undefined ? more <= 1 : more === 1, 'a version is there, or none')
        seen = { versions, contexts }
      },
    )
    count('define', defined)

    for (const context of ['main', 'winter']) {
      const other = (): number => (seen.contexts[context]?.heat === 1 ? 2 : 1)
      const used = await struck.atEachWrite(
        () => ask(use(http, other(), { context })),
        async (answer) => {
          const found = await seenBy(http)
          const after = { ...seen.contexts, [context]: { heat: other() } }
          const isAfter = JSON.stringify(found.contexts) === JSON.stringify(after)
          t.same(found, { ...seen, contexts: isAfter ? after : seen.contexts })
          if (answer !== undefined) t.ok(isAfter, 'what was answered is there')
          seen = found
        },
      )
      count(`use in ${context}`, used)
    }

    const expected = new Array<number>(SIDE * SIDE).fill(0)
    let tasks = 0
    const task = (): Json => ({
      ...{ id: `w${tasks}`, op: 'heat' },
      args: { with: { x: tasks % SIDE, y: Math.floor(tasks / SIDE) } },
    })
    const areHere = async (): Promise<void> => {
      for (const { id } of agents) {
        await eventually(id, async () => (await http.node(id)).state === 'alive')
      }
    }
    await areHere()
    const ran = await struck.atEachWrite(
      () => ask(http.post(task(), '?wait=60s')),
      async (answer) => {
        const current = seen.contexts.main!.heat!
        const { status } = await http.request(`/api/tasks/w${tasks}`)
        if (answer !== undefined) t.equal(status, 200, 'a task that has ended is known')
        const other = current === 1 ? 2 : 1
        await ask(use(http, other, { if_version: current }))
        // The same task, whatever is current by now; if the gateway never took it, it is a new one.
        const again = await ask(http.post(task(), '?wait=60s'))
        const version = status === 200 ? current : other
        t.match(again, { state: 'completed', program: { name: 'heat', version } })
        expected[tasks] = STEPS[version - 1]!
        seen = await seenBy(http)
        t.equal(seen.contexts.main!.heat, other)
        tasks += 1
        await areHere()
      },
      isLong ? {} : { first: 1 + new Random(seed).integer(3), every: 3 },
    )
    count('a task', ran)
    const { value } = await http.run({ op: 'get' })
    t.same(value.fields.n, expected, 'each has run once, as one version')
  },
)

t.test('a ledger that is restored has its codex', { buffered: true }, async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...GRID)
  const http = new HttpClient(gateway.http)
  const agents = await fleet.agents(['a', 'b'], gateway.url)
  const obelisk = async (...argv: readonly string[]): Promise<void> => {
    const run = fleet.start(argv)
    t.match(await within(argv.join(' '), run.exited), { code: 0 }, run.stderr)
  }
  for (const step of STEPS) await define(http, sourceOf(step), { glyph: '♨' })
  await use(http, 2, { context: 'winter' })
  const args = (x: number, more: object = {}): Json => ({ with: { x, y: 0 }, ...more })
  const task = { id: 'before', op: '♨', args: args(0) }
  t.match(await http.run(task), { program: { version: 1 } })
  const before = await seenBy(http)
  const file = join(fleet.directory, 'ledger.backup')
  await obelisk('backup', file, '--http', gateway.http)
  await use(http, 2)
  await define(http, sourceOf(3))
  t.match(await http.run({ id: 'after', op: 'heat', args: args(1) }), { program: { version: 2 } })
  await gateway.run.kill()

  const data = join(fleet.directory, 'another-box')
  await obelisk('restore', file, '--data', data)
  const ports = ['--port', `${gateway.port}`, '--http-port', `${gateway.httpPort}`]
  // Who says how many there are need not wait for others.
  await fleet.start(['gateway', 'recover', '--nodes', '2', ...ports, '--data', data]).line('ready ')
  t.same(await seenBy(http), before, 'as when it was copied')
  for (const { id } of agents) await eventually(id, () => http.node(id).catch(() => false))
  await eventually('its end', async () => (await http.post(task)).status === 202)
  const ask = (more: object, x: number): Promise<Json> =>
    http.run({ op: 'heat', args: args(x, more) })
  t.match(await ask({}, 2), { program: { version: 1, context: 'main' } })
  t.match(await ask({ context: 'winter' }, 3), { program: { version: 2, context: 'winter' } })
  const { value } = await http.run({ op: 'get', region: { x: 0, y: 0, w: 5, h: 1 } })
  t.same(value.fields.n, [1, 1000, 1, 1000, 0], 'what ran before ran once')
  t.match(await define(http, sourceOf(4)), { status: 201, body: { version: 3, current: 1 } })
})
