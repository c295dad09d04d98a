/**
 * Registers for the values of a graph, by their last use, and the microglyphs that compute them. What nobody uses is
 * left out. The constants that are used most are set once a run and keep their registers; the others come where they
 * stand. Neighbours that would be read after a store are read before the first: they are what was before the write.
 */
import {
  CONDITION_REGISTERS,
  FIRST_CONDITION,
  glyphOf,
  isEffect,
  MICROGLYPHS_MAX,
  NONE,
  NUMBER_REGISTERS,
  numberOf,
  POOL_MAX,
} from './codex.ts'
import { OslError } from './osl-problems.ts'
import { encodeMicroglyphs, type Microglyph, type Program } from './program.ts'
import { usedBy, type Value, type ValueGraph } from './value-graph.ts'

/** More of them would leave too few registers for all else. */
const PINNED_MAX = 12
const WHOLE = { at: 0, length: 1 }

export interface Assembled extends Pick<Program, 'code' | 'pool'> {
  /** The places in the pool that belong to each parameter. */
  readonly parameters: ReadonlyMap<string, readonly number[]>
}

export function assemble(graph: ValueGraph): Assembled {
  const order = orderOf(graph.values)
  if (order.length > MICROGLYPHS_MAX) {
    const message = `the program has ${order.length} microglyphs, at most ${MICROGLYPHS_MAX} are taken`
    throw new OslError('osl-too-large', message, WHOLE)
  }
  const pinned = pinnedOf(graph.values, order)
  order.sort((left, right) => Number(pinned.has(right)) - Number(pinned.has(left)))
  const microglyphs = new Assembler(graph.values, order, pinned).run()
  const { places, pool } = usedPool(microglyphs, graph.pool)
  const parameters = [...graph.parameters].map(
    ([name, all]) => [name, all.flatMap((place) => places.get(place) ?? [])] as const,
  )
  return {
    code: encodeMicroglyphs(microglyphs.map((microglyph) => moved(microglyph, places))),
    pool,
    parameters: new Map(parameters),
  }
}

/** The constants that somebody uses, and where each of them went; what lay one behind the other still does. */
function usedPool(microglyphs: readonly Microglyph[], all: readonly number[]) {
  const used = new Set<number>()
  for (const microglyph of microglyphs) {
    const place = placeOf(microglyph)
    if (place === undefined) continue
    for (let at = 0; at < place.count; at++) used.add(place.first + at)
  }
  const kept = [...used].sort((left, right) => left - right)
  if (kept.length > POOL_MAX) {
    const message = `the program has ${kept.length} constants, at most ${POOL_MAX} are taken`
    throw new OslError('osl-too-large', message, WHOLE)
  }
  const places = new Map(kept.map((place, index) => [place, index]))
  return { places, pool: Float64Array.from(kept, (place) => all[place]!) }
}

function placeOf({
  glyph,
  operand,
  b,
  c,
}: Microglyph): { first: number; count: number } | undefined {
  switch (glyphOf(glyph)!.operand) {
    case 'constant':
      return { first: operand, count: 1 }
    case 'table':
      return { first: operand, count: b }
    case 'bins':
      return { first: c, count: 3 }
    case 'greatest':
      return { first: c, count: 1 }
    default:
      return undefined
  }
}

function moved(microglyph: Microglyph, places: ReadonlyMap<number, number>): Microglyph {
  const place = placeOf(microglyph)
  if (place === undefined) return microglyph
  const to = places.get(place.first)!
  const isInC = ['bins', 'greatest'].includes(glyphOf(microglyph.glyph)!.operand)
  return isInC ? { ...microglyph, c: to } : { ...microglyph, operand: to }
}

/** Indexes of the values that something depends on, in the order in which they are computed. */
function orderOf(values: readonly Value[]): number[] {
  const isUsed = values.map(({ glyph }) => isEffect(glyphOf(glyph)!))
  for (let at = values.length - 1; at >= 0; at--) {
    if (isUsed[at]) for (const arg of usedBy(values[at]!)) isUsed[arg] = true
  }
  const used = [...values.keys()].filter((at) => isUsed[at])
  const firstStore = used.findIndex((at) => values[at]!.glyph === numberOf('store'))
  const isLate = (at: number, index: number): boolean =>
    index > firstStore && firstStore >= 0 && values[at]!.glyph === numberOf('near')
  const late = used.filter(isLate)
  const others = used.filter((at, index) => !isLate(at, index))
  return firstStore < 0 ? used : others.toSpliced(firstStore, 0, ...late)
}

/** The constants that are used most. */
function pinnedOf(values: readonly Value[], order: readonly number[]): ReadonlySet<number> {
  const uses = new Map<number, number>()
  for (const at of order) {
    for (const arg of usedBy(values[at]!)) {
      if (values[arg]!.glyph === numberOf('const')) uses.set(arg, (uses.get(arg) ?? 0) + 1)
    }
  }
  const most = [...uses].sort(([a, left], [b, right]) => right - left || a - b)
  return new Set(most.slice(0, PINNED_MAX).map(([value]) => value))
}

class Assembler {
  readonly #values: readonly Value[]
  readonly #order: readonly number[]
  readonly #pinned: ReadonlySet<number>
  readonly #registers = new Map<number, number>()
  /** The step of the last use of each value. */
  readonly #lastUse = new Map<number, number>()
  readonly #free = {
    N: Array.from({ length: NUMBER_REGISTERS }, (_, at) => at).reverse(),
    T: Array.from({ length: CONDITION_REGISTERS }, (_, at) => FIRST_CONDITION + at).reverse(),
  }

  constructor(values: readonly Value[], order: readonly number[], pinned: ReadonlySet<number>) {
    this.#values = values
    this.#order = order
    this.#pinned = pinned
    order.forEach((at, step) => {
      for (const arg of usedBy(values[at]!)) this.#lastUse.set(arg, step)
    })
  }

  run(): Microglyph[] {
    return this.#order.map((at, step) => {
      const value = this.#values[at]!
      const [first, second, third] = value.args.map((arg) => this.#registers.get(arg)!)
      const by = value.by === undefined ? undefined : this.#registers.get(value.by)
      this.#release(value, step)
      return {
        glyph: value.glyph,
        result: this.#take(at),
        a: value.a ?? first ?? NONE,
        b: value.b ?? second ?? NONE,
        c: value.c ?? by ?? third ?? NONE,
        operand: value.operand,
      }
    })
  }

  /** A result may take the register of what it is made of: each loop reads a cell before it writes it. */
  #release(value: Value, step: number): void {
    for (const arg of new Set(usedBy(value))) {
      if (this.#lastUse.get(arg) !== step || this.#pinned.has(arg)) continue
      this.#free[this.#bankOf(arg)!].push(this.#registers.get(arg)!)
    }
  }

  #bankOf(at: number): 'N' | 'T' | undefined {
    return glyphOf(this.#values[at]!.glyph)!.gives
  }

  #take(at: number): number {
    const bank = this.#bankOf(at)
    if (bank === undefined) return NONE
    const register = this.#free[bank].pop()
    if (register === undefined) {
      const kind = bank === 'N' ? 'numbers' : 'conditions'
      const message = `too many ${kind} are needed at once`
      const hint = 'use what "let" names sooner, or split the program in two'
      throw new OslError('osl-too-many-values', message, WHOLE, hint)
    }
    this.#registers.set(at, register)
    return register
  }
}
