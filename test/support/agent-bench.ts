/** An agent on a bench: events by hand, time by hand, entries chained as a gateway chains them. */
import { Agent } from '../../firmware-agent/core/agent.ts'
import type { AgentOptions } from '../../firmware-agent/core/agent-options.ts'
import type { AgentEffect } from '../../firmware-agent/core/effects.ts'
import type { AgentEvent, StreamMark } from '../../firmware-agent/core/events.ts'
import type { StoredState } from '../../firmware-agent/core/stored-state.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import type { Answer, CoreDown, Entry, Read, Up } from '../../shared/protocol/messages.ts'
import { CHAIN_START, extendChain } from '../../shared/protocol/stream-chain.ts'

export const GRID = { width: 16, height: 8, tile: 4, fields: 'value:f64' }
const MARK_START: StreamMark = { position: 0, chain: CHAIN_START, seq: 0 }

const OPTIONS: AgentOptions = {
  node: 'a' as NodeId,
  process: 'process-a',
  weight: 2,
  operations: ['add', 'get'],
  telemetryIntervalMs: 10_000,
  outboxBytesMax: 10_000,
  birth: { version: '1' },
  backoff: { baseMs: 1000, capMs: 60_000 },
  answerTimeoutMs: 5000,
}

export const HEARTBEAT_MS = 2000
export const SESSION = 42

type OfType<T extends AgentEffect['type']> = Extract<AgentEffect, { type: T }>
type Sent<T extends Up['t']> = Extract<Up, { t: T }>

export class AgentBench {
  readonly agent: Agent
  nowMs = 0
  /** Of the last step or wait. */
  effects: AgentEffect[] = []

  constructor(stored: Partial<StoredState> = {}, options: Partial<AgentOptions> = {}) {
    const fresh = {
      storeId: 'store-a',
      boot: 1,
      ledgerId: null,
      grid: null,
      mark: MARK_START,
      results: [],
      answers: [],
      broken: [],
      rules: 0,
      changes: [],
      timeFloorMs: 0,
    }
    this.agent = new Agent({ ...OPTIONS, ...options }, { ...fresh, ...stored }, new Random(1))
  }

  step(event: AgentEvent): AgentEffect[] {
    this.effects = this.agent.step({ monotonicMs: this.nowMs, wallMs: 1e12 + this.nowMs }, event)
    return this.effects
  }

  /** Lets time pass; every deadline on the way is met. */
  wait(ms: number): AgentEffect[] {
    const untilMs = this.nowMs + ms
    const effects: AgentEffect[] = []
    for (;;) {
      const nextMs = this.agent.nextDeadlineMs()
      if (nextMs === undefined || nextMs > untilMs) break
      this.nowMs = Math.max(this.nowMs, nextMs)
      effects.push(...this.step({ type: 'deadline-reached' }))
    }
    this.nowMs = untilMs
    this.effects = effects
    return effects
  }

  receive(message: CoreDown): AgentEffect[] {
    return this.step({ type: 'message-received', message })
  }

  connect(): AgentEffect[] {
    this.step({ type: 'deadline-reached' })
    return this.step({ type: 'connected' })
  }

  /** Connected and let in. */
  admit({ session = SESSION, confirmed = 0 } = {}): AgentEffect[] {
    this.connect()
    return this.receive({
      t: 'welcome',
      version: 1,
      session,
      ledgerId: 'ledger',
      grid: GRID,
      heartbeatMs: HEARTBEAT_MS,
      confirmed,
    })
  }

  entries(entries: Entry[], { session = SESSION, confirmed = 0 } = {}): AgentEffect[] {
    return this.receive({ t: 'entries', session, confirmed, entries })
  }

  /** The runner has these on disk. */
  applied(entries: readonly Entry[]): AgentEffect[] {
    const { position, chain, seq } = entries.at(-1)!
    const results = entries.map((entry) => ({ position: entry.position, lsus: 1 }))
    return this.step({ type: 'entries-applied', mark: { position, chain, seq }, results })
  }

  finish(read: Read, over: Partial<Answer> = {}): AgentEffect[] {
    const { task, part, attempt } = read
    const answer = {
      t: 'answer',
      task,
      part,
      attempt,
      position: 0,
      seq: 0,
      ms: 1,
      value: {},
      ...over,
    } as const
    return this.step({ type: 'read-finished', answer })
  }

  disconnect(): AgentEffect[] {
    return this.step({ type: 'disconnected', reason: 'cut' })
  }

  of<T extends AgentEffect['type']>(type: T): OfType<T>[] {
    return this.effects.filter((effect): effect is OfType<T> => effect.type === type)
  }

  sent<T extends Up['t']>(t: T): Sent<T>[] {
    return this.of('send').flatMap(({ message }) => (message.t === t ? [message as Sent<T>] : []))
  }
}

/** `count` entries after a mark. */
export function chainOf(count: number, from: StreamMark = MARK_START): Entry[] {
  const entries: Entry[] = []
  let last: StreamMark = from
  for (let at = 1; at <= count; at++) {
    const link = {
      position: last.position + 1,
      seq: last.seq + 3,
      body: new Uint8Array(8).fill(at),
      tiles: new Uint8Array(4),
    }
    const chain = extendChain(last.chain, link)
    entries.push({ ...link, chain, op: 'add', region: [0, 0, 4, 4], args: {} })
    last = { ...link, chain }
  }
  return entries
}

export function readOf(task: string, over: Partial<Read> = {}): Read {
  return {
    t: 'read',
    session: SESSION,
    task,
    part: '0-1',
    attempt: 1,
    leaseMs: 15_000,
    after: 0,
    op: 'get',
    args: {},
    ...over,
  }
}
