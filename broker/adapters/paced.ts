/**
 * What is dear to make, and asked for by anybody: it is made at most once in an interval. Who asks sooner
 * waits for the next one, which all who asked for the same share; so nobody gets one from before he asked.
 * What nobody waits for any more is not made.
 */
import type { FastifyReply } from 'fastify'
import type { HttpConnections } from './http-connections.ts'

interface Waiting {
  readonly make: () => unknown
  readonly made: Promise<unknown>
  readonly resolve: (made: unknown) => void
  askers: number
}

export class Paced {
  readonly #intervalMs: number
  readonly #connections: HttpConnections
  readonly #waiting = new Map<string, Waiting>()
  #isResting = false

  constructor(intervalMs: number, connections: HttpConnections) {
    this.#intervalMs = intervalMs
    this.#connections = connections
  }

  /** Never settles for one who leaves. `make` may throw, or be asynchronous. */
  get<T>({ raw }: FastifyReply, key: string, make: () => T | Promise<T>): Promise<T> {
    const waiting = this.#waiting.get(key) ?? newWaiting(make)
    waiting.askers += 1
    this.#waiting.set(key, waiting)
    this.#connections.mayClose(raw.req.socket)
    raw.once('close', () => {
      waiting.askers -= 1
      if (waiting.askers === 0 && this.#waiting.get(key) === waiting) this.#waiting.delete(key)
    })
    if (!this.#isResting) this.#makeNext()
    return waiting.made as Promise<T>
  }

  #makeNext(): void {
    const [next] = this.#waiting
    this.#isResting = next !== undefined
    if (next === undefined) return
    const [key, { make, resolve }] = next
    this.#waiting.delete(key)
    setTimeout(() => this.#makeNext(), this.#intervalMs).unref()
    resolve(new Promise((done) => done(make())))
  }
}

function newWaiting(make: () => unknown): Waiting {
  let resolve: (made: unknown) => void = () => {}
  const made = new Promise<unknown>((settle) => {
    resolve = settle
  })
  return { make, made, resolve, askers: 0 }
}
