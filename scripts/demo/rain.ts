import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Geometry, type Region } from '../../shared/grid/geometry.ts'

export interface Moments {
  readonly count: number
  readonly sum: number
  readonly min: number
  readonly max: number
  readonly mean: number
  readonly variance: number
}

const TILE = 16

/** Annual precipitation of the world in mm, a value a degree, from 87° north to 81° south. */
export class Rain {
  readonly geometry: Geometry
  readonly values: readonly number[]

  constructor(width: number, height: number, values: readonly number[]) {
    this.geometry = new Geometry({ width, height, tile: TILE })
    this.values = values
  }

  static load(): Rain {
    // Beside this file in a checkout; the build leaves it there.
    const file = ['./annual-precip.json', '../../../scripts/demo/annual-precip.json']
      .map((path) => fileURLToPath(new URL(path, import.meta.url)))
      .find((path) => existsSync(path))
    if (file === undefined) throw new Error('annual-precip.json is missing')
    const { width, height, values } = JSON.parse(readFileSync(file, 'utf8'))
    return new Rain(width, height, values)
  }

  /** The values of a region, row-major. */
  valuesOf({ x, y, w, h }: Region): number[] {
    const { width } = this.geometry
    const rows = Array.from({ length: h }, (_, row) => {
      const start = (y + row) * width + x
      return this.values.slice(start, start + w)
    })
    return rows.flat()
  }

  /** What `stat` is to give, computed plainly: two passes over the values. */
  momentsOf(region: Region): Moments {
    return momentsOf(this.valuesOf(region))
  }
}

export function momentsOf(values: readonly number[]): Moments {
  let sum = 0
  let min = Number.POSITIVE_INFINITY
  let max = Number.NEGATIVE_INFINITY
  for (const value of values) {
    sum += value
    min = Math.min(min, value)
    max = Math.max(max, value)
  }
  const mean = sum / values.length
  let squares = 0
  for (const value of values) squares += (value - mean) ** 2
  return { count: values.length, sum, min, max, mean, variance: squares / values.length }
}
