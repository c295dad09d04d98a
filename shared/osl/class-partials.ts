/**
 * The partial result of a reducing microglyph by class: the classes that are there, and for each what would be the
 * partial result of its cells alone (slot-partials.ts).
 */
import type { Wire } from '../operations/operation.ts'
import { ClassCount, type ClassReduction, ClassSum } from './class-reductions.ts'
import type { OutputKind } from './program.ts'
import {
  isSound,
  merged,
  type Over,
  packedSpan,
  packedSum,
  type Slot,
  shapeOutput,
} from './slot-partials.ts'

export interface ClassesPartial extends Wire {
  /** Ascending, each once. */
  readonly classes: Uint8Array
  readonly parts: readonly Wire[]
}

export function packedByClass(reduction: ClassReduction): ClassesPartial {
  const classes = reduction.all
  return {
    classes: Uint8Array.from(classes),
    parts: classes.map((of) => packedClass(reduction, of)),
  }
}

function packedClass(reduction: ClassReduction, of: number): Wire {
  if (reduction instanceof ClassCount)
    return { yes: reduction.yes[of]!, known: reduction.known[of]! }
  const count = reduction.counts[of]!
  if (reduction instanceof ClassSum) {
    const { sums } = reduction
    return packedSum(count, sums.sumOf(of), sums.squaresOf(of))
  }
  const { min, max, minIds, maxIds } = reduction
  const ids = { minId: minIds[of]!, maxId: maxIds[of]! }
  return packedSpan({ count, min: min[of]!, max: max[of]!, ...ids })
}

export function isSoundByClass(
  partial: Wire,
  slot: Slot,
  lsus: { asked: number; grid: number },
): boolean {
  const { classes, parts } = partial as Partial<ClassesPartial>
  if (!(classes instanceof Uint8Array) || !Array.isArray(parts)) return false
  if (classes.length !== parts.length) return false
  const isAscending = classes.every((of, at) => at === 0 || of > classes[at - 1]!)
  return (
    isAscending &&
    parts.every((part: unknown) => {
      return typeof part === 'object' && part !== null && isSound(part as Wire, slot, lsus)
    })
  )
}

export function mergedByClass(left: ClassesPartial, right: ClassesPartial): ClassesPartial {
  const byClass = partsOf(left)
  for (const [of, part] of partsOf(right)) {
    const known = byClass.get(of)
    byClass.set(of, known === undefined ? part : merged(known, part))
  }
  const classes = Uint8Array.from(byClass.keys()).sort()
  return { classes, parts: Array.from(classes, (of) => byClass.get(of)!) }
}

function partsOf({ classes, parts }: ClassesPartial): Map<number, Wire> {
  return new Map(parts.map((part, at) => [classes[at]!, part]))
}

/** Two columns, as tables have them: the classes, ascending, and the value of each. */
export function shapeByClass(
  kind: OutputKind,
  slot: Slot,
  { classes, parts }: ClassesPartial,
  over: Over,
): { classes: number[]; values: unknown[] } {
  const values = parts.map((part) => shapeOutput(kind, slot, part, over))
  return { classes: [...classes], values }
}
