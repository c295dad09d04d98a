/** The functions of numbers that are written out in + − × ÷, by their names: each takes one or two. */
import { exp, exp2, log, log2, pow, tanh } from './exponentials.ts'
import { acos, asin, atan, atan2, cos, sin, tan } from './trigonometry.ts'

export type Elementary = ((x: number) => number) | ((a: number, b: number) => number)

export const ELEMENTARY: ReadonlyMap<string, Elementary> = new Map<string, Elementary>(
  Object.entries({
    ...{ exp, log, exp2, log2, pow, tanh },
    ...{ sin, cos, tan, asin, acos, atan, atan2 },
  }),
)
