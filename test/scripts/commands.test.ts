import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { Aedes } from 'aedes'
import t, { type Test } from 'tap'
import type { LogWish } from '../../broker/adapters/http-port.ts'
import { type HttpPort, HttpServer } from '../../broker/adapters/http-server.ts'
import type { Outcome } from '../../broker/core/effects.ts'
import { LiveEvents } from '../../broker/core/views/live-events.ts'
import { everyCommand } from '../../scripts/commands/command-tree.ts'
import { ownTree, PROGRAMS, runCommand } from '../../scripts/commands/program.ts'
import { recoveryArguments } from '../../scripts/commands/recover.ts'
import { CHECKOUT } from '../../scripts/package/checkout.ts'
import type { NodeId, TaskId } from '../../shared/core/ids.ts'
import { TASK_OPERATIONS } from '../../shared/operations/catalog.ts'
import { decodeCbor, encodeCbor } from '../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../shared/protocol/limits.ts'
import { decodePayload } from '../../shared/protocol/payload.ts'
import { isEnded } from '../../shared/protocol/states.ts'
import type {
  DetectorView,
  LogView,
  MovesView,
  NodeView,
  PlanView,
  TaskView,
} from '../../shared/protocol/views.ts'
import { AppError } from '../../shared/runtime/errors.ts'
import type { Logger } from '../../shared/runtime/logger.ts'
import { VERSION } from '../../shared/runtime/version.ts'
import { codexInMemory } from '../support/codex-in-memory.ts'
import { LooksInMemory } from '../support/looks-in-memory.ts'
import { NO_RULES, NO_UPGRADES } from '../support/recorded-http-port.ts'

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

const NODE: NodeView = {
  id: 'pi-1' as NodeId,
  state: 'alive',
  connected: true,
  weight: 1,
  tiles: 26,
  tiles_written: 20,
  incarnation: 3,
  joined_ts: 1_700_000_000_000,
  operations: ['add', 'stat'],
  stream: { head: 9, acked: 7 },
}

const NO_MOVES: MovesView = {
  open: [],
  planned: [],
  planned_tiles: 0,
  planned_bytes: 0,
  waiting: {},
  probation: [],
  stalled: [],
  rate: 0,
  eta_seconds: 0,
  ended_total: 5,
  rolled_back_total: 1,
  copied_bytes_total: 30_720,
}

const MOVES: MovesView = {
  ...NO_MOVES,
  open: [
    {
      tile: 7,
      reason: 'drain',
      from: NODE.id,
      to: 'pi-2' as NodeId,
      stage: 'copying',
      waits_for: 'target-away',
      seconds: 121,
    },
  ],
  planned: [{ tile: 12, reason: 'repair', to: 'pi-2' as NodeId, stage: 'planned' }],
  planned_tiles: 250,
  planned_bytes: 2_621_440,
  waiting: { paced: 249, 'on-probation': 1 },
  eta_seconds: 3,
}

const RECOVERY = {
  ...{ copy_ts: 1_750_000_000_000, expected: 2, shown: 1 },
  ...{ nodes: ['pi-1'], awaited: ['pi-2'], empty: [] },
}

const FULL = { code: 'store-full', message: 'no room' }

function taskView(id: string, state: TaskView['state']): TaskView {
  const shards = { total: 4, done: 4, failed: 0 }
  const view = {
    id: id as TaskId,
    op: 'stat',
    state,
    shards,
    ts: 1,
    accepted_ts: 1_700_000_000_000,
  }
  return state === 'failed' ? { ...view, error: { code: 'tile-missing', message: 'gone' } } : view
}

/** A gateway of recorded answers behind the real HTTP door. */
async function serve(t: Test) {
  const submitted: Buffer[] = []
  const waits: number[] = []
  const planned: object[] = []
  const tasks = new Map<string, TaskView>()
  for (const state of ['completed', 'failed', 'running'] as const) {
    tasks.set(state, taskView(state, state))
  }
  const control: {
    outcome: Outcome | undefined
    endsAs: TaskView['state']
    isTrusted: boolean
    /** What else the gateway says of its fleet. */
    detector: Partial<DetectorView>
    recreated: number
    node: NodeView
    moves: MovesView
    plan: PlanView
    /** What the node is, one after the other, each time it is asked for. */
    story: NodeView[]
    /** Why the node can never be emptied. */
    drainProblem: string | undefined
    /** Why it may not be forgotten. */
    removalProblem: Awaited<ReturnType<HttpPort['remove']>>
    log: LogView | undefined
    logWish: LogWish | undefined
  } = {
    outcome: undefined,
    endsAs: 'completed',
    isTrusted: false,
    detector: {},
    recreated: 0,
    node: NODE,
    moves: NO_MOVES,
    plan: { tiles: 0, bytes: 0, seconds: 0, moves: [], probation: [], stalled: [] },
    story: [],
    drainProblem: undefined,
    removalProblem: undefined,
    log: undefined,
    logWish: undefined,
  }
  const looks = new LooksInMemory({ width: 64, height: 64, tile: 16 }, [
    { name: 'value', type: 'f64' },
  ])
  const port: HttpPort = {
    upgrades: NO_UPGRADES,
    rules: NO_RULES,
    codex: codexInMemory(),
    logs: {
      async read(_node, wish) {
        control.logWish = wish
        if (control.log === undefined) throw new AppError('node-away', 'it is not here')
        return control.log
      },
    },
    backups: { make: () => Promise.reject(new Error('nobody asks for one')) },
    submit: async (payload) => {
      submitted.push(Buffer.from(payload))
      if (control.outcome !== undefined) return control.outcome
      const decoded = decodeCbor(payload, MESSAGE_LIMITS)
      const body = decoded.ok ? decoded.value : JSON.parse(Buffer.from(payload).toString())
      const { id } = body as { id: string }
      tasks.set(id, taskView(id, 'accepted'))
      return { ok: true, task: id as TaskId, state: 'accepted' }
    },
    submitWish: async (wish, client) => await port.submit(encodeCbor(wish), client),
    cancel: async (task) => ({ ok: true, task, state: 'cancelled' }),
    grid: () => looks.view(),
    putRefusal: () => undefined,
    look: (...asked) => looks.look(...asked),
    waitForEnd: async (task, timeoutMs) => {
      waits.push(timeoutMs)
      tasks.set(task, taskView(task, control.endsAs))
      return isEnded(control.endsAs)
    },
    ownerOf: () => undefined,
    task: (id) => tasks.get(id),
    tasks: ({ limit }) => [...tasks.values()].slice(0, limit),
    result: (id) => {
      const state = tasks.get(id)?.state
      return encodeCbor({ id, op: 'get', state, value: { fields: { value: [1, 2.5, -3] } } })
    },
    nodes: () => [
      NODE,
      { ...NODE, id: 'pi-2\u001b[31m' as NodeId, state: 'dead' },
      { ...NODE, id: 'pi-3' as NodeId, draining: true, stopped: FULL, quarantined: true },
      { ...NODE, id: 'pi-4' as NodeId, tiles: 0, tiles_written: 0, probation_seconds: 43 },
    ],
    node: (id) => {
      if (id !== NODE.id) return undefined
      control.node = control.story.shift() ?? control.node
      return control.node
    },
    stateOf: (id) => (id === NODE.id ? NODE.state : undefined),
    drainProblem: () => control.drainProblem,
    drain: async (id, isWanted) => {
      if (id !== NODE.id) return undefined
      control.node = isWanted ? { ...NODE, draining: true } : NODE
      return control.node
    },
    remove: async () => control.removalProblem,
    recreate: async () => {
      control.recreated += 1
      return 3
    },
    moves: () => control.moves,
    *plan(query) {
      planned.push(query)
      yield
      return control.plan
    },
    ringHolders: () => {
      throw new Error('not asked for')
    },
    ring: () => {
      const grid = { width: 1, height: 1 }
      return { epoch: 0, replicas: 2, tile: 16, grid, fields: [], version: '1', members: [] }
    },
    ringTiles: () => {
      throw new Error('no command asks for them')
    },
    detector: () => ({
      doubts: control.isTrusted ? [] : [{ reason: 'mass-silence', since_ts: 1 }],
      ...control.detector,
    }),
    trust: () => {
      control.isTrusted = true
      return { doubts: [] }
    },
    health: () => ({ ok: true, checks: {} }),
    ready: () => ({ ok: true, checks: {} }),
    live: new LiveEvents({ start: 'test', keptMax: 9, keptBytesMax: 999 }),
    topics: { page: async () => [], follow: () => () => {} },
    *history() {
      yield
      return { ts: 0, stepSeconds: 10, points: 0, nodes: [] }
    },
    metrics: async () => '',
  }
  const server = new HttpServer({ host: '127.0.0.1', port: 0 }, port, silent)
  await server.listen()
  t.teardown(() => server.close())
  return { submitted, waits, planned, control, http: `http://127.0.0.1:${server.port}` }
}

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  readonly bytes: Buffer
}

async function run(
  argv: readonly string[],
  options: {
    env?: Record<string, string>
    stdin?: string
    isTTY?: boolean
    isTyped?: boolean
  } = {},
): Promise<Ran> {
  const out: Buffer[] = []
  let stderr = ''
  const code = await runCommand(
    argv,
    {
      stdout: {
        isTTY: options.isTTY ?? false,
        write: (text) => out.push(Buffer.from(text)),
      },
      stderr: {
        write: (text) => {
          stderr += text
        },
      },
      stdin: Object.assign(Readable.from([options.stdin ?? '']), {
        isTTY: options.isTyped ?? false,
      }),
      environment: options.env ?? {},
    },
    '9.9.9',
  )
  const bytes = Buffer.concat(out)
  return { code, stdout: bytes.toString(), stderr, bytes }
}

t.test('task submit builds the task from its flags', async (t) => {
  const { http, submitted } = await serve(t)
  const env = { OBELISK_HTTP: http }
  const argv = ['task', 'submit', 'stat', '--region', '1,2,30,40', '--args', '{"field":"value"}']
  const ran = await run([...argv, '--id', 't1', '--deadline', '1.5'], { env })
  t.match(ran, { code: 0, stdout: 't1 accepted\n', stderr: '' })
  t.same(JSON.parse(submitted[0]!.toString()), {
    id: 't1',
    op: 'stat',
    region: { x: 1, y: 2, w: 30, h: 40 },
    args: { field: 'value' },
    deadline_ms: 1500,
  })
  const json = await run(['task', 'submit', 'scale', '--json', '--http', `${http}/`])
  const { id } = JSON.parse(json.stdout) as { id: string }
  t.match(id, /^[\w-]{36}$/, 'without an id it makes one, so that it is exactly once')
  t.equal(JSON.parse(submitted[1]!.toString()).id, id)
})

t.test('task submit takes items and whole tasks from files', async (t) => {
  const { http, submitted } = await serve(t)
  const env = { OBELISK_HTTP: http }
  const task = Buffer.from(encodeCbor({ id: 'c1', op: 'stat' }))
  const directory = t.testdir({
    'list.json': ' [{"key":"a","data":"1"}]',
    'lines.jsonl': '{"key":"a","data":"1"}\n\n{"key":"b","data":"2"}\n',
    'task.json': '\n{"id":"f1","op":"stat"}',
  })
  writeFileSync(join(directory, 'task.cbor'), task)
  const at = (name: string) => join(directory, name)
  t.equal((await run(['task', 'submit', 'digest', '--items', at('list.json')], { env })).code, 0)
  t.same(JSON.parse(submitted[0]!.toString()).items, [{ key: 'a', data: '1' }])
  t.equal((await run(['task', 'submit', 'digest', '--items', at('lines.jsonl')], { env })).code, 0)
  t.equal(JSON.parse(submitted[1]!.toString()).items.length, 2)
  t.equal(
    (await run(['task', 'submit', '--file', at('task.json')], { env })).stdout,
    'f1 accepted\n',
  )
  t.equal(
    (await run(['task', 'submit', '--file', at('task.cbor')], { env })).stdout,
    'c1 accepted\n',
  )
  t.same(submitted[3], task, 'CBOR is passed on as it is')
  const stdin = '{"id":"s1","op":"stat"}'
  const piped = await run(['task', 'submit', '--file', '-'], { env, stdin })
  t.equal(piped.stdout, 's1 accepted\n')
})

t.test('a region that is none is told with the form and the size of the grid', async (t) => {
  const { http } = await serve(t)
  const argv = ['task', 'submit', 'scale', '--region', '-1,0,2,2', '--http']
  const form = '--region: "-1,0,2,2" is not x,y,w,h: four whole numbers from 0'
  t.match(await run([...argv, http]), { code: 2, stderr: `${form}, in a grid of 1x1\n` })
  const alone = await run([...argv, `http://127.0.0.1:${await freePort()}`])
  t.match(alone, { code: 2, stderr: `${form}\n` })
})

t.test('task submit --wait prints the result, and fails with the task', async (t) => {
  const { http, control, waits } = await serve(t)
  const env = { OBELISK_HTTP: http }
  const done = await run(['task', 'submit', 'get', '--id', 'w1', '--wait'], { env })
  t.equal(done.code, 0)
  t.match(JSON.parse(done.stdout), { id: 'w1', state: 'completed' })
  t.match(done.stdout, '"value": [1, 2.5, -3]', 'lists of numbers stay on one line')
  t.equal(done.stderr, 'task w1 accepted\n')
  t.same(waits, [30_000])
  const line = await run(['task', 'submit', 'get', '--wait', '5', '--json'], { env })
  t.equal(line.stdout.split('\n').length, 2)
  t.ok(waits[1]! <= 5000 && waits[1]! > 4000)
  control.endsAs = 'failed'
  const failed = await run(['task', 'submit', 'get', '--wait=5'], { env })
  t.equal(failed.code, 1)
  t.match(JSON.parse(failed.stdout), { state: 'failed' })
  control.endsAs = 'running'
  const late = await run(['task', 'submit', 'get', '--id', 'w4', '--wait', '0.05'], { env })
  t.match(late, { code: 75, stdout: '', stderr: /task w4 is running after 0\.05 s/ })
})

t.test('a refusal names every problem and exits with 1', async (t) => {
  const { http, control } = await serve(t)
  const errors = [
    { path: 'op', code: 'unknown-operation' as const, message: 'there is no operation "x"' },
    { path: 'region', code: 'outside-grid' as const, message: 'region lies outside' },
  ]
  control.outcome = { ok: false, refusal: { code: 'invalid', message: '2 problems', errors } }
  const ran = await run(['task', 'submit', 'x', '--http', http])
  t.match(ran, { code: 1, stdout: '' })
  t.equal(
    ran.stderr,
    'error: invalid: 2 problems\n  op: there is no operation "x"\n  region lies outside\n',
  )
  const joined = errors.map(({ message }) => message).join('; ')
  control.outcome = { ok: false, refusal: { code: 'invalid', message: joined, errors } }
  t.equal((await run(['task', 'submit', 'x', '--http', http])).stderr, ran.stderr, 'each once')
  const [path, message] = ['region.x', 'region.x is -1, expected a whole number from 0 to 63']
  const refusal = {
    code: 'outside-grid',
    message: 'no',
    errors: [{ path, code: 'outside-grid', message }],
  }
  control.outcome = { ok: false, refusal } as Outcome
  t.match(await run(['task', 'submit', 'x', '--http', http]), { stderr: `no\n  ${message}\n` })
  control.outcome = { ok: false, refusal: { code: 'no-node', message: 'no node is known' } }
  t.equal((await run(['task', 'submit', 'x', '--http', http])).code, 1)
})

t.test('task state, result, cancel and ls', async (t) => {
  const { http } = await serve(t)
  const env = { OBELISK_HTTP: http }
  const state = await run(['task', 'state', 'failed'], { env })
  t.equal(state.code, 0)
  t.match(state.stdout, /^state +failed$/m)
  t.match(state.stdout, /^error +tile-missing: gone$/m)
  const json = await run(['task', 'state', 'failed', '--json'], { env })
  t.same(JSON.parse(json.stdout), taskView('failed', 'failed'))
  t.equal((await run(['task', 'result', 'completed'], { env })).code, 0)
  t.equal((await run(['task', 'result', 'failed'], { env })).code, 1)
  t.match(await run(['task', 'result', 'running'], { env }), { code: 1, stderr: /no-result/ })
  t.match(await run(['task', 'state', 'none'], { env }), { code: 1, stderr: /unknown-task/ })
  const cancelled = await run(['task', 'cancel', 'running'], { env })
  t.match(cancelled, { code: 0, stdout: 'running cancelled\n' })
  const list = await run(['task', 'ls'], { env })
  t.same(list.stdout.split('\n').slice(0, 2), [
    'ID         OP    STATE      DONE  ACCEPTED',
    'completed  stat  completed  4/4   2023-11-14 22:13:20Z',
  ])
  const short = await run(['task', 'ls', '--limit', '1', '--json'], { env })
  t.equal(JSON.parse(short.stdout).length, 1)
  t.match(await run(['task', 'ls', '--state', 'lost'], { env }), {
    code: 1,
    stderr: /state must be/,
  })
})

t.test('a result goes to a file, as JSON or CBOR', async (t) => {
  const { http } = await serve(t)
  const env = { OBELISK_HTTP: http }
  const file = join(t.testdir(), 'result')
  const written = await run(['task', 'result', 'completed', '-o', file, '--cbor'], { env })
  t.match(written, { code: 0, stdout: '', stderr: /bytes in/ })
  t.match(decodeCbor(readFileSync(file), MESSAGE_LIMITS), { ok: true, value: { id: 'completed' } })
  const raw = await run(['task', 'result', 'completed', '--cbor'], { env })
  t.same(raw.bytes, readFileSync(file))
  const nowhere = await run(['task', 'result', 'completed', '-o', `${file}/no`], { env })
  t.match(nowhere, { code: 1, stderr: /ENOTDIR/ })
})

t.test('node ls and info', async (t) => {
  const { http } = await serve(t)
  const env = { OBELISK_HTTP: http }
  const list = await run(['node', 'ls'], { env })
  const lines = list.stdout.split('\n')
  t.match(lines[0], /^ID +STATE +TILES +WRITTEN +WEIGHT +BEHIND +STARTS +JOINED$/)
  t.match(lines[1], /^pi-1 +alive +26 +20 +1 +2 +3 +2023-11-14 22:13:20Z$/)
  t.match(lines[4], /^pi-4 +alive, on probation for 43 s +0 +0 /)
  t.match(lines[3], /^pi-3 +alive, draining, stopped: store-full, quarantined +26 /)
  t.notMatch(list.stdout, '\u001b', 'neither colours nor the escapes of a node')
  const info = await run(['node', 'info', 'pi-1'], { env })
  t.match(info.stdout, /^stream\.head +9$/m)
  t.match(info.stdout, /^operations +add, stat$/m)
  const json = await run(['node', 'info', 'pi-1', '--json'], { env })
  t.same(JSON.parse(json.stdout), NODE)
  t.match(await run(['node', 'info', 'pi-9'], { env }), { code: 1, stderr: /unknown-node/ })
})

t.test(
  'node ls and top say which tiles nobody has, and what a rebuilt ledger waits for',
  async (t) => {
    const { http, control } = await serve(t)
    for (const argv of [
      ['node', 'ls'],
      ['top', '--once'],
    ]) {
      control.detector = { tiles_missing: 2714 }
      const { stdout } = await run([...argv, '--http', http])
      t.match(
        stdout,
        /^[NI][\s\S]*^pi-4 .*\nnobody has 2714 tiles: .*: obelisk ring recreate, .*\n$/m,
      )
      control.detector = { recovery: RECOVERY }
      const waiting = await run([...argv, '--http', http])
      t.match(
        waiting.stdout,
        /^the ledger is being restored from a copy .*\n[\s\S]*^awaited: pi-2$/m,
      )
      t.match(waiting.stdout, /never come: end the gateway first .* recover --nodes <n>/)
      t.notMatch(waiting.stdout, /STATE/)
    }
  },
)

t.test('node drain empties a node, and takes it back', async (t) => {
  const { http, control } = await serve(t)
  const argv = ['node', 'drain', 'pi-1', '--http', http]
  t.match(await run(argv), { code: 0, stdout: 'pi-1 drains\n', stderr: '' })
  t.equal(control.node.draining, true)
  t.match(await run([...argv, '--undo']), { code: 0, stdout: 'pi-1 stays\n', stderr: '' })
  t.equal(control.node.draining, undefined)
  t.match(JSON.parse((await run([...argv, '--json'])).stdout), { id: 'pi-1', draining: true })
  const stranger = await run(['node', 'drain', 'pi-9', '--http', http])
  t.match(stranger, { code: 1, stdout: '', stderr: /unknown-node/ })
  const undo = await run(['node', 'drain', 'pi-9', '--undo', '--http', http])
  t.match(undo, { code: 1, stdout: '', stderr: /unknown-node/ })
})

t.test('node drain waits until the node has left, and says how far it is', async (t) => {
  const { http, control } = await serve(t)
  const draining = { ...NODE, draining: true as const }
  const left = { ...NODE, state: 'left' as const, tiles: 0 }
  const argv = ['node', 'drain', 'pi-1', '--http', http, '--wait']
  control.moves = MOVES
  control.story = [draining, left]
  const ran = await run(argv)
  t.match(ran, { code: 0, stdout: 'pi-1 left\n' })
  const progress = '1 on the way, 250 planned, about 3 s left, waiting: paced 249, on-probation 1'
  t.equal(ran.stderr, `pi-1 has 26 tiles; ${progress}\n`)
  const late = await run([...argv, '0.01'])
  t.match(late, {
    code: 75,
    stdout: '',
    stderr: /has not left after 0\.01 s; .*still drains; .*node info pi-1/,
  })
  control.story = [draining, NODE]
  t.match(await run(argv), { code: 1, stdout: '', stderr: /to stay after all/ })
})

const STALL: MovesView['stalled'][number] = {
  node: NODE.id,
  reason: 'too-few-nodes',
  tiles: 26,
  message:
    '26 tiles of node pi-1 cannot leave it: 2 replicas need 2 other nodes, and 1 is left\u001b',
}
const STALLED =
  'too-few-nodes: 26 tiles of node pi-1 cannot leave it: 2 replicas need 2 other nodes, and 1 is left\ufffd\n'

t.test(
  'a drain that can never end is refused, and said where it was wanted all the same',
  async (t) => {
    const { http, control } = await serve(t)
    const argv = ['node', 'drain', 'pi-1', '--http', http]
    control.drainProblem = STALL.message
    const refused = await run([...argv, '--wait'])
    t.match(refused, {
      code: 1,
      stdout: '',
      stderr: /^error: too-few-nodes: 26 tiles.*; start another agent first, or force it/,
    })
    t.equal(control.node.draining, undefined)
    control.moves = { ...NO_MOVES, stalled: [STALL, { ...STALL, node: 'pi-2' as NodeId }] }
    t.match(await run([...argv, '--force']), { code: 0, stdout: 'pi-1 drains\n', stderr: STALLED })
    const draining = { ...NODE, draining: true as const }
    control.story = [draining, draining, { ...NODE, state: 'left' as const, tiles: 0 }]
    const waited = await run([...argv, '--force', '--wait'])
    const progress = 'pi-1 has 26 tiles; 0 on the way, 0 planned\n'
    t.match(waited, { code: 0, stdout: 'pi-1 left\n' })
    t.equal(waited.stderr, progress + STALLED, 'once')
    const moves = await run(['ring', 'moves', '--http', http])
    t.match(moves.stdout, `0 tiles on the way, 0 planned\n${STALLED}${STALLED}since`)
    const { eta_seconds: _eta, ...still } = MOVES
    control.moves = { ...still, stands_still: 'target-away' }
    t.match(
      (await run(['ring', 'moves', '--http', http])).stdout,
      'planned: 2.5 MiB, stands still: target-away\n',
    )
    control.moves = { ...MOVES, rate: 41.5 }
    t.match(
      (await run(['ring', 'moves', '--http', http])).stdout,
      'planned: 2.5 MiB, 41.5 tiles/s, about 3 s left\n',
    )
    const halfway = { ...draining, drain_tiles: 40, rate: 4, eta_seconds: 5 }
    const stuck = { ...draining, drain_tiles: 40, rate: 0, waits_for: 'no-source' }
    control.story = [halfway, halfway, stuck, { ...NODE, state: 'left' as const, tiles: 0 }]
    t.match(
      (await run([...argv, '--force', '--wait'])).stderr,
      [
        'pi-1 has 20 of 40 tiles; 1 on the way, 250 planned, 4 tiles/s, about 5 s left, waiting: ',
        'pi-1 has 20 of 40 tiles; 1 on the way, 250 planned, stands still: no-source, waiting: ',
      ].reduce((all, line) => new RegExp(`${all.source}${line}.*\n`, 's'), /^/),
    )
    control.moves = { ...NO_MOVES, paused_for: 'doubting' }
    t.match((await run(['ring', 'moves', '--http', http])).stdout, /nothing is planned while/)
    const newcomer = [{ node: 'pi-2' as NodeId, seconds: 43 }]
    const waits = 'on-probation: node pi-2 is given tiles of others in 43 s\n'
    control.moves = { ...NO_MOVES, probation: newcomer }
    t.match((await run(['ring', 'moves', '--http', http])).stdout, `0 planned\n${waits}since`)
    control.plan = { tiles: 0, bytes: 0, seconds: 0, moves: [], probation: newcomer, stalled: [] }
    t.match((await run(['ring', 'plan', '--http', http])).stdout, `nothing would move\n${waits}`)
    control.plan = { tiles: 0, bytes: 0, seconds: 0, moves: [], probation: [], stalled: [STALL] }
    const plan = await run(['ring', 'plan', '--leave', 'pi-1', '--http', http])
    t.match(plan, { code: 0, stdout: `nothing would move\n${STALLED}` })
    t.match(await run([...argv, '--undo', '--force']), { code: 2, stderr: /--force is for/ })
  },
)

t.test('node logs that is to follow ends quietly, also before there is anything', async (t) => {
  const others = process.listeners('SIGINT')
  const server = createHttpServer(() => {
    for (const listener of process.listeners('SIGINT')) {
      if (!others.includes(listener)) listener('SIGINT')
    }
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.closeAllConnections())
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const ended = await run(['node', 'logs', 'pi-1', '-f', '--http', `http://127.0.0.1:${port}`])
  t.match(ended, { code: 130, stdout: '', stderr: '' })
})

t.test('node logs shows lines that cannot steer a terminal, and what was left out', async (t) => {
  const { http, control } = await serve(t)
  const argv = ['node', 'logs', 'pi-1', '--http', http]
  t.match(await run(argv), { code: 75, stdout: '', stderr: 'node-away: it is not here' })
  control.log = {
    lines: [
      { level: 40, time: 0, name: 'agent', code: 'x', msg: 'no\u001b[2J room' },
      { level: { valueOf: 1, toString: 1 }, time: 'now', msg: { toString: 1 } },
    ],
    ...{ next: 'p1-9', left: 3 },
  }
  const shown = await run([...argv, '-n', '2', '--level', 'warn'])
  t.equal(
    shown.stdout,
    '1970-01-01 00:00:00Z warn  no\ufffd[2J room code="x"\n' + '       {"toString":1}\n',
  )
  t.match(shown, { code: 0, stderr: /^3 lines were left out\nolder ones: journalctl/ })
  t.same(control.logWish, { lines: 2, level: 'warn' })
  const asJson = await run([...argv, '--json'])
  t.same(JSON.parse(asJson.stdout.split('\n')[0]!), control.log.lines[0])
  t.same(control.logWish, { lines: 100, level: 'debug' })
  for (const wrong of [
    ['-n', '0'],
    ['-n', '501'],
    ['--level', 'loud'],
  ]) {
    t.match(await run([...argv, ...wrong]), { code: 2, stdout: '' }, `${wrong}`)
  }
})

t.test('node rm forgets a node, or says why not', async (t) => {
  const { http, control } = await serve(t)
  const argv = ['node', 'rm', 'pi-1', '--http', http]
  t.match(await run(argv), { code: 0, stdout: 'pi-1 is forgotten\n', stderr: '' })
  t.same(JSON.parse((await run([...argv, '--json'])).stdout), { id: 'pi-1', removed: true })
  control.removalProblem = { reason: 'node-holds-tiles', message: 'it has 3 tiles' }
  t.match(await run(argv), { code: 1, stdout: '', stderr: 'node-holds-tiles: it has 3 tiles' })
  const stranger = await run(['node', 'rm', 'pi-9', '--http', http])
  t.match(stranger, { code: 1, stdout: '', stderr: /unknown-node/ })
})

t.test('ring moves lists what moves, and why others wait', async (t) => {
  const { http, control } = await serve(t)
  const argv = ['ring', 'moves', '--http', http]
  t.equal(
    (await run(argv)).stdout,
    '0 tiles on the way, 0 planned\n' +
      'since the gateway started: 5 tiles moved, 1 given up, 30.0 KiB copied\n',
  )
  control.moves = MOVES
  const ran = await run(argv)
  t.match(ran, { code: 0, stderr: '' })
  t.same(ran.stdout.split('\n'), [
    'TILE  FROM  TO    WHY     STAGE    WAITS FOR      AGE',
    '   7  pi-1  pi-2  drain   copying  target-away  2 min',
    '  12  –     pi-2  repair  planned',
    '',
    '1 tile on the way, 250 planned (the first 1 are shown)',
    'planned: 2.5 MiB, about 3 s left',
    'waiting: paced 249, on-probation 1',
    'since the gateway started: 5 tiles moved, 1 given up, 30.0 KiB copied',
    '',
  ])
  t.same(JSON.parse((await run([...argv, '--json'])).stdout), MOVES)
})

t.test('ring recreate says what is given up, and asks first', async (t) => {
  const { http, control } = await serve(t)
  const argv = ['ring', 'recreate', '--http', http]
  const done = { code: 0, stdout: '3 tiles begin anew, as zeros\n' }
  t.match(await run(argv), { code: 0, stdout: 'no tile is missing\n', stderr: '' })
  t.equal((await run([...argv, '--json'])).stdout, '{"tiles":0}\n')
  t.equal(control.recreated, 0)
  control.detector = { tiles_missing: 3, tiles_missing_written: 1, nodes_absent: ['pi-8', 'pi-9'] }
  const told =
    /^missing: 3 tiles; 1 of them known to have been written.*\nmay have them: pi-8, pi-9, .*\n.*gone for good/
  const unasked = await run(argv)
  t.match(unasked, { code: 2, stdout: '', stderr: told })
  t.match(unasked.stderr, /error: nothing is given up: --yes says/)
  for (const stdin of ['', '\n', 'n\n', 'why\n']) {
    const refused = await run(argv, { stdin, isTyped: true })
    t.match(refused, { code: 1, stdout: '', stderr: told })
    t.match(refused.stderr, /give them up\? \[y\/N\] nothing is given up\n$/)
  }
  t.equal(control.recreated, 0)
  for (const stdin of ['y\n', 'YES\n']) t.match(await run(argv, { stdin, isTyped: true }), done)
  t.match(await run([...argv, '--yes']), { ...done, stderr: told })
  t.equal((await run([...argv, '--yes', '--json'])).stdout, '{"tiles":3}\n')
  t.equal(control.recreated, 4)
  control.detector = { recovery: RECOVERY }
  t.match(await run([...argv, '--yes']), { code: 1, stdout: '', stderr: /^the ledger is being/ })
  t.equal(control.recreated, 4)
})

t.test('ring plan says who would give how much to whom', async (t) => {
  const { http, control, planned } = await serve(t)
  const argv = ['ring', 'plan', '--http', http]
  t.match(await run(argv), { code: 0, stdout: 'nothing would move\n' })
  control.plan = {
    tiles: 31,
    bytes: 1024,
    seconds: 1,
    probation: [],
    stalled: [],
    moves: [
      { from: 'pi-1', to: 'pi-2', tiles: 30 },
      { to: 'pi-7', tiles: 1 },
    ],
  }
  const ran = await run([...argv, '--join', 'pi-7,pi-8', '--leave', 'pi-1'])
  t.match(ran, { code: 0, stderr: '' })
  t.same(ran.stdout.split('\n'), [
    'FROM  TO    TILES',
    'pi-1  pi-2     30',
    '–     pi-7      1',
    '',
    '31 tiles would move: 1.0 KiB, about 1 s',
    '',
  ])
  t.same(planned, [
    { join: [], leave: [] },
    { join: ['pi-7', 'pi-8'], leave: ['pi-1'] },
  ])
  t.same(JSON.parse((await run([...argv, '--json'])).stdout), control.plan)
  t.match(await run([...argv, '--leave', 'pi-9']), { code: 1, stderr: /unknown-node/ })
  t.match(await run([...argv, '--join', 'pi-1']), { code: 1, stderr: /known-node/ })
  t.match(await run([...argv, '--join', 'a b']), { code: 1, stderr: /join must be/ })
})

t.test('gateway trust ends the doubts of a gateway', async (t) => {
  const { http, control } = await serve(t)
  const argv = ['gateway', 'trust', '--http', http]
  t.match(await run(argv), { code: 0, stdout: 'no more doubt for mass-silence\n', stderr: '' })
  t.equal(control.isTrusted, true)
  t.match(await run(argv), { code: 0, stdout: 'there was no doubt\n' })
  t.match(await run([...argv, '--json']), { code: 0, stdout: '{"doubts":[]}\n' })
})

t.test('colours are for terminals that want them', async (t) => {
  const { http } = await serve(t)
  const coloured = async (env: Record<string, string>) => {
    const ran = await run(['node', 'ls', '--http', http], { env, isTTY: true })
    return ran.stdout.includes('\u001b[32malive')
  }
  t.equal(await coloured({}), true)
  t.equal(await coloured({ NO_COLOR: '1' }), false)
  t.equal(await coloured({ TERM: 'dumb' }), false)
})

t.test('misuse exits with 2 and says how', async (t) => {
  const { http, submitted } = await serve(t)
  const env = { OBELISK_HTTP: http }
  const cases: [string[], RegExp][] = [
    [[], /Usage: obelisk/],
    [['nonsense'], /unknown command 'nonsense'/],
    [['nonsense', '--help'], /unknown command 'nonsense'/],
    [['node', 'drian', '-h'], /unknown command 'drian'\n\(Did you mean drain\?\)/],
    [['logs'], /unknown command 'logs'\n\(Did you mean node logs\?\)\nUsage/],
    [['events'], /unknown command 'events'\nUsage/],
    [['ls'], /unknown command 'ls'\nUsage/],
    [['help', 'node', 'drian'], /unknown command 'drian'/],
    [['node', 'help', 'drian'], /unknown command 'drian'/],
    [['task'], /Usage: obelisk task/],
    [
      ['task', 'submit'],
      /name an operation.*\nUsage: obelisk task submit \[options\] \[op\] \(--help says more\)\n$/,
    ],
    [['token', 'create'], /\nUsage: obelisk token create /],
    [['install'], /\nUsage: obelisk install /],
    [['uninstall'], /\nUsage: obelisk uninstall /],
    [['image', 'flash'], /\nUsage: obelisk image flash /],
    [['fleet', 'upgrade'], /\nUsage: obelisk fleet upgrade /],
    [['node', 'rotate-key'], /\nUsage: obelisk node rotate-key /],
    [['task', 'submit', 'stat', '--region', '1,2'], /--region: "1,2" is not x,y,w,h/],
    [['task', 'submit', 'stat', '--args', '{'], /--args: not JSON/],
    [['task', 'submit', 'stat', '--wait', 'long'], /--wait: "long" is not a number of seconds/],
    [['task', 'submit', 'stat', '--file', 'x'], /--file holds the whole task/],
    [['task', 'state'], /missing required argument 'id'/],
    [['task', 'ls', '--jsn'], /unknown option '--jsn'/],
    [['node', 'ls', '--http', 'localhost:8025'], /--http: "localhost:8025" is not a URL/],
    [['node', 'drain'], /missing required argument 'id'/],
    [['node', 'drain', 'pi-1', '--undo', '--wait'], /--wait is for a node that is to leave/],
    [['node', 'drain', 'pi-1', '--wait', 'long'], /--wait: "long" is not a number/],
    [['ring'], /Usage: obelisk ring/],
    [['sub'], /missing required argument 'topic'/],
    [['sub', 'a/#/b'], /"a\/#\/b" is no topic: \+ stands for a whole level/],
    [['sub', ''], /"" is no topic/],
    [['sub', 'a', '-n', '0'], /--count: "0" is not a whole number/],
    [['sub', 'a', '--url', 'http://x'], /--url: "http:\/\/x" is not a URL/],
  ]
  for (const [argv, expected] of cases) {
    const ran = await run(argv, { env })
    t.equal(ran.code, 2, argv.join(' '))
    t.match(ran.stderr, expected)
    t.equal(ran.stdout, '')
  }
  t.same(submitted, [])
})

t.test('a file that is not there is named, and is no wrong use', async (t) => {
  const directory = t.testdir()
  for (const argv of [
    ['task', 'submit', '--file'],
    ['task', 'submit', 'digest', '--items'],
  ]) {
    const none = join(directory, 'none')
    t.match(await run([...argv, none]), { code: 66, stderr: `error: ${none} is not there\n` })
    const folder = await run([...argv, directory])
    t.match(folder, {
      code: 66,
      stderr: `error: ${directory} is a directory, where a file belongs`,
    })
  }
})

t.test(
  'whoever misses an argument of a command, or gives it another option, is told its usage',
  async (t) => {
    for (const { path, given, commands } of everyCommand(ownTree())) {
      if (path === '' || path in PROGRAMS || commands.length > 0) continue
      // They give what they do not know to the program that they start.
      if (['gateway recover', 'agent enroll', 'install'].includes(path)) continue
      const words = path.split(' ')
      const isMissed = given.some((each) => each.startsWith('<'))
      const argv = isMissed ? words : [...words, '--no-such-option']
      const { code, stdout, stderr } = await run(argv)
      t.same({ code, stdout }, { code: 2, stdout: '' }, path)
      const [problem, usage = '', ...more] = stderr.split('\n')
      t.match(problem, /^error: (missing required argument|unknown option|required option)/)
      t.ok(usage.startsWith(`Usage: obelisk ${path} `), usage)
      for (const each of given) t.match(usage, each)
      t.same(more, [''])
    }
  },
)

t.test('help and version are data', async (t) => {
  const help = await run(['--help'])
  t.equal(help.code, 0)
  for (const name of ['gateway', 'agent', 'demo', 'task', 'node', 'ring', 'sub']) {
    t.match(help.stdout, new RegExp(`^ {2}${name} `, 'm'))
  }
  t.match(await run(['--version']), { code: 0, stdout: '9.9.9\n' })
  const submit = await run(['task', 'submit', '--help'])
  t.match(submit.stdout, '--deadline <seconds>')
  for (const name of TASK_OPERATIONS) t.match(submit.stdout, `\n  ${name} `)
  t.match(submit.stdout, /--args: field, \[bins\]/)
  t.same(await run(['help', 'task', 'submit']), submit)
  for (const name of ['task', 'node', 'sub']) {
    t.match(await run([name, '--help']), { code: 0, stdout: /usage/i, stderr: '' })
  }
  t.same(await run(['task', 'help', 'submit']), submit)
  const task = await run(['task', 'state', 'help', '--http', 'http://127.0.0.1:9'])
  t.match(task, { code: 69, stdout: '' }, 'a task may have that name')
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

t.test('a gateway that is not there is exit 69, over HTTP and MQTT', async (t) => {
  const port = await freePort()
  const http = await run(['task', 'ls', '--http', `http://127.0.0.1:${port}`])
  t.match(http, { code: 69, stdout: '', stderr: /no gateway at .*ECONNREFUSED/ })
  const mqtt = await run(['sub', 'a/#', '--url', `mqtt://127.0.0.1:${port}`])
  t.match(mqtt, { code: 69, stderr: /no gateway at .*ECONNREFUSED\); .*obelisk login\n?$/ })
  t.notMatch(mqtt.stderr, '--http', 'which is not for MQTT')
  const { http: door } = await serve(t)
  const other = await run(['sub', 'a/#', '--url', door.replace('http', 'mqtt')])
  t.match(other, {
    code: 69,
    stdout: '',
    stderr: /what answers at mqtt:.* is no MQTT broker .*8883/,
  })
})

async function startBroker(t: Test, at = 0) {
  const broker = await Aedes.createBroker()
  const server = createServer(broker.handle).listen(at, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    await new Promise<void>((resolve) => broker.close(resolve))
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const publish = (topic: string, payload: string | Uint8Array, retain = true) =>
    new Promise<void>((resolve, reject) => {
      const packet = { cmd: 'publish', qos: 0, dup: false, retain, topic } as const
      broker.publish({ ...packet, payload: Buffer.from(payload) }, (error) =>
        error ? reject(error) : resolve(),
      )
    })
  return { broker, server, publish, url: `mqtt://127.0.0.1:${port}` }
}

t.test('sub prints what arrives, decoded', async (t) => {
  const { publish, url } = await startBroker(t)
  const telemetry = encodeCbor({ node: 'pi-1', cpu_percent: 3.5, key: Uint8Array.from([1, 2]) })
  await publish('obelisk/v1/node/pi-1/telemetry', telemetry)
  await publish('obelisk/v1/node/pi-1/state', 'online')
  await publish('obelisk/v1/gateway/ring', '{"epoch":1}')
  const human = await run(['sub', 'obelisk/v1/#', '-n', '3', '--url', url])
  t.match(human, { code: 0, stderr: '' })
  t.same(human.stdout.trim().split('\n').sort(), [
    'obelisk/v1/gateway/ring {"epoch":1}',
    'obelisk/v1/node/pi-1/state "online"',
    'obelisk/v1/node/pi-1/telemetry {"node":"pi-1","cpu_percent":3.5,"key":"AQI="}',
  ])
  const argv = ['sub', 'obelisk/v1/gateway/+', '-n', '1', '--json']
  const json = await run(argv, { env: { OBELISK_URL: url } })
  t.same(JSON.parse(json.stdout), {
    topic: 'obelisk/v1/gateway/ring',
    payload: { epoch: 1 },
    qos: 0,
    retain: true,
  })
})

t.test('sub ends in time: 75 if what it waited for did not come', async (t) => {
  const { publish, url } = await startBroker(t)
  const nothing = await run(['sub', 'a/#', '--url', url, '--timeout', '0.2'])
  t.match(nothing, { code: 75, stdout: '' })
  await publish('a/b', 'x')
  t.equal((await run(['sub', 'a/#', '--url', url, '--timeout', '0.3', '-n', '2'])).code, 75)
  t.match(await run(['sub', 'a/#', '--url', url, '--timeout', '0.3']), {
    code: 0,
    stdout: 'a/b "x"\n',
  })
})

t.test('sub that is not let in, or not let read, is exit 77', async (t) => {
  const { broker, url } = await startBroker(t)
  broker.authorizeSubscribe = (_client, _subscription, done) => done(null, null)
  t.match(await run(['sub', 'a', '--url', url]), { code: 77, stderr: /does not let us read a/ })
  broker.authenticate = (_client, _name, _password, done) =>
    done(Object.assign(new Error('no'), { returnCode: 5 }), false)
  t.match(await run(['sub', 'a', '--url', url]), { code: 77, stderr: /does not let us in/ })
})

t.test('sub goes on with a gateway that starts again', async (t) => {
  const first = await startBroker(t)
  first.broker.once('subscribe', () => {
    void first.publish('a', 'last words', false).then(() => first.broker.close())
  })
  const running = run(['sub', 'a', '-n', '2', '--url', first.url])
  await once(first.broker, 'closed')
  first.server.close()
  await once(first.server, 'close')
  const second = await startBroker(t, Number(new URL(first.url).port))
  second.broker.once('subscribe', () => void second.publish('a', 'back', false))
  const ran = await running
  t.match(ran, { code: 0, stdout: 'a "last words"\na "back"\n' })
  t.match(ran.stderr, /^no gateway at .*, or it closed the connection.*trying again\n.* is back\n$/)
})

t.test('sub ends in its time where the gateway does not come back', async (t) => {
  const { broker, publish, url } = await startBroker(t)
  broker.once('subscribe', () => {
    void publish('a', 'last words', false).then(() => broker.close())
  })
  const ran = await run(['sub', 'a', '--url', url, '--timeout', '1'])
  t.match(ran, {
    code: 75,
    stdout: 'a "last words"\n',
    stderr: /timed out after 1 s; messages: 1;/,
  })
})

t.test('payloads are told by topic, then by their first bytes', async (t) => {
  const map = Buffer.from(encodeCbor({ a: 1 }))
  t.same(decodePayload('obelisk/v1/task/t/result', map), { a: 1 })
  t.same(decodePayload('one/task/t/result', map), { a: 1 }, 'below any base')
  t.same(decodePayload('obelisk/v1/task/t/result/json', Buffer.from('{"a":1}')), { a: 1 })
  t.same(decodePayload('elsewhere', map), { a: 1 })
  t.same(decodePayload('elsewhere', Buffer.from('[1,2]')), [1, 2])
  t.equal(decodePayload('elsewhere', Buffer.from('{not json')), '{not json')
  t.equal(decodePayload('elsewhere', Buffer.from('21.5 °C')), '21.5 °C')
  t.equal(decodePayload('obelisk/v1/node/n/info', Buffer.alloc(0)), null)
  t.same(decodePayload('elsewhere', Buffer.from([0xff, 0xfe])), Buffer.from([0xff, 0xfe]))
})

t.test(
  'npx runs the command of the checkout as it was built, and installs nothing first',
  async (t) => {
    const cache = t.testdir()
    const env = { ...process.env, npm_config_cache: cache, npm_config_offline: 'true' }
    const { status, stdout, stderr } = spawnSync('npx', ['obelisk', '--version'], {
      cwd: CHECKOUT,
      env,
    })
    t.equal(status, 0, stderr.toString())
    t.equal(stdout.toString(), `${VERSION}\n`)
    t.notOk(existsSync(join(cache, '_npx')))
  },
)

t.test('a benchmark says how it is used, to whoever asks and to whoever errs', (t) => {
  const at = (name: string): string => join(CHECKOUT, name)
  const page = readFileSync(at('docs/performance.md'), 'utf8')
  const named = new Set(
    [...page.matchAll(/node dist\/(scripts\/bench\/[\w-]+)\.js/g)].map((m) => m[1]!),
  )
  t.ok(named.size > 5)
  for (const name of named) t.match(readFileSync(at(`${name}.ts`), 'utf8'), 'benchOptions(', name)
  const asked = (flag: string) => {
    const register = at('test/support/typescript/register.js')
    const argv = [`--import=${register}`, at('scripts/bench/memory.ts'), flag]
    return spawnSync(process.execPath, argv, { encoding: 'utf8' })
  }
  const usage = 'Usage: node dist/scripts/bench/memory.js [--seconds 60]'
  t.match(asked('--help'), { status: 0, stdout: usage, stderr: '' })
  const wrong = asked('--nonsense')
  t.match(wrong, { status: 2, stdout: '', stderr: usage })
  t.notMatch(wrong.stderr, /\n\s+at /)
  t.end()
})

t.test('a recovery is told of at least one node, by the flag that was typed', (t) => {
  t.same(recoveryArguments(['--port', '0', '--nodes', '3']), ['--recover-nodes=3', '--port', '0'])
  t.same(recoveryArguments(['--nodes=2']), ['--recover-nodes=2'])
  t.same(recoveryArguments(['--recover-nodes', '2']), ['--recover-nodes=2'])
  for (const words of [['0'], ['-1'], ['x'], ['65535'], ['1.5'], [], ['--port', '0']]) {
    const refused = { code: 'usage', exitCode: 2, message: /^--nodes/ }
    t.throws(() => recoveryArguments(['--nodes', ...words]), refused, words[0] ?? 'nothing')
  }
  t.throws(() => recoveryArguments(['--port', '0']), {
    exitCode: 2,
    message: /--nodes <n>.*\nUsage: /,
  })
  t.end()
})

t.test('what a gateway could only refuse is refused in the words of the command', async (t) => {
  const nowhere = ['--http', `http://127.0.0.1:${await freePort()}`]
  const refused = async (stderr: RegExp, code: number, ...argv: string[]) =>
    t.match(await run([...argv, ...nowhere]), { code, stdout: '', stderr })
  await refused(/^error: --ttl: "0m" is too short/, 2, 'token', 'create', 'n7', '--ttl', '0m')
  await refused(/^error: "a b" is no name of a node: letters/, 2, 'token', 'create', 'a b')
  const many = ['token', 'create', '--count', '2', '--prefix', 'a/']
  await refused(/^error: "a\/2" is no name of a node/, 2, ...many)
  const king = ['--no-password', '--role', 'king']
  await refused(
    /^error: --role: there is no role "king" \(known: viewer, /,
    2,
    'user',
    'add',
    'ann',
    ...king,
  )
  const viewer = ['--no-password', '--role', 'viewer']
  await refused(/^error: "an n" is no name of a user/, 2, 'user', 'add', 'an n', ...viewer)
  await refused(
    /--role: there is no role "viewr", did you mean viewer/,
    2,
    'user',
    'set',
    'ann',
    '--role',
    'viewr',
  )
  await refused(/^error: "b\/c" is no name of a recipient/, 2, 'seal', 'recipient', 'add', 'b/c')
  const missing = join(t.testdir(), 'none')
  const login = await run(['login', 'https://127.0.0.1', '--token-file', missing])
  t.match(login, { code: 66, stderr: `error: ${missing} is not there\n` })
})
