import { Random } from '../../shared/core/random.ts'
import { within } from '../within.ts'
import { type Check, checkAll, type Reading } from './checks.ts'
import type { Display } from './display.ts'
import { type Fleet, pageOf } from './fleet.ts'
import { GatewayWatch } from './gateway-watch.ts'
import type { Rain } from './rain.ts'
import { type Owners, RainMap } from './rain-map.ts'
import type { SubmittedTask, TaskRequest } from './task-client.ts'
import { TaskStream } from './task-stream.ts'
import { countOwned, heirsOf, ownersOf, without } from './tile-owners.ts'

export interface StoryOptions {
  readonly seed: number
  /** How long the stream of tasks lasts. */
  readonly streamMs: number
}

/** What the summary tells. */
export interface Findings {
  readonly tasks: readonly SubmittedTask[]
  /** Tasks that were open when the gateway was killed. */
  readonly resent: number
  readonly reissued: number
  readonly killed: string
  /** From the kill of the agent until its first shard was on its way to another. */
  readonly reissueMs: number
  /** From the kill of the gateway until it was ready, acknowledged a submission again, and gave a result. */
  readonly startedMs: number
  readonly answerMs: number
  readonly resultMs: number
  readonly checks: readonly Check[]
}

/** Long even for a busy machine of two cores: only a fault takes so long. */
const PATIENCE_MS = 90_000
/** Reads that are sent just before a kill, so that it hits work. */
const BURST_READS = 4
/** Writes that are sent with the kill of the gateway, and meet nobody. */
const BURST_WRITES = 2
/** Tasks that are open longer than this after the stream are told of. */
const DRAIN_MS = 500
const PUT_ROWS = 48

/** What happens in the demo, in order. */
export class Story {
  readonly #options: StoryOptions
  readonly #fleet: Fleet
  readonly #rain: Rain
  readonly #display: Display
  readonly #onFault: (error: Error) => void
  readonly #random: Random
  readonly #ids: readonly string[]
  readonly #startMs = performance.now()
  #link: GatewayWatch | undefined
  #map: RainMap
  #down: string | undefined

  /** `onFault` is told what must never happen. */
  constructor(
    options: StoryOptions,
    fleet: Fleet,
    rain: Rain,
    display: Display,
    onFault: (error: Error) => void,
  ) {
    this.#options = options
    this.#fleet = fleet
    this.#rain = rain
    this.#display = display
    this.#random = new Random(options.seed)
    this.#ids = [...fleet.agents.keys()]
    this.#map = new RainMap(rain.geometry, rain.values)
    this.#onFault = onFault
  }

  get #watch(): GatewayWatch {
    if (this.#link === undefined) throw new Error('the gateway was not started yet')
    return this.#link
  }

  async tell(): Promise<Findings> {
    await this.#assemble()
    await this.#load()
    const facts = await this.#stream()
    const reading = await this.#read(['precip', 'visits'])
    const { tasks } = this.#watch.tasks
    const other = await soon('every end again', this.#watch.tasks.runAgain())
    const checks = checkAll(tasks, other, reading as unknown as Reading, this.#rain)
    await this.#watch.close()
    return { ...facts, tasks, reissued: this.#watch.reissued, checks }
  }

  async #assemble(): Promise<void> {
    const { gateway, agents } = this.#fleet
    await this.#fleet.startGateway()
    const { mqtt, http } = this.#fleet.ports
    this.#note(`gateway is up: process ${gateway.pid}, MQTT port ${mqtt}, HTTP port ${http}`)
    this.#display.say(`\n  In a browser:             ${pageOf(http)}`)
    const filters = ['gateway/event', 'task/+/state'].map((topic) => `-t 'obelisk/v1/${topic}'`)
    this.#display.say(
      `  From a second terminal:   mosquitto_sub -h 127.0.0.1 -p ${mqtt} -v ${filters.join(' ')}\n`,
    )
    this.#link = await GatewayWatch.open(this.#fleet.ports, this.#onFault)
    await Promise.all(this.#ids.map((id) => this.#fleet.startAgent(id)))
    const pids = [...agents.values()].map(({ pid }) => pid).join(', ')
    const names = `${this.#ids[0]} to ${this.#ids.at(-1)}`
    this.#note(`${agents.size} agents have joined, ${names}: processes ${pids}`)
  }

  async #load(): Promise<void> {
    const { geometry } = this.#rain
    const puts: SubmittedTask[] = []
    for (let y = 0; y < geometry.height; y += PUT_ROWS) {
      const h = Math.min(PUT_ROWS, geometry.height - y)
      const region = { x: 0, y, w: geometry.width, h }
      const args = { field: 'precip', values: this.#rain.valuesOf(region) }
      puts.push(this.#watch.tasks.submit({ op: 'put', region, args }))
    }
    const results = await soon('the load', Promise.all(puts.map(({ ended }) => ended)))
    const copies = Math.min(...results.map((result) => result.copies ?? 0))
    const size = `${geometry.width} × ${geometry.height} LSUs, ${geometry.tiles} tiles`
    this.#note(`put a year of rain in ${puts.length} tasks: ${size}, ${copies} copies`)
    const { precip } = (await this.#read(['precip'])) as { precip: number[] }
    this.#map = new RainMap(geometry, precip)
    this.#note('get read it back; a tile shows the node that answers for it:')
    this.#show(await this.#owners())
  }

  async #owners(): Promise<Owners> {
    return ownersOf(await this.#watch.readRing(), this.#ids)
  }

  #show(owners: Owners): void {
    const nodes = this.#ids.map((id) => ({ id, isDown: id === this.#down }))
    this.#display.show({ map: this.#map, owners, nodes })
  }

  async #stream() {
    const { streamMs } = this.#options
    const stream = new TaskStream(this.#watch.tasks, this.#rain.geometry, this.#random)
    const startMs = performance.now()
    this.#note('a stream of tasks begins: stat of precip, add of 1 to visits')
    stream.start()
    await pause(startMs + streamMs / 3)
    const agent = await this.#killAgent(stream)
    await pause(startMs + (streamMs * 2) / 3)
    const gateway = await this.#killGateway(stream)
    await pause(startMs + streamMs)
    const stopped = stream.stop()
    await Promise.race([stopped, pause(performance.now() + DRAIN_MS)])
    const { open } = this.#watch.tasks
    if (open.length > 0) this.#note(`no more tasks are sent, ${open.length} are still open`)
    await soon('the end of every task', stopped)
    this.#note('the stream is over and every task has ended')
    return { ...agent, ...gateway }
  }

  async #killAgent(stream: TaskStream): Promise<{ killed: string; reissueMs: number }> {
    const node = this.#random.integer(this.#ids.length)
    const id = this.#ids[node]!
    const process = this.#fleet.agents.get(id)!
    const { pid } = process
    const before = await this.#owners()
    // A shard takes an agent a millisecond or two: one that runs may have answered all of them in the
    // moment of the kill. From here on it answers none; an acknowledgement says that they are out.
    process.freeze()
    const [first] = stream.burst('stat', BURST_READS)
    await soon('an acknowledgement', first!.accepted)
    const killedMs = performance.now()
    process.kill()
    const reissue = this.#watch.next('read-reissued')
    const { atMs, notice } = await soon('the re-issue of a shard', reissue)
    const reissueMs = atMs - killedMs
    this.#down = id
    const tiles = countOwned(before, this.#ids.length)[node]!
    this.#note(`kill -9 ${pid}: ${id} is gone, and ${tiles} tiles are nobody's`)
    this.#note(
      `its first shard was on its way to ${notice.node} ${formatMs(reissueMs)} after the kill`,
    )
    this.#show(without(before, node))
    const after = await this.#owners()
    const heirs = heirsOf(before, after, node)
    const list = heirs.map(({ heir, tiles }) => `${this.#ids[heir]} ${tiles}`).join(', ')
    this.#note(`the second holders of its tiles serve them: ${list}`)
    this.#show(after)
    return { killed: id, reissueMs }
  }

  async #killGateway(
    stream: TaskStream,
  ): Promise<Pick<Findings, 'resent' | 'startedMs' | 'answerMs' | 'resultMs'>> {
    const { gateway } = this.#fleet
    const { pid } = gateway
    const [first] = stream.burst('stat', BURST_READS)
    await soon('an acknowledgement', first!.accepted)
    const unheard = stream.burst('add', BURST_WRITES)
    this.#watch.isUp = false
    const killedMs = performance.now()
    gateway.kill()
    const { open } = this.#watch.tasks
    await gateway.exited
    const unsure = open.filter((task) => task.acceptedMs === undefined)
    this.#note(`kill -9 ${pid}: the gateway is gone, with ${open.length} tasks open`)
    await this.#fleet.startGateway()
    const startedMs = performance.now() - killedMs
    this.#note(`started again as process ${gateway.pid} ${formatMs(startedMs)} after the kill`)
    await soon('an acknowledgement', Promise.race(unsure.map((task) => task.accepted)))
    this.#watch.isUp = true
    const answerMs = Math.min(...unsure.map((task) => task.acceptedMs ?? Infinity)) - killedMs
    this.#note(`the client has asked again, and is answered ${formatMs(answerMs)} after the kill`)
    const unheardCount = `${unsure.length} of them without an answer`
    this.#note(`all ${open.length} submissions were sent again, ids unchanged, ${unheardCount}`)
    await soon('a result', Promise.race(unheard.map((task) => task.ended)))
    const resultMs = Math.min(...unheard.map((task) => task.endedMs ?? Infinity)) - killedMs
    this.#note(
      `the agents are back: the first of these is done ${formatMs(resultMs)} after the kill`,
    )
    return { resent: open.length, startedMs, answerMs, resultMs }
  }

  async #read(fields: string[]): Promise<Record<string, number[]>> {
    const region = this.#rain.geometry.whole
    const request: TaskRequest = { op: 'get', region, args: { fields } }
    const { ended } = this.#watch.tasks.submit(request)
    return (await soon('the reading of the grid', ended)).value.fields
  }

  #note(text: string): void {
    const seconds = ((performance.now() - this.#startMs) / 1000).toFixed(1)
    this.#display.say(`${this.#display.ink.stress('dim', `${seconds.padStart(5)} s`)}  ${text}`)
  }
}

function soon<T>(what: string, promise: Promise<T>): Promise<T> {
  return within(what, promise, PATIENCE_MS)
}

export function formatMs(ms: number): string {
  return ms < 100
    ? `${ms.toFixed(1)} ms`
    : ms < 1000
      ? `${ms.toFixed(0)} ms`
      : `${(ms / 1000).toFixed(1)} s`
}

/** Resolves at a moment of the monotonic clock. */
function pause(untilMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, untilMs - performance.now())))
}
