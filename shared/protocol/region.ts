/**
 * The region of a submission, checked member by member against the grid: every problem at once, each
 * with both bounds. What is no map at all is one problem, not one for each member that it lacks.
 */
import * as v from 'valibot'
import { own } from '../core/own.ts'
import type { Geometry, Region } from '../grid/geometry.ts'
import { addUnknownKeys, isPlainObject, type Problem } from './problems.ts'

const whole = v.pipe(v.number(), v.integer())

export const regionSchema = v.strictObject({ x: whole, y: whole, w: whole, h: whole })

export interface CheckedRegion {
  /** It lies in the grid. */
  readonly region?: Region
  /** How many LSUs were meant is known, in the grid or not. */
  readonly measured?: Region
}

export function parseRegion(
  input: unknown,
  geometry: Geometry,
  problems: Problem[],
): CheckedRegion {
  if (!isPlainObject(input)) {
    const message = `region must be an object${exampleOf(input)}`
    problems.push({ path: 'region', code: 'wrong-type', message })
    return {}
  }
  const { width, height } = geometry
  const before = problems.length
  const x = member(input, 'x', { min: 0, max: width - 1 }, problems)
  const y = member(input, 'y', { min: 0, max: height - 1 }, problems)
  const w = member(input, 'w', { min: 1, max: width }, problems)
  const h = member(input, 'h', { min: 1, max: height }, problems)
  const isWide = x.isSound && w.isSound && x.value! + w.value! > width
  const isHigh = y.isSound && h.isSound && y.value! + h.value! > height
  if (isWide || isHigh) {
    const ends = [
      ...(isWide ? [`x + w is ${x.value! + w.value!}, at most ${width}`] : []),
      ...(isHigh ? [`y + h is ${y.value! + h.value!}, at most ${height}`] : []),
    ]
    const message = `region does not lie in the grid: ${ends.join('; ')}`
    problems.push({ path: 'region', code: 'outside-grid', message })
  }
  addUnknownKeys(regionSchema, input, 'region', problems)
  const numbers = [x.value, y.value, w.value, h.value]
  if (!numbers.every((one) => one !== undefined) || w.value! < 1 || h.value! < 1) return {}
  const measured = { x: x.value!, y: y.value!, w: w.value!, h: h.value! }
  return problems.length > before ? { measured } : { measured, region: measured }
}

function exampleOf(input: unknown): string {
  const form = ' of x, y, w and h'
  if (!Array.isArray(input) || input.length !== 4) return form
  if (!input.every((one) => Number.isSafeInteger(one))) return form
  const [x, y, w, h] = input
  return `${form}, did you mean ${JSON.stringify({ x, y, w, h })}?`
}

/** A whole number, if it is one; sound, if it lies in its bounds. */
interface Member {
  readonly value?: number
  readonly isSound: boolean
}

function member(
  input: Record<string, unknown>,
  name: keyof Region,
  { min, max }: { min: number; max: number },
  problems: Problem[],
): Member {
  const path = `region.${name}`
  const value = own(input, name)
  const taken = `a whole number from ${min} to ${max}`
  if (value === undefined) {
    problems.push({ path, code: 'missing', message: `${path} is missing, ${taken}` })
    return { isSound: false }
  }
  if (typeof value !== 'number') {
    problems.push({ path, code: 'wrong-type', message: `${path} must be ${taken}` })
    return { isSound: false }
  }
  const message = `${path} is ${value}, expected ${taken}`
  if (!Number.isInteger(value)) {
    problems.push({ path, code: 'out-of-range', message })
    return { isSound: false }
  }
  if (value >= min && value <= max) return { value, isSound: true }
  problems.push({ path, code: 'outside-grid', message })
  return { value, isSound: false }
}
