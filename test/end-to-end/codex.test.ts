/**
 * The codex over real processes: programs are defined, patched while tasks that name them run, and survive the end of
 * the gateway at any moment.
 */
import t from 'tap'
import { Random } from '../../shared/core/random.ts'
import { eventually, Fleet, within } from '../support/processes.ts'
import { BASE, HttpClient, isEnd, type Json, WireClient } from '../support/wire-client.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/codex.test.ts`)

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

t.test('a patch under load: each task is of one version, sent again or not', async (t) => {
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
  const wire = await WireClient.connect(gateway.url, `${BASE}/gateway/codex`)
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
  const met = new Set<number>()
  const expected = new Array<number>(SIDE * SIDE).fill(0)
  for (const [index, { id }] of tasks.entries()) {
    const { body } = await http.request(`/api/tasks/${id}/result?wait=60s`)
    const { op, state, program } = body as Json
    t.match([op, state, program.name, program.context], ['heat', 'completed', 'heat', 'main'])
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

t.test('whenever the gateway is killed, a change is there as a whole, or not at all', async (t) => {
  const random = new Random(seed)
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...GRID)
  const http = new HttpClient(gateway.http)
  const agents = await fleet.agents(['a', 'b'], gateway.url)
  await define(http, sourceOf(1))
  const model: Model = { versions: 1, current: 1, winter: undefined }
  const task = { id: 'kept', op: 'heat', args: { with: { x: 0, y: 0 } } }
  t.match(await http.post(task), { status: 202 })
  const ROUNDS = process.env.LONG === undefined ? 5 : 40
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
  await Promise.all(agents.map(({ id }) => eventually(id, () => http.node(id).catch(() => false))))
  const ended = await eventually('its end', async () => {
    const { body } = await http.request('/api/tasks/kept/result?wait=20s')
    return isEnd(String(body.state)) && body
  })
  t.match(ended, { state: 'completed', program: { name: 'heat', version: 1 } })
  const { value } = await http.run({ op: 'get' })
  t.equal(value.fields.n[0], 1, 'and did so once')
})
