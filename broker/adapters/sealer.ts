/**
 * Seals values in threads of their own: without Node's own ML-KEM and ML-DSA one takes some 15 ms, and a large value
 * more. So few at a time, each thread begun when it is needed and ended when it has rested for a while; who comes then
 * waits, and how many may wait is for the core to say (broker/core/state/sealing.ts).
 */
import { Worker } from 'node:worker_threads'
import type { Sealed } from '../../shared/protocol/sealed.ts'
import { AppError, messageOf } from '../../shared/runtime/errors.ts'
import type { SealOrder } from '../../shared/runtime/sealing.ts'
import { sealProgram } from './seal-program.ts'
import type { Answer, Order } from './seal-worker.ts'

export interface SealerOptions {
  readonly atATime?: number
  /** A thread with nothing to do ends after this. */
  readonly restMs?: number
  /** Throws where there is no memory for a thread. */
  readonly newWorker?: () => Worker
}

/** The largest result is some 19 MB: `get` of all fields that a grid can have. */
const BYTES_AT_A_TIME = 24 * 1024 * 1024

interface Job {
  readonly order: Order
  resolve(value: Extract<Answer, { ok: true }>['value']): void
  reject(error: AppError): void
}

interface Thread {
  readonly worker: Worker
  job: Job | undefined
  rest: NodeJS.Timeout | undefined
}

export class Sealer {
  readonly #atATime: number
  readonly #restMs: number
  readonly #newWorker: () => Worker
  readonly #threads = new Set<Thread>()
  #waiting: Job[] = []
  #isClosed = false

  constructor({
    atATime = 2,
    restMs = 60_000,
    newWorker = () => new Worker(sealProgram()),
  }: SealerOptions = {}) {
    this.#atATime = atATime
    this.#restMs = restMs
    this.#newWorker = newWorker
  }

  /** Threads that are there. */
  get size(): number {
    return this.#threads.size
  }

  /** Rejects if it becomes `unwanted` before a thread has it. */
  async seal(order: SealOrder, unwanted?: AbortSignal): Promise<Sealed> {
    return (await this.#ask({ what: 'seal', order }, unwanted)) as Sealed
  }

  /** Rejects if nothing can be sealed to this key. */
  async try(publicKey: Uint8Array): Promise<void> {
    await this.#ask({ what: 'try', publicKey })
  }

  /** The public key of a seed of ML-DSA-65. */
  async publicKeyOf(seed: Uint8Array): Promise<Uint8Array> {
    return (await this.#ask({ what: 'signer', seed })) as Uint8Array
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const job of this.#waiting.splice(0)) job.reject(failed('the gateway stops'))
    await Promise.all([...this.#threads].map(({ worker }) => worker.terminate()))
  }

  #ask(order: Order, unwanted?: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) {
        reject(failed('the gateway stops'))
        return
      }
      const job = { order, resolve, reject }
      this.#waiting.push(job)
      unwanted?.addEventListener('abort', () => this.#drop(job))
      this.#next()
    })
  }

  #drop(job: Job): void {
    const place = this.#waiting.indexOf(job)
    if (place === -1) return
    this.#waiting.splice(place, 1)
    job.reject(failed('nobody wants it any more'))
    // For the one behind it there may be room.
    this.#next()
  }

  #next(): void {
    for (let [job] = this.#waiting; job !== undefined; [job] = this.#waiting) {
      let thread: Thread | undefined
      try {
        thread = this.#threadFor(job)
      } catch (error) {
        // Another thread takes it when it is done; without one nobody would.
        if (this.#threads.size > 0) return
        this.#waiting.shift()
        job.reject(failed(`no thread begins: ${messageOf(error)}`))
        continue
      }
      if (thread === undefined) return
      this.#waiting.shift()
      thread.job = job
      clearTimeout(thread.rest)
      thread.worker.ref()
      post(thread.worker, job.order)
    }
  }

  #threadFor({ order }: Job): Thread | undefined {
    const underWay = this.#bytesUnderWay()
    // Each is there several times while it is sealed.
    if (underWay > 0 && underWay + bytesOf(order) > BYTES_AT_A_TIME) return undefined
    const resting = [...this.#threads].find(({ job }) => job === undefined)
    return resting ?? (this.#threads.size < this.#atATime ? this.#begin() : undefined)
  }

  #bytesUnderWay(): number {
    let bytes = 0
    for (const { job } of this.#threads) bytes += job === undefined ? 0 : bytesOf(job.order)
    return bytes
  }

  #begin(): Thread {
    const thread: Thread = { worker: this.#newWorker(), job: undefined, rest: undefined }
    this.#threads.add(thread)
    const { worker } = thread
    worker.on('message', (answer: Answer) => {
      const { job } = thread
      this.#rest(thread)
      if (answer.ok) job?.resolve(answer.value)
      else job?.reject(failed(answer.message))
      this.#next()
    })
    const gone = (error: unknown): void => {
      clearTimeout(thread.rest)
      this.#threads.delete(thread)
      const { job } = thread
      thread.job = undefined
      job?.reject(failed(`a thread ended: ${messageOf(error)}`))
      this.#next()
    }
    worker.once('error', gone)
    worker.once('exit', (code) => gone(`exit code ${code}`))
    return thread
  }

  /** It keeps nobody from ending. */
  #rest(thread: Thread): void {
    thread.job = undefined
    thread.worker.unref()
    thread.rest = setTimeout(() => {
      // Nobody gives it anything more, even before it has ended.
      this.#threads.delete(thread)
      void thread.worker.terminate()
    }, this.#restMs)
    thread.rest.unref()
  }
}

function bytesOf(order: Order): number {
  return order.what === 'seal' ? order.order.value.length : 0
}

function post(worker: Worker, order: Order): void {
  if (order.what !== 'seal') {
    worker.postMessage(order)
    return
  }
  // A copy of its own goes over as it is; of a part of something larger, all of that would be copied.
  const value = new Uint8Array(order.order.value)
  worker.postMessage({ ...order, order: { ...order.order, value } }, [value.buffer])
}

function failed(why: string): AppError {
  return new AppError('seal-failed', `it could not be sealed: ${why}`)
}
