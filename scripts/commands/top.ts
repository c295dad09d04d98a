/** `obelisk top`: the fleet as it is now, for as long as somebody looks. */
import { follow } from '../../shared/client/events.ts'
import { type GatewayClient, jsonOf } from '../../shared/client/http.ts'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { pause } from '../../shared/client/waits.ts'
import type { DetectorView, MovesView, NodeView, TaskView } from '../../shared/protocol/views.ts'
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import { usage } from '../fault.ts'
import { type Asked, at, type CommandGroup, demand, type Flags, show } from './command-place.ts'
import { fleetLines } from './detector.ts'
import { untilInterrupted } from './interruption.ts'
import { wordsOf } from './refusal.ts'
import { printable, type Streams, when } from './streams.ts'
import { type Deed, pressed, SORTS, type Sort, type TopState } from './top-keys.ts'
import { nodeTable, screenOf, type TopFacts } from './top-screen.ts'

type TopFlags = Flags<'sort' | 'filter', 'once'>

/** Of a terminal. */
interface Typed {
  readonly isTTY?: boolean
  setRawMode?(isRaw: boolean): unknown
  on?(event: 'data', heard: (bytes: Buffer) => void): unknown
}

const AGAIN_MS = 2_000
const EVENTS_MAX = 200
const LISTED_MAX = 1_000
const ESCAPE = '\u001b'
/** Another screen than that of the shell, without a cursor; and back. */
const ENTER = '\u001b[?1049h\u001b[?25l'
const LEAVE = '\u001b[?25h\u001b[?1049l'
/** An arrow comes as three characters. */
const KEYS = new RegExp(`${ESCAPE}\\[[A-D]|[\\s\\S]`, 'g')

export function addTop(obelisk: CommandGroup): void {
  obelisk
    .asks('top', top)
    .description('show the nodes as they are now, and what they do')
    .option('--sort <column>', `by one of ${SORTS.join(', ')} (default: state)`)
    .option('--filter <text>', 'only nodes whose ids have it in them')
    .option('--once', 'print them once, as for a pipe')
}

async function top(asked: Asked<TopFlags>): Promise<number> {
  const { gateway, streams, flags } = asked
  const sort = SORTS.find((one) => one === (flags.sort ?? 'state'))
  if (sort === undefined) {
    throw usage(`--sort: "${flags.sort}" is none of ${SORTS.join(', ')}`)
  }
  const stdin = streams.stdin as Typed
  const { filter = '' } = flags
  const isLive = !flags.once && !flags.json && streams.stdout.isTTY && stdin.setRawMode
  if (isLive) return await new Top(gateway, streams, { sort, filter }).run(stdin)
  const { nodes } = await nodesOf(gateway, { sort, filter })
  if (flags.json) return show(asked, nodes, '')
  const fleet = await gateway.json<DetectorView>({ path: '/api/detector' })
  const list = fleet.recovery === undefined ? nodeTable(nodes, Date.now(), streams) : []
  return show(asked, nodes, `${[...list, ...fleetLines(fleet)].join('\n')}\n`)
}

async function nodesOf(
  gateway: GatewayClient,
  { sort, filter }: { readonly sort: Sort; readonly filter: string },
  signal?: AbortSignal,
): Promise<{ nodes: NodeView[]; total: number }> {
  // Those in trouble, and those that are busy, come first.
  const order = ['id', 'heard'].includes(sort) ? sort : `-${sort}`
  const query = new URLSearchParams({ sort: order, q: filter, limit: `${LISTED_MAX}` })
  const { headers, body } = await gateway.request({ path: `/api/nodes?${query}`, signal })
  const nodes = jsonOf<NodeView[]>(new TextDecoder().decode(body))
  return { nodes, total: Number(headers.get('x-total-count') ?? nodes.length) }
}

class Top {
  readonly #gateway: GatewayClient
  readonly #streams: Streams
  readonly #events: string[] = []
  #state: TopState
  #facts: TopFacts
  #end = new AbortController()
  #wake = new AbortController()

  constructor(gateway: GatewayClient, streams: Streams, wish: { sort: Sort; filter: string }) {
    this.#gateway = gateway
    this.#streams = streams
    this.#state = { pane: 'nodes', ...wish, isTyping: false, row: 0 }
    const { address } = gateway
    const nothing = { nodes: [], total: 0, troubled: 0, notes: [], tasks: [], moves: undefined }
    this.#facts = { address, ...nothing, events: this.#events, away: undefined, said: '' }
  }

  async run(stdin: Typed): Promise<number> {
    // What is wrong at once is an error of the command, and no screen.
    await this.#look()
    return await untilInterrupted((signal) => this.#show(stdin, signal))
  }

  async #show(stdin: Typed, signal: AbortSignal): Promise<number> {
    const { stdout } = this.#streams
    const onData = (bytes: Buffer): void => {
      for (const key of bytes.toString('utf8').match(KEYS) ?? []) this.#press(key)
    }
    signal.addEventListener('abort', () => this.#end.abort())
    stdin.setRawMode!(true)
    stdin.on!('data', onData)
    stdout.write(ENTER)
    const listening = this.#listen()
    try {
      while (!this.#end.signal.aborted) {
        this.#draw()
        const until = AbortSignal.any([this.#end.signal, this.#wake.signal])
        await pause(AGAIN_MS, until).catch(() => {})
        this.#wake = new AbortController()
        if (!this.#end.signal.aborted) await this.#tryToLook()
      }
    } finally {
      this.#end.abort()
      stdout.write(LEAVE)
      stdin.setRawMode!(false)
    }
    await listening
    return EXIT_DONE
  }

  #press(key: string): void {
    const { nodes } = this.#facts
    const before = this.#state
    const { state, deed } = pressed(
      before,
      key,
      nodes.map(({ id }) => id),
    )
    this.#state = state
    this.#facts = { ...this.#facts, said: '' }
    if (deed !== undefined) void this.#perform(deed)
    const isOther = (['pane', 'sort', 'filter'] as const).some(
      (name) => before[name] !== state[name],
    )
    if (isOther) this.#wake.abort()
    this.#draw()
  }

  async #perform(deed: Deed): Promise<void> {
    if (deed.do === 'quit') {
      this.#end.abort()
      return
    }
    const path = at`/api/nodes/${deed.node}/drain`
    const said = await demand(this.#gateway, 'POST', path, { drain: true }).then(
      () => `${deed.node} drains`,
      saidOf,
    )
    this.#facts = { ...this.#facts, said: printable(said) }
    this.#wake.abort()
  }

  async #tryToLook(): Promise<void> {
    try {
      await this.#look()
    } catch (error) {
      this.#facts = { ...this.#facts, away: saidOf(error) }
    }
  }

  async #look(): Promise<void> {
    const { pane } = this.#state
    const { signal } = this.#end
    const ask = <T>(path: string): Promise<T> => this.#gateway.json<T>({ path, signal })
    const { nodes, total } = await nodesOf(this.#gateway, this.#state, signal)
    const notes = fleetLines(await ask<DetectorView>('/api/detector'))
    const troubled = nodes.filter((node) => node.troubled).length
    const tasks = pane === 'tasks' ? await ask<TaskView[]>('/api/tasks?limit=100') : []
    const moves = pane === 'moves' ? await ask<MovesView>('/api/ring/moves') : undefined
    this.#facts = { ...this.#facts, nodes, total, troubled, notes, tasks, moves, away: undefined }
  }

  /** The events that there were lately, and those that come. */
  async #listen(): Promise<void> {
    const path = '/api/events?kinds=event&after=all'
    const { signal } = this.#end
    try {
      for await (const item of follow(this.#gateway, { path, signal })) {
        if (item.kind !== 'message') continue
        const { ts, level, message } = item.value as Record<'level' | 'message', string> & {
          ts: number
        }
        this.#events.push(`${when(ts)}  ${level.padEnd(5)}  ${message}`)
        if (this.#events.length > EVENTS_MAX) this.#events.shift()
      }
    } catch (error) {
      this.#events.push(saidOf(error))
    }
  }

  #draw(): void {
    const { rows = 24, columns = 80 } = this.#streams.stdout as { rows?: number; columns?: number }
    const size = { rows, columns, nowMs: Date.now() }
    const lines = screenOf(this.#state, this.#facts, size, this.#streams)
    this.#streams.stdout.write(`\u001b[H${lines.map((line) => `${line}\u001b[K`).join('\r\n')}`)
  }
}

function saidOf(error: unknown): string {
  return error instanceof ObeliskError ? wordsOf(error) : String(error)
}
