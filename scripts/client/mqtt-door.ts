/**
 * Tasks over MQTT. A connection that breaks is replaced by another, over which every task that has no end is sent again:
 * the same id is the same task. A task's own topics are listened to once its submission was acknowledged, so that a result
 * which is retained there is that of this task, and not of another that has its id and conflicts with it.
 */
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
import { type Listener, MqttLink } from './mqtt-link.ts'
import { jsonIn, refusalIn, resultIn } from './payloads.ts'

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

export class MqttDoor implements Door {
  readonly #base: string
  readonly #link: MqttLink
  // What begins with `obelisk-` is for boards, where the gateway is secured.
  readonly #clientId = `client-${crypto.randomUUID().slice(0, 18)}`
  readonly #tasks = new Map<string, OpenTask>()
  readonly #runs = new Map<string, Promise<TaskResult>>()

  /** Resolves once it is connected; fails with `unreachable`, `login-refused` or `gateway-not-pinned`. */
  static async open(
    url: string,
    login: object,
    { base = TOPIC_BASE_DEFAULT }: { readonly base?: string | undefined } = {},
  ): Promise<MqttDoor> {
    const door = new MqttDoor(url, login, base)
    await door.#link.connect({
      filters: [door.#topic('task/rejected')],
      hear: (topic, payload) => door.#hear(topic, payload),
      onMissed: () => {
        for (const task of door.#tasks.values()) door.#send(task)
      },
      onAway: (error) => {
        for (const task of door.#tasks.values()) {
          if (error.isAway) door.#tell(task, () => task.options.onAway?.(error))
          else door.#fail(task, error)
        }
      },
    })
    return door
  }

  private constructor(url: string, login: object, base: string) {
    this.#base = base
    this.#link = new MqttLink(url, { ...login, clientId: this.#clientId })
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
        if (type === undefined || retain || payload.length === 0) return
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
      await this.#link.listen(listener)
      while (!signal.aborted) {
        const item = heard.shift()
        if (item?.kind === 'foreign') throw item.error
        if (item !== undefined) yield item
        else await new Promise<void>((resolve) => (wake = resolve))
      }
    } finally {
      signal.removeEventListener('abort', stop)
      this.#link.leave(listener)
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
          if (heard !== topic || payload.length === 0) return
          resolve(readRing(payload, topic))
        }
        listener = { filters: [topic], hear }
        this.#link.listen(listener).catch(reject)
      })
    } finally {
      clearTimeout(timer)
      this.#link.leave(listener!)
    }
  }

  async close(): Promise<void> {
    const gone = new ObeliskError({ code: 'unreachable', detail: 'the client was closed' })
    for (const { id, reject } of this.#tasks.values()) {
      this.#tasks.delete(id)
      reject(gone)
    }
    await this.#link.close()
  }

  #send(open: OpenTask): void {
    const { id, payload, refusals } = open
    const { client } = this.#link
    const topic = this.#topic('task/submit')
    client?.publish(topic, payload, { qos: 1 }, (error) => {
      if (error || this.#tasks.get(id) !== open) return
      this.#link.subscribe(client, [this.#topic(`task/${id}/+`)]).then(
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
    this.#link.client?.publish(this.#topic(`task/${id}/cancel`), '', { qos: 1 })
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
    this.#link.client?.unsubscribe(this.#topic(`task/${id}/+`))
    return this.#tasks.delete(id)
  }

  #hear(text: string, payload: Buffer): void {
    // Of a task whose time is over: what was retained of it is taken away.
    if (payload.length === 0) return
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
    if (open === undefined || client !== this.#clientId) return
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
    pause(open.waits.next(error), this.#link.signal).then(again, () => {})
  }

  #topic(below: string): string {
    return `${this.#base}/${below}`
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
