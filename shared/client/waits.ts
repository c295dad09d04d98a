import { ObeliskError } from './obelisk-error.ts'

/** The shortest and the longest wait before a question is asked again, milliseconds. */
const AGAIN_MS = { first: 500, last: 15_000 }

/** Waits; rejects with the reason of the signal. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted()
  await new Promise<void>((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer)
      reject(signal!.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal?.addEventListener('abort', stop, { once: true })
  })
}

/**
 * Waits that double, each drawn between its half and all of it: those who lost a gateway at one moment do not come back
 * at one moment.
 */
export class Waits {
  #nextMs = AGAIN_MS.first

  /** Milliseconds; never less than what the gateway asked for. */
  next(error: unknown): number {
    const longest = this.#nextMs
    this.#nextMs = Math.min(AGAIN_MS.last, 2 * longest)
    const drawn = longest * (0.5 + Math.random() / 2)
    return Math.max(drawn, (error instanceof ObeliskError && error.retryAfterMs) || 0)
  }

  reset(): void {
    this.#nextMs = AGAIN_MS.first
  }
}

export interface Persistence {
  readonly signal?: AbortSignal | undefined
  /** Called each time that there was no answer; may throw to give up. */
  readonly onAway?: ((error: ObeliskError) => void) | undefined
}

/** Asks until there is an answer: while the gateway is away, or has no room or no node now, it waits and asks again. */
export async function untilAnswered<T>(
  ask: () => Promise<T>,
  { signal, onAway }: Persistence = {},
): Promise<T> {
  const waits = new Waits()
  while (true) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof ObeliskError && error.isPassing)) throw error
      onAway?.(error)
      await pause(waits.next(error), signal)
    }
  }
}
