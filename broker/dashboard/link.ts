/**
 * The stream of what happens, opened again when it breaks. A page that nobody looks at closes it: a browser has six
 * connections to a host, and forgotten pages would take them all.
 */
import { signal } from '@preact/signals'
import { follow, type StreamItem } from '../../shared/client/events.ts'
import { pause, Waits } from '../../shared/client/waits.ts'
import { gateway, learnWho, may } from './session.ts'

export type LinkState = 'connecting' | 'live' | 'lost' | 'paused'

export const link = signal<LinkState>('connecting')
/** Unix ms of this machine: since when the gateway has not answered. */
export const lostTs = signal(0)
/** What is to be added to the clock of this machine for that of the gateway. */
export const clockOffsetMs = signal(0)

export interface LinkEvents {
  /**
   * Reads anew what is shown. `isWhole`: what is kept and was missed follows; else all that is kept, of which what
   * happened before `ts` (Unix ms, the gateway's) is in what is read now.
   */
  opened(isWhole: boolean, ts: number): Promise<void>
  message(value: Readonly<Record<string, unknown>>): void
  /** Some of what happened will not come. */
  missed(): void
}

const HIDDEN_MS = 60_000
const READER_KINDS = 'task-state,event,cells,nodes,moves,upgrade'

export class Link {
  readonly #events: LinkEvents
  #stop = new AbortController()
  #hiding: ReturnType<typeof setTimeout> | undefined

  constructor(events: LinkEvents) {
    this.#events = events
  }

  start(): void {
    document.addEventListener('visibilitychange', () => this.#looked())
    addEventListener('online', () => this.#begin())
    this.#begin()
  }

  #begin(): void {
    this.#stop.abort()
    this.#stop = new AbortController()
    void this.#run(this.#stop.signal)
  }

  async #run(signal: AbortSignal): Promise<void> {
    const waits = new Waits()
    while (!signal.aborted) {
      try {
        await learnWho()
        const kinds = may('read') ? READER_KINDS : 'task-state'
        const path = `/api/events?kinds=${kinds}&after=all`
        for await (const item of follow(gateway, { path, signal })) {
          await this.#take(item)
          if (item.kind === 'open') waits.reset()
        }
      } catch (error) {
        // Refused, or what is shown could not be read: who asks may be nobody any more.
        if (signal.aborted) return
        lost()
        await pause(waits.next(error), signal).catch(() => {})
      }
    }
  }

  async #take(item: StreamItem): Promise<void> {
    switch (item.kind) {
      case 'open':
        clockOffsetMs.value = item.ts - Date.now()
        await this.#events.opened(item.isWhole, item.ts)
        link.value = 'live'
        return
      case 'message':
        return this.#events.message(item.value as Readonly<Record<string, unknown>>)
      case 'missed':
        return this.#events.missed()
      case 'away':
        lost()
    }
  }

  #looked(): void {
    clearTimeout(this.#hiding)
    if (!document.hidden) {
      if (link.peek() === 'paused') {
        link.value = 'connecting'
        this.#begin()
      }
      return
    }
    this.#hiding = setTimeout(() => {
      this.#stop.abort()
      link.value = 'paused'
    }, HIDDEN_MS)
  }
}

function lost(): void {
  if (link.peek() !== 'lost') lostTs.value = Date.now()
  link.value = 'lost'
}
