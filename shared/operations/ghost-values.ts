/** How the value of a program that returns values compares with that of its ghost. */
import { distanceOf } from './ghost.ts'

export interface ValuesDifference {
  /** Numbers, and whatever else is there in one of them alone. */
  differ: number
  max: number
  first?: { readonly what: string; readonly current: Shown; readonly ghost: Shown }
}

type Shown = string | number | null

const SHOWN_MAX = 64

export function differenceOf(
  current: unknown,
  ghost: unknown,
  tolerance: number,
): ValuesDifference {
  const found: ValuesDifference = { differ: 0, max: 0 }
  compare('', current, ghost, tolerance, found)
  return found
}

function compare(
  what: string,
  current: unknown,
  ghost: unknown,
  tolerance: number,
  found: ValuesDifference,
): void {
  if (typeof current === 'number' && typeof ghost === 'number') {
    // What is missing is NaN in a column.
    if (Object.is(current, ghost)) return
    const distance = Number.isNaN(current - ghost) ? Number.MAX_VALUE : distanceOf(current, ghost)
    found.max = Math.max(found.max, distance)
    if (distance > tolerance) note(what, current, ghost, found)
    return
  }
  const [left, right] = [partsOf(current), partsOf(ghost)]
  if (left === undefined || right === undefined) {
    if (current !== ghost) note(what, current, ghost, found)
    return
  }
  for (const key of new Set([...left.keys(), ...right.keys()])) {
    const name = typeof key === 'number' ? `${what}[${key}]` : what === '' ? key : `${what}.${key}`
    compare(name, left.get(key), right.get(key), tolerance, found)
  }
}

function note(what: string, current: unknown, ghost: unknown, found: ValuesDifference): void {
  found.differ += 1
  found.first ??= { what, current: shown(current), ghost: shown(ghost) }
}

/** By name, or by place. */
function partsOf(value: unknown): ReadonlyMap<string | number, unknown> | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  if (Array.isArray(value) || ArrayBuffer.isView(value)) {
    return new Map(Array.from(value as unknown as ArrayLike<unknown>).entries())
  }
  return new Map(Object.entries(value))
}

function shown(value: unknown): Shown {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  if (value === null || value === undefined) return null
  return (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, SHOWN_MAX)
}
