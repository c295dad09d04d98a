/**
 * Tasks over MQTT. A connection that breaks is replaced by another, over which every task that has no end is sent again:
 * the same id is the same task. A task's own topics are listened to once its submission was acknowledged, so that a result
 * which is retained there is that of this task, and not of another that has its id and conflicts with it.
 */
import { connect, type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt'
import { writeCbor } from '../../shared/client/cbor-writer.ts'
import type { Message } from '../../shared/client/events.ts'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import type {
  Door,
  Progress,
  RingFacts,
  RunOptions,
  Task,
  TaskResult,
  WatchOptions,
} from '../../shared/client/task.ts'
import { pause, Waits } from '../../shared/client/waits.ts'
import { parseTopic, TOPIC_BASE_DEFAULT } from '../../shared/protocol/topics.ts'
import { closedBy, isRefusedFilter, mqttFault } from './mqtt-faults.ts'
import { jsonIn, refusalIn, resultIn } from './payloads.ts'

const CONNECT_TIMEOUT_MS = 10_000
/** A gateway whose machine is gone says nothing. */
const KEEPALIVE_SECONDS = 20
const RING_TIMEOUT_MS = 10_000
/** Of a listener that takes none; beyond, the oldest are left out. */
const HEARD_MAX = 10_000
/** What can be watched, by its topic below the base. */
const TOPICS: ReadonlyMap<string, string> = new Map([
  ['task-state', 'task/+/state'],
  ['event', 'gateway/event'],
])

interface OpenTask {
  readonly id: string
  readonly payload: Buffer
  readonly options: RunOptions
  readonly waits: Waits
  readonly resolve: (result: TaskResult) => void
  readonly reject: (error: unknown) => void
  isAccepted: boolean
  refusals: number
}

type Heard = Message | { readonly kind: 'missed' } | { readonly kind: 'foreign'; error: unknown }

interface Listener {
  readonly filters: readonly string[]
  readonly hear: (topic: string, payload: Buffer, packet: IPublishPacket) => void
  /** Another connection: what came meanwhile is lost. */
  readonly onMissed: () => void
}

export class MqttDoor implements Door {
  readonly #url: string
  readonly #base: string
  readonly #options: IClientOptions
  readonly #tasks = new Map<string, OpenTask>()
  readonly #runs = new Map<string, Promise<TaskResult>>()
  readonly #listeners = new Set<Listener>()
  readonly #end = new AbortController()
  #link: MqttClient | undefined

  /** Resolves once it is connected; fails with `unreachable`, `login-refused` or `gateway-not-pinned`. */
  static async open(
    url: string,
    login: object,
    { base = TOPIC_BASE_DEFAULT }: { readonly base?: string | undefined } = {},
  ): Promise<MqttDoor> {
    const door = new MqttDoor(url, login, base)
    await door.#connect()
    return door
  }

  private constructor(url: string, login: object, base: string) {
    this.#url = url
    this.#base = base
    this.#options = {
      ...login,
      // What begins with `obelisk-` is for boards, where the gateway is secured.
      clientId: `client-${crypto.randomUUID().slice(0, 18)}`,
      connectTimeout: CONNECT_TIMEOUT_MS,
      keepalive: KEEPALIVE_SECONDS,
      reconnectPeriod: 0,
      writeCache: false,
    }
  }

  async run(task: Task & { readonly id: string }, options: RunOptions): Promise<TaskResult> {
    const { id } = task
    const { signal } = options
    // The same id is the same task: whoever comes later is told how it ended.
    for (let first = this.#runs.get(id); first !== undefined; first = this.#runs.get(id)) {
      await first.catch(() => {})
    }
    signal?.throwIfAborted()
    let stop = (): void => {}
    const run = new Promise<TaskResult>((resolve, reject) => {
      const payload = Buffer.from(writeCbor(task))
      const waits = new Waits()
      const known = { isAccepted: false, refusals: 0 }
      const open = { id, payload, options, waits, resolve, reject, ...known }
      this.#tasks.set(id, open)
      stop = () => this.#cancel(open)
      this.#send(open)
    })
    this.#runs.set(id, run)
    signal?.addEventListener('abort', stop)
    try {
      return await run
    } finally {
      this.#runs.delete(id)
      // A signal may outlive many tasks, and would hold the bodies of all.
      signal?.removeEventListener('abort', stop)
    }
  }

  async *watch({
    kinds = [...TOPICS.keys()],
    signal,
  }: WatchOptions): AsyncGenerator<Message | { kind: 'missed' }> {
    const unknown = kinds.find((kind) => !TOPICS.has(kind))
    if (unknown !== undefined) throw new RangeError(`"${unknown}" is told over HTTP alone`)
    const heard: Heard[] = []
    let wake = (): void => {}
    const add = (item: Heard): void => {
      heard.push(item)
      if (heard.length > HEARD_MAX) heard.splice(0, 2, { kind: 'missed' })
      wake()
    }
    const listener: Listener = {
      filters: kinds.map((kind) => this.#topic(TOPICS.get(kind)!)),
      hear: (topic, payload, { retain }) => {
        const kind = parseTopic(this.#base, topic)?.kind
        const type = kind === 'gateway-event' ? 'event' : kind === 'task-state' ? kind : undefined
        // What is retained was so before anybody listened.
        if (type === undefined || retain) return
        try {
          add({ kind: 'message', id: undefined, value: { type, ...jsonIn(payload, topic) } })
        } catch (error) {
          add({ kind: 'foreign', error })
        }
      },
      onMissed: () => add({ kind: 'missed' }),
    }
    const stop = (): void => wake()
    signal.addEventListener('abort', stop)
    try {
      await this.#listen(listener)
      while (!signal.aborted) {
        const item = heard.shift()
        if (item?.kind === 'foreign') throw item.error
        if (item !== undefined) yield item
        else await new Promise<void>((resolve) => (wake = resolve))
      }
    } finally {
      signal.removeEventListener('abort', stop)
      this.#leave(listener)
    }
  }

  async ring(): Promise<RingFacts> {
    const topic = this.#topic('gateway/ring')
    let listener: Listener | undefined
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise<RingFacts>((resolve, reject) => {
        const detail = `no ring on ${topic} within ${RING_TIMEOUT_MS / 1000} s`
        const late = new ObeliskError({ code: 'timed-out', detail })
        timer = setTimeout(() => reject(late), RING_TIMEOUT_MS)
        const hear = (heard: string, payload: Buffer): void => {
          if (heard === topic) resolve(readRing(payload, topic))
        }
        listener = { filters: [topic], hear, onMissed: () => {} }
        this.#listen(listener).catch(reject)
      })
    } finally {
      clearTimeout(timer)
      this.#leave(listener!)
    }
  }

  async close(): Promise<void> {
    this.#end.abort()
    const gone = new ObeliskError({ code: 'unreachable', detail: 'the client was closed' })
    for (const { id, reject } of this.#tasks.values()) {
      this.#tasks.delete(id)
      reject(gone)
    }
    await this.#link?.endAsync(true)
  }

  async #connect(): Promise<void> {
    const link = connect(this.#url, this.#options)
    // Each subscription that is under way is one, and each task makes one.
    link.setMaxListeners(0)
    link.on('message', (topic, payload, packet) => this.#hear(topic, payload, packet))
    const filters = [...this.#listeners].flatMap(({ filters }) => filters)
    try {
      await new Promise<void>((resolve, reject) => {
        link.on('connect', () => resolve())
        link.on('error', (error) => reject(mqttFault(error, this.#url)))
        link.on('close', () => reject(closedBy(this.#url)))
      })
      await this.#subscribe(link, [this.#topic('task/rejected'), ...filters])
      // Closed meanwhile, it would stay open for nobody.
      this.#end.signal.throwIfAborted()
    } catch (error) {
      link.end(true)
      throw error
    }
    this.#link = link
    link.on('close', () => void this.#reconnect())
    // It may have closed before anybody would have heard of it.
    if (!link.connected) return void this.#reconnect()
    for (const { onMissed } of this.#listeners) onMissed()
    for (const open of this.#tasks.values()) this.#send(open)
  }

  async #reconnect(): Promise<void> {
    if (this.#link === undefined || this.#end.signal.aborted) return
    this.#link = undefined
    const waits = new Waits()
    while (!this.#end.signal.aborted) {
      try {
        return await this.#connect()
      } catch (cause) {
        const error = cause as ObeliskError
        for (const open of this.#tasks.values()) {
          if (error.isAway) this.#tell(open, () => open.options.onAway?.(error))
          else this.#fail(open, error)
        }
        await pause(waits.next(error), this.#end.signal).catch(() => {})
      }
    }
  }

  #send(open: OpenTask): void {
    const { id, payload, refusals } = open
    const link = this.#link
    const topic = this.#topic('task/submit')
    link?.publish(topic, payload, { qos: 1 }, (error) => {
      if (error || this.#tasks.get(id) !== open) return
      this.#subscribe(link, [this.#topic(`task/${id}/+`)]).then(
        () => {
          // What is refused is acknowledged, too: its refusal has come by now.
          if (this.#tasks.get(id) === open && open.refusals === refusals) {
            this.#tell(open, () => accept(open))
          }
        },
        (error: ObeliskError) => {
          if (!error.isAway) this.#fail(open, error)
        },
      )
    })
  }

  #cancel({ id, options, reject }: OpenTask): void {
    if (!this.#forget(id)) return
    this.#link?.publish(this.#topic(`task/${id}/cancel`), '', { qos: 1 })
    reject(options.signal!.reason)
  }

  /** What a callback throws is the end of its task, and of nothing else. */
  #tell(open: OpenTask, callback: () => void): boolean {
    try {
      callback()
      return true
    } catch (error) {
      this.#fail(open, error)
      return false
    }
  }

  #fail({ id, reject }: OpenTask, error: unknown): void {
    if (this.#forget(id)) reject(error)
  }

  /** False if it has ended already. */
  #forget(id: string): boolean {
    this.#link?.unsubscribe(this.#topic(`task/${id}/+`))
    return this.#tasks.delete(id)
  }

  #hear(text: string, payload: Buffer, packet: IPublishPacket): void {
    // Of a task whose time is over: what was retained of it is taken away.
    if (payload.length === 0) return
    for (const { hear } of this.#listeners) hear(text, payload, packet)
    const topic = parseTopic(this.#base, text)
    if (topic?.kind === 'task-rejected') this.#onRejected(payload)
    if (topic === undefined || !('task' in topic)) return
    const open = this.#tasks.get(topic.task)
    if (open === undefined) return
    if (topic.kind === 'task-result') this.#onResult(open, payload)
    if (topic.kind === 'task-state') {
      this.#tell(open, () => {
        const { done, total } = jsonIn<{ shards: Progress }>(payload, text, 'shards').shards
        open.options.onProgress?.({ done, total })
      })
    }
  }

  #onResult(open: OpenTask, payload: Buffer): void {
    const { id, resolve, reject } = open
    this.#forget(id)
    try {
      accept(open)
      resolve(resultIn(payload))
    } catch (error) {
      reject(error)
    }
  }

  #onRejected(payload: Buffer): void {
    const refusal = refusalIn(payload)
    if (refusal === undefined) return
    const { id, client, code, message: detail, errors } = refusal
    const open = this.#tasks.get(id)
    if (open === undefined || client !== this.#options.clientId) return
    const error = new ObeliskError({ code, detail, errors })
    if (!error.isPassing) {
      this.#fail(open, error)
      return
    }
    open.refusals += 1
    if (!this.#tell(open, () => open.options.onAway?.(error))) return
    const again = (): void => {
      if (this.#tasks.has(id)) this.#send(open)
    }
    pause(open.waits.next(error), this.#end.signal).then(again, () => {})
  }

  async #listen(listener: Listener): Promise<void> {
    this.#listeners.add(listener)
    if (this.#link !== undefined) await this.#subscribe(this.#link, listener.filters)
  }

  #leave(listener: Listener): void {
    this.#listeners.delete(listener)
    const kept = [...this.#listeners].flatMap(({ filters }) => filters)
    const left = listener.filters.filter((filter) => !kept.includes(filter))
    if (left.length > 0) this.#link?.unsubscribe(left)
  }

  #topic(below: string): string {
    return `${this.#base}/${below}`
  }

  /** Resolves with the gateway's answer; a connection that ends before it is `unreachable`. */
  async #subscribe(link: MqttClient, filters: readonly string[]): Promise<void> {
    let onClose = (): void => {}
    try {
      await new Promise<void>((resolve, reject) => {
        onClose = () => reject(closedBy(this.#url))
        link.once('close', onClose)
        link.subscribe([...filters], { qos: 1 }, (error, granted) => {
          const detail = `the gateway does not let us read ${filters.join(', ')}`
          if (isRefusedFilter(error, granted)) {
            reject(new ObeliskError({ code: 'login-refused', detail }))
          } else if (error) reject(closedBy(this.#url, error))
          else resolve()
        })
      })
    } finally {
      link.off('close', onClose)
    }
  }
}

async function readRing(payload: Buffer, topic: string): Promise<RingFacts> {
  return jsonIn<RingFacts>(payload, topic, 'grid')
}

function accept(open: OpenTask): void {
  if (open.isAccepted) return
  open.isAccepted = true
  open.options.onAccepted?.()
}
