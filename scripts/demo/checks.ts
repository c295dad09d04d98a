import type { GridSize, Region } from '../../shared/grid/geometry.ts'
import type { Moments, Rain } from './rain.ts'
import type { SubmittedTask } from './task-client.ts'

export interface Check {
  readonly name: string
  /** What is wrong; nothing when it holds. */
  readonly problem: string | undefined
}

const TOLERANCE = 1e-9

/** What a reading of the whole grid gave. */
export interface Reading {
  readonly precip: readonly number[]
  readonly visits: readonly number[]
}

/**
 * Holds what the fleet answered against what one plain process computes. `other` is a task whose end was another when it
 * was run again.
 */
export function checkAll(
  tasks: readonly SubmittedTask[],
  other: SubmittedTask | undefined,
  reading: Reading,
  rain: Rain,
): Check[] {
  const adds = tasks.filter(({ request }) => request.op === 'add')
  const stats = tasks.filter(({ request }) => request.op === 'stat')
  const expected = new Visits(rain.geometry)
  for (const { request } of adds) expected.add(request.region)
  const lsus = count(rain.geometry.lsus)
  return [
    {
      name: `each of the ${count(tasks.length)} accepted tasks completed, once`,
      problem: checkEnds(tasks, other),
    },
    {
      name: `precip of all ${lsus} LSUs is what was put`,
      problem: rain.values.every((value, lsu) => value === reading.precip[lsu])
        ? undefined
        : 'some differ',
    },
    {
      name: `visits of all ${lsus} LSUs are the ${count(adds.length)} accepted adds, each once`,
      problem: expected.compare(reading.visits),
    },
    {
      name: `all ${count(stats.length)} stats of precip equal a plain computation`,
      problem: checkStats(stats, rain),
    },
  ]
}

function checkEnds(
  tasks: readonly SubmittedTask[],
  other: SubmittedTask | undefined,
): string | undefined {
  const bad = tasks.find(({ acceptedMs, result }) => !acceptedMs || result?.state !== 'completed')
  if (bad !== undefined) return `task ${bad.id} was never accepted, or never completed`
  return other && `task ${other.id}, run again under its id, ended otherwise`
}

function checkStats(stats: readonly SubmittedTask[], rain: Rain): string | undefined {
  const plain = new Map<string, Moments>()
  for (const { id, request, result } of stats) {
    const key = JSON.stringify(request.region)
    const expected = plain.get(key) ?? rain.momentsOf(request.region)
    plain.set(key, expected)
    const problem = compareMoments(result?.value, expected)
    if (problem !== undefined) return `task ${id} over ${key}: ${problem}`
  }
  return undefined
}

/** The values are whole, so sums are exact in any order; means and variances are rounded. */
export function compareMoments(found: Moments | undefined, expected: Moments): string | undefined {
  if (found === undefined) return 'no value'
  for (const name of ['count', 'sum', 'min', 'max'] as const) {
    if (found[name] !== expected[name]) return `${name} is ${found[name]}, not ${expected[name]}`
  }
  for (const name of ['mean', 'variance'] as const) {
    const error = Math.abs(found[name] - expected[name]) / (Math.abs(expected[name]) || 1)
    if (!(error <= TOLERANCE)) return `${name} is ${found[name]}, not ${expected[name]}`
  }
  return undefined
}

/** A whole number as people read it. */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** How often each LSU must have been visited: a plain model of the accepted adds. */
export class Visits {
  readonly #width: number
  readonly #counts: Int32Array

  constructor({ width, height }: Pick<GridSize, 'width' | 'height'>) {
    this.#width = width
    this.#counts = new Int32Array(width * height)
  }

  add({ x, y, w, h }: Region): void {
    for (let row = y; row < y + h; row++) {
      for (let lsu = row * this.#width + x; lsu < row * this.#width + x + w; lsu++) {
        this.#counts[lsu]! += 1
      }
    }
  }

  /** Where a reading of the grid differs from the model, in words; nothing where it does not. */
  compare(found: readonly number[]): string | undefined {
    if (found.length !== this.#counts.length) {
      return `${found.length} LSUs instead of ${this.#counts.length}`
    }
    const wrong = found.flatMap((value, lsu) => (value === this.#counts[lsu] ? [] : [lsu]))
    const [first] = wrong
    if (first === undefined) return undefined
    const [x, y] = [first % this.#width, Math.floor(first / this.#width)]
    const sample = `at ${x},${y} ${found[first]} instead of ${this.#counts[first]}`
    return `${wrong.length} LSUs differ, the first ${sample}`
  }
}
