/**
 * What the gateway tells those who watch it over HTTP: tasks and events as they happen, each with a number, and how
 * nodes and moves are now. The last ones that happened are kept, so that who was away a moment hears what he missed
 * (WHATWG HTML, 9.2.6, `Last-Event-ID`). An id is `<start>-<n>`: `start` names one start of the gateway, `n` grows.
 *
 * Invariant: what is kept are the newest ones, without a gap, in at most `keptMax` texts and `keptBytesMax` of them.
 */

/** In the order in which they are shown. `task-state`, `event` and `cells` (readings were written) are kept; the others say what is, and are made anew. */
const LIVE_KINDS = ['task-state', 'event', 'cells', 'nodes', 'moves', 'upgrade'] as const
export type LiveKind = (typeof LIVE_KINDS)[number]

export interface LiveEvent {
  readonly kind: LiveKind
  /** JSON, on one line. */
  readonly text: string
  /** Of one that is kept. */
  readonly id?: string
  /** Whose it is, as `ownerNameOf` says, where it is a task's. */
  readonly owner?: string
}

/** Why nobody knows what was missed: it is another start of the gateway, or too long ago. */
export type Missed = 'restarted' | 'too-old'

type Listener = (event: LiveEvent) => void

export interface LiveEventsOptions {
  /** An id (ids.ts) that no other start of the gateway has. */
  readonly start: string
  readonly keptMax: number
  /** Characters of texts, about. */
  readonly keptBytesMax: number
}

export class LiveEvents {
  readonly #options: LiveEventsOptions
  readonly #kept: LiveEvent[] = []
  readonly #listeners = new Map<Listener, ReadonlySet<LiveKind>>()
  #keptBytes = 0
  #last = 0

  constructor(options: LiveEventsOptions) {
    this.#options = options
  }

  /** That of the newest one that is kept, or was. */
  get lastId(): string {
    return `${this.#options.start}-${this.#last}`
  }

  /** One after which everything that is kept has come. */
  get firstId(): string {
    return `${this.#options.start}-${this.#last - this.#kept.length}`
  }

  /** What has happened, which is kept. `json` is an object of some members on one line, without `type`. */
  happened(kind: 'task-state' | 'event' | 'cells', json: string, owner?: string): void {
    this.#last += 1
    const whose = owner === undefined ? {} : { owner }
    const event = { kind, text: withType(kind, json), id: this.lastId, ...whose }
    this.#kept.push(event)
    this.#keptBytes += event.text.length
    const { keptMax, keptBytesMax } = this.#options
    while (this.#kept.length > keptMax || this.#keptBytes > keptBytesMax) {
      this.#keptBytes -= this.#kept.shift()!.text.length
    }
    this.#tell(event)
  }

  /** How something is now. */
  is(kind: 'nodes' | 'moves' | 'upgrade', json: string): void {
    this.#tell({ kind, text: withType(kind, json) })
  }

  /** What was kept after this one, or why that is not known. */
  after(id: string): readonly LiveEvent[] | Missed {
    const cut = id.lastIndexOf('-')
    const [start, digits] = [id.slice(0, cut), id.slice(cut + 1)]
    const n = /^\d{1,15}$/.test(digits) ? Number(digits) : Number.NaN
    // One that is still to come is of a clock or of a gateway that is not this one.
    if (start !== this.#options.start || !(n <= this.#last)) return 'restarted'
    const missed = this.#last - n
    return missed > this.#kept.length ? 'too-old' : this.#kept.slice(this.#kept.length - missed)
  }

  /** Whether anybody is told of this kind. */
  isFollowed(kind: LiveKind): boolean {
    return [...this.#listeners.values()].some((kinds) => kinds.has(kind))
  }

  /** Returns what ends it. */
  follow(kinds: ReadonlySet<LiveKind>, listener: Listener): () => void {
    this.#listeners.set(listener, kinds)
    return () => this.#listeners.delete(listener)
  }

  #tell(event: LiveEvent): void {
    for (const [listener, kinds] of this.#listeners) if (kinds.has(event.kind)) listener(event)
  }
}

function withType(kind: LiveKind, json: string): string {
  return `{"type":"${kind}",${json.slice(1)}`
}
