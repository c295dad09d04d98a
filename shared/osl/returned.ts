/** What a program returns: outputs by their names, and one reducing microglyph for all that are of the same. */
import { OUTPUTS_MAX } from './codex.ts'
import type { Reducer } from './functions.ts'
import { OslError } from './osl-problems.ts'
import type { Output } from './program.ts'
import type { Named } from './syntax.ts'
import type { ValueGraph } from './value-graph.ts'

/** Values of the graph: what is reduced, where, and for each class of what. */
export interface Reduced {
  readonly value: number
  readonly constants: readonly number[]
  readonly guard: number | undefined
  readonly by: number | undefined
}

export class Returned {
  readonly outputs: Output[] = []
  readonly #graph: ValueGraph
  /** Microglyphs that reduce, by what they reduce. */
  readonly #slots = new Map<string, number>()

  constructor(graph: ValueGraph) {
    this.#graph = graph
  }

  /** The slot of an output that is new. */
  add(named: Named, kind: Output['kind'], slot = this.outputs.length): number {
    if (this.outputs.some(({ name }) => name === named.name)) {
      throw new OslError('osl-duplicate', `"${named.name}" is returned already`, named)
    }
    if (this.outputs.length === OUTPUTS_MAX) {
      const message = `a program returns at most ${OUTPUTS_MAX} values`
      throw new OslError('osl-too-large', message, named)
    }
    this.outputs.push({ name: named.name, kind, slot })
    return slot
  }

  reduce(name: Named, { kind, glyph }: Reducer, reduced: Reduced): void {
    const { value, constants, guard, by } = reduced
    const key = `${glyph} ${value} ${guard} ${by} ${constants.join()}`
    const known = this.#slots.get(key)
    const slot = this.add(name, kind, known)
    if (known !== undefined) return
    this.#slots.set(key, slot)
    const c = constants.length === 0 ? {} : { c: this.#graph.run(constants) }
    const args = guard === undefined ? [value] : [value, guard]
    this.#graph.act(glyph, args, { operand: slot, by, ...c })
  }
}
