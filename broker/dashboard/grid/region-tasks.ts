/** Tasks over a region that the map gives. */
import type { Region } from '../../../shared/grid/geometry.ts'
import { Problem, Unreachable } from '../http.ts'
import type { Histogram } from '../parts/histogram.ts'
import { answerTo } from '../session.ts'

export interface Statistics {
  readonly count: number
  readonly sum: number
  readonly min: number
  readonly max: number
  readonly mean: number
  readonly variance: number
  readonly histogram: Histogram
}

const BINS = 32
const WAIT_SECONDS = 30
/** A gateway that starts again is there after some seconds. */
const TRIES = 6
const TRY_MS = 2_000

export function stat(field: string, region: Region): Promise<Statistics> {
  return run<Statistics>({ op: 'stat', region, args: { field, bins: BINS } })
}

export async function set(field: string, region: Region, value: number): Promise<void> {
  await run({ op: 'set', region, args: { field, value } })
}

interface Order {
  readonly op: string
  readonly region: Region
  readonly args: Readonly<Record<string, unknown>>
}

interface Outcome<T> {
  readonly state: string
  readonly value?: T
  readonly error?: { readonly message: string }
}

/** The value. It is done once, however often it has to be sent. Throws what is to be shown. */
async function run<T>(order: Order): Promise<T> {
  const id = `page-${crypto.getRandomValues(new Uint32Array(3)).join('-')}`
  const path = `process?wait=${WAIT_SECONDS}s`
  for (;;) {
    const answer = await patiently(() => answerTo(path, { method: 'POST', body: { id, ...order } }))
    if (answer.status !== 200) continue
    const { state, value, error } = (await answer.json()) as Outcome<T>
    if (state === 'completed') return value as T
    throw new Error(error?.message ?? `the task is ${state}`)
  }
}

/** Again when nobody answers, or has no room now. */
async function patiently(ask: () => Promise<Response>): Promise<Response> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask()
    } catch (error) {
      const isBusy = error instanceof Problem && (error.status === 429 || error.status === 503)
      if (tries >= TRIES || !(isBusy || error instanceof Unreachable)) throw error
      await new Promise((resolve) => setTimeout(resolve, TRY_MS))
    }
  }
}
