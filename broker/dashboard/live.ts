/**
 * What the gateway tells of by itself, kept as signals. One stream of events, opened again when it breaks; some
 * requests beside it. A page that nobody looks at closes its stream: a browser has six connections to a host, and
 * forgotten pages would take them all.
 */
import { batch, signal } from '@preact/signals'
import { Backoff } from '../../shared/core/backoff.ts'
import type { MemberState } from '../../shared/protocol/states.ts'
import { BrowserRandom } from './browser-random.ts'
import { ask, isReader, learnWho } from './session.ts'

export interface Node {
  readonly id: string
  readonly state: MemberState
  readonly connected: boolean
  readonly draining?: true
  readonly quarantined?: boolean
  readonly stopped?: { readonly code: string; readonly message: string }
  readonly tiles: number
  readonly tiles_written: number
  readonly stream?: { readonly head: number; readonly acked: number }
  readonly telemetry?: Readonly<Record<string, number | null>>
}

export interface Doubt {
  readonly reason: string
  readonly since_ts: number
}

export type Link = 'connecting' | 'live' | 'lost' | 'paused'

export const link = signal<Link>('connecting')
/** Unix ms of the last word of the gateway. */
export const heardTs = signal(0)
export const nodes = signal<readonly Node[]>([])
export const doubts = signal<readonly Doubt[]>([])
/** Whether what is shown is what the gateway has, and not the nothing of the beginning. */
export const isLoaded = signal(false)

const POLL_MS = 5000
const HIDDEN_MS = 60_000
const backoff = new Backoff({ baseMs: 500, capMs: 15_000 }, new BrowserRandom())

let stream: EventSource | undefined
let again: ReturnType<typeof setTimeout> | undefined
let hiding: ReturnType<typeof setTimeout> | undefined

async function connect(): Promise<void> {
  try {
    await learnWho()
    if (!isReader.peek()) {
      link.value = 'live'
      heardTs.value = Date.now()
      return
    }
    await load()
  } catch {
    lose()
    return
  }
  stream = new EventSource('api/events')
  stream.onopen = () => {
    backoff.reset()
    link.value = 'live'
    heardTs.value = Date.now()
  }
  stream.onmessage = () => {
    heardTs.value = Date.now()
  }
  stream.onerror = lose
}

function lose(): void {
  stream?.close()
  stream = undefined
  link.value = 'lost'
  clearTimeout(again)
  again = setTimeout(connect, backoff.nextMs())
}

async function load(): Promise<void> {
  const [list, detector] = await Promise.all([
    ask<readonly Node[]>('api/nodes'),
    ask<{ doubts: readonly Doubt[] }>('api/detector'),
  ])
  batch(() => {
    nodes.value = list
    doubts.value = detector.doubts
    heardTs.value = Date.now()
    isLoaded.value = true
  })
}

function hide(): void {
  clearTimeout(hiding)
  if (document.hidden) {
    hiding = setTimeout(() => {
      stream?.close()
      stream = undefined
      clearTimeout(again)
      link.value = 'paused'
    }, HIDDEN_MS)
  } else if (link.peek() === 'paused') {
    link.value = 'connecting'
    void connect()
  }
}

export function start(): void {
  document.addEventListener('visibilitychange', hide)
  setInterval(() => {
    if (link.peek() === 'live' && isReader.peek() && !document.hidden) load().catch(lose)
  }, POLL_MS)
  void connect()
}
