/**
 * What is dear to make, and asked for by anybody. The same is made at most once in an interval, and one thing after the
 * other, with a rest between two that grows with what the first took. Who asks waits for his turn: those who ask come
 * one after the other, however many things one of them wants. All who wait for the same share what is made next; so
 * nobody gets one from before he asked. What nobody waits for any more is not made.
 */
import type { FastifyReply } from 'fastify'
import { askerNameOf } from './http-access.ts'
import type { HttpConnections } from './http-connections.ts'

interface Waiting {
  readonly make: () => unknown
  readonly made: Promise<unknown>
  readonly resolve: (made: unknown) => void
  askers: number
}

/** So that a fifth of the time goes into it at most, and into what is quickly made less. */
const REST_FACTOR = 4
const REST_MIN_MS = 10

export class Paced {
  readonly #intervalMs: number
  readonly #connections: HttpConnections
  readonly #waiting = new Map<string, Waiting>()
  /** What each asker waits for, by their names in the order of their turns. */
  readonly #turns = new Map<string, Set<string>>()
  /** When that may be made again. */
  readonly #notBefore = new Map<string, number>()
  /** Runs while it rests, or waits until something may be made again. */
  #timer: NodeJS.Timeout | undefined

  constructor(intervalMs: number, connections: HttpConnections) {
    this.#intervalMs = intervalMs
    this.#connections = connections
  }

  /** Never settles for one who leaves. `make` may throw, or be asynchronous. */
  get<T>({ raw, request }: FastifyReply, key: string, make: () => T | Promise<T>): Promise<T> {
    const waiting = this.#waiting.get(key) ?? newWaiting(make)
    waiting.askers += 1
    this.#waiting.set(key, waiting)
    const asker = askerNameOf(request)
    this.#turns.set(asker, (this.#turns.get(asker) ?? new Set()).add(key))
    this.#connections.mayClose(raw.req.socket)
    raw.once('close', () => {
      waiting.askers -= 1
      if (waiting.askers > 0 || this.#waiting.get(key) !== waiting) return
      this.#waiting.delete(key)
      this.#turns.get(asker)?.delete(key)
    })
    if (this.#timer === undefined) this.#makeNext()
    return waiting.made as Promise<T>
  }

  #makeNext(): void {
    const beganMs = performance.now()
    for (const [key, ms] of this.#notBefore) if (ms <= beganMs) this.#notBefore.delete(key)
    const next = this.#takeNext()
    this.#timer = undefined
    if (next === undefined) {
      if (this.#waiting.size > 0) this.#nextIn(Math.min(...this.#notBefore.values()) - beganMs)
      return
    }
    const [key, { make, resolve }] = next
    this.#notBefore.set(key, beganMs + this.#intervalMs)
    const made = new Promise((done) => done(make()))
    resolve(made)
    // What is long in coming does not hold up the others.
    const timer = this.#nextIn(this.#intervalMs)
    const rest = (): void => {
      if (this.#timer !== timer) return
      const tookMs = performance.now() - beganMs
      const restMs = Math.max(REST_MIN_MS, REST_FACTOR * tookMs)
      clearTimeout(timer)
      this.#nextIn(Math.min(restMs, this.#intervalMs - tookMs))
    }
    made.then(rest, rest)
  }

  #nextIn(ms: number): NodeJS.Timeout {
    this.#timer = setTimeout(() => this.#makeNext(), Math.max(0, ms)).unref()
    return this.#timer
  }

  /** The first that may be made of what the next asker waits for, who then has his next turn after all others. */
  #takeNext(): [key: string, waiting: Waiting] | undefined {
    for (const [asker, keys] of this.#turns) {
      for (const key of keys) {
        if (this.#notBefore.has(key)) continue
        keys.delete(key)
        const waiting = this.#waiting.get(key)
        // Somebody else had the same.
        if (waiting === undefined) continue
        this.#waiting.delete(key)
        this.#turns.delete(asker)
        if (keys.size > 0) this.#turns.set(asker, keys)
        return [key, waiting]
      }
      if (keys.size === 0) this.#turns.delete(asker)
    }
    return undefined
  }
}

function newWaiting(make: () => unknown): Waiting {
  let resolve: (made: unknown) => void = () => {}
  const made = new Promise<unknown>((settle) => {
    resolve = settle
  })
  return { make, made, resolve, askers: 0 }
}
