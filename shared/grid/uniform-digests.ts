/**
 * The digest of a page whose columns hold one value each, without the page: that of all its bytes, as if they
 * were there (tile-page.ts). A write over thousands of such tiles makes thousands of equal pages, so each distinct
 * one of the last is made once.
 */
import { STRIPE_BYTES, Xxh32Pair, xxh32Pair } from '../core/hash.ts'
import { columnOver } from './fields.ts'
import type { PageLayout } from './page-layout.ts'

export type Hashes = readonly [low: number, high: number]

interface Known {
  readonly at: number
  readonly values: readonly number[]
  readonly hashes: Hashes
}

/** Whole stripes, and whole numbers of each type. */
const ROOM_BYTES = 4096
const KNOWN_MAX = 64
const LOW_SEED = 0
const HIGH_SEED = 0x9e3779b1

const room = new Uint8Array(ROOM_BYTES)
const number = new Float64Array(1)
const numberBytes = new Uint8Array(number.buffer)
const knownOf = new WeakMap<PageLayout, UniformDigests>()

/** Of a page of `layout` at `at`; `values` by the index of their column. */
export function uniformHashes(layout: PageLayout, at: number, values: readonly number[]): Hashes {
  let known = knownOf.get(layout)
  if (known === undefined) {
    known = new UniformDigests(layout)
    knownOf.set(layout, known)
  }
  return known.of(at, values)
}

/** What the digest of every page begins with. */
export function hashesOfAt(at: number): [low: number, high: number] {
  number[0] = at
  return xxh32Pair(numberBytes, LOW_SEED, HIGH_SEED)
}

class UniformDigests {
  readonly #layout: PageLayout
  readonly #known = new Map<string, Known>()
  #last: Known | undefined

  constructor(layout: PageLayout) {
    this.#layout = layout
  }

  of(at: number, values: readonly number[]): Hashes {
    if (this.#last !== undefined && isSame(this.#last, at, values)) return this.#last.hashes
    const key = keyOf(at, values)
    let found = this.#known.get(key)
    if (found === undefined) {
      if (this.#known.size === KNOWN_MAX) this.#known.clear()
      found = { at, values: values.slice(), hashes: hashesOf(this.#layout, at, values) }
      this.#known.set(key, found)
    }
    this.#last = found
    return found.hashes
  }
}

function isSame(known: Known, at: number, values: readonly number[]): boolean {
  if (!Object.is(known.at, at)) return false
  for (let index = 0; index < values.length; index++) {
    if (!Object.is(values[index], known.values[index])) return false
  }
  return true
}

/** Zeros have a sign in a page, and none as text. */
function keyOf(at: number, values: readonly number[]): string {
  let key = textOf(at)
  for (const value of values) key += `/${textOf(value)}`
  return key
}

function textOf(value: number): string {
  return Object.is(value, -0) ? '-0' : `${value}`
}

function hashesOf({ lsus, columns }: PageLayout, at: number, values: readonly number[]): Hashes {
  const hash = new Xxh32Pair(...hashesOfAt(at))
  let used = 0
  for (const { index, type, size } of columns) {
    for (let left = lsus; left > 0; ) {
      const count = Math.min(left, (ROOM_BYTES - used) / size)
      columnOver(type, room.buffer, used, count).fill(values[index]!)
      used += count * size
      left -= count
      if (used === ROOM_BYTES) {
        hash.add(room)
        used = 0
      }
    }
  }
  const whole = used - (used % STRIPE_BYTES)
  hash.add(room.subarray(0, whole))
  return hash.end(room.subarray(whole, used))
}
