/**
 * LSUs as a caller names them: by `ids`, or by `x` and `y`, each a list of whole numbers or, in CBOR,
 * packed bytes, little-endian: u32 for ids, u16 for x and y.
 */
import * as v from 'valibot'
import type { Geometry } from '../grid/geometry.ts'
import { PROBLEMS_MAX, type Problem } from '../protocol/problems.ts'
import { isNumberList, type NumberList } from './number-list.ts'

const wholeNumbers = v.optional(
  v.custom<NumberList>(isNumberList, 'a list of whole numbers, or their bytes'),
)

export const PLACES = { ids: wholeNumbers, x: wholeNumbers, y: wholeNumbers }

export interface Places {
  readonly ids?: NumberList | undefined
  readonly x?: NumberList | undefined
  readonly y?: NumberList | undefined
}

/** The ids in the order they were given, 1 to `most`. Nothing, once something is wrong: that is pushed. */
export function parsePlaces(
  { ids, x, y }: Places,
  most: number,
  geometry: Geometry,
  problems: Problem[],
): Uint32Array | undefined {
  const before = problems.length
  const { width, height, lsus } = geometry
  let found: Uint32Array | undefined
  if (ids !== undefined) {
    if (x !== undefined || y !== undefined) {
      const message = 'args.ids goes with neither x nor y'
      problems.push({ path: 'args.ids', code: 'not-allowed', message })
    }
    found = numbersOf(ids, { path: 'args.ids', bytesEach: 4, most, end: lsus }, problems)
  } else if (x === undefined && y === undefined) {
    const message = 'args.ids is missing, or x and y instead'
    problems.push({ path: 'args.ids', code: 'missing', message })
  } else if (x === undefined || y === undefined) {
    const path = x === undefined ? 'args.x' : 'args.y'
    problems.push({ path, code: 'missing', message: `${path} is missing` })
  } else {
    const columns = numbersOf(x, { path: 'args.x', bytesEach: 2, most, end: width }, problems)
    const rows = numbersOf(y, { path: 'args.y', bytesEach: 2, most, end: height }, problems)
    if (columns !== undefined && rows !== undefined && columns.length !== rows.length) {
      const message = `args.x has ${columns.length} numbers, but args.y has ${rows.length}`
      problems.push({ path: 'args.y', code: 'wrong-count', message })
    }
    found = columns?.map((column, index) => (rows?.[index] ?? 0) * width + column)
  }
  return problems.length > before ? undefined : found
}

interface Wanted {
  readonly path: string
  readonly bytesEach: 2 | 4
  readonly most: number
  /** They lie below it. */
  readonly end: number
}

function numbersOf(
  list: NumberList,
  { path, bytesEach, most, end }: Wanted,
  problems: Problem[],
): Uint32Array | undefined {
  const count = Array.isArray(list) ? list.length : list.length / bytesEach
  if (!Number.isInteger(count)) {
    const message = `${path} has ${list.length} bytes, each number takes ${bytesEach}`
    problems.push({ path, code: 'wrong-count', message })
    return undefined
  }
  if (count < 1 || count > most) {
    const message = `${path} has ${count} numbers, 1 to ${most} are taken`
    problems.push({ path, code: 'wrong-count', message })
    return undefined
  }
  const given = Array.isArray(list) ? list : unpack(list, bytesEach)
  const found = new Uint32Array(count)
  for (let index = 0; index < count && problems.length < PROBLEMS_MAX; index++) {
    const number: unknown = given[index]
    if (typeof number === 'number' && Number.isInteger(number) && number >= 0 && number < end) {
      found[index] = number
      continue
    }
    const name = `${path}[${index}]`
    const taken = `a whole number from 0 to ${end - 1}`
    problems.push(
      typeof number === 'number'
        ? { path: name, code: 'outside-grid', message: `${name} is ${number}, expected ${taken}` }
        : { path: name, code: 'wrong-type', message: `${name} must be ${taken}` },
    )
  }
  return found
}

function unpack(bytes: Uint8Array, bytesEach: 2 | 4): Uint16Array | Uint32Array {
  const { buffer } = new Uint8Array(bytes)
  return bytesEach === 2 ? new Uint16Array(buffer) : new Uint32Array(buffer)
}

/** Pushes each LSU that is named again; `order` is that of `orderOfIds`. */
export function addRepeated(
  places: Places,
  { ids, order }: { ids: Uint32Array; order: Uint32Array },
  { width }: Geometry,
  problems: Problem[],
): void {
  const named = places.ids === undefined ? 'args.x' : 'args.ids'
  for (let at = 1; at < order.length && problems.length < PROBLEMS_MAX; at++) {
    const id = ids[order[at]!]!
    if (ids[order[at - 1]!] !== id) continue
    const path = `${named}[${order[at]}]`
    const message = `${path} names LSU ${id % width},${Math.floor(id / width)} again`
    problems.push({ path, code: 'duplicate', message })
  }
}
