/**
 * What a program may call by name: the fields of the grid, what is given, and what its own statements named. A name is
 * one thing, for the whole program; only the values of a function may be called as something else is.
 */
import { closest } from '../core/near-match.ts'
import type { Field } from '../grid/fields.ts'
import { STATUS } from './codex.ts'
import { FUNCTIONS, REDUCERS } from './functions.ts'
import { callOf, functionHint, functionsHint, nameHint } from './hints.ts'
import { OslError, type Span } from './osl-problems.ts'
import type { Expression, Named, Statement, Target } from './syntax.ts'

/** Names that are there in each program, beside the fields. */
export const GIVEN: readonly string[] = ['x', 'y', 'status', 'idle', 'scaled']

/** The message of what is wrong only because something else is: nobody is told. */
export const SILENT = ''

/** Cells are computed where they are: what all of them say is known when a read ends. */
const OTHERS = 'a cell does not see all others: read it first, and give it as $name'
const FIELDS_SHOWN_MAX = 12

export class Names {
  /** Values, by what "let" calls them. */
  readonly lets = new Map<string, number>()
  /** In the order in which they stand: a function sees only those above it, so none calls itself. */
  readonly defs = new Map<string, { statement: Statement & { kind: 'def' }; order: number }>()
  /** Where a table begins in the pool. */
  readonly tables = new Map<string, { at: number; length: number }>()
  /** Names whose statement was wrong: what uses them is left out without a word. */
  readonly broken: Set<string>
  readonly #fields: readonly Field[]

  constructor(fields: readonly Field[], broken: ReadonlySet<string>) {
    this.#fields = fields
    this.broken = new Set(broken)
  }

  fieldIndex(name: string): number {
    return this.#fields.findIndex((field) => field.name === name)
  }

  /** A statement is about to give this name a meaning. */
  needNew(named: Named): void {
    const { name } = named
    const isTaken =
      this.fieldIndex(name) >= 0 ||
      GIVEN.includes(name) ||
      FUNCTIONS.has(name) ||
      [this.lets, this.defs, this.tables].some((names) => names.has(name))
    if (isTaken) throw new OslError('osl-duplicate', `"${name}" has a meaning already`, named)
  }

  /** The index of a field that a statement names, or `STATUS`. */
  target(target: Target, hint?: string): number {
    const { name, isField } = target
    if (name === 'status' && !isField) return STATUS
    const index = this.fieldIndex(name)
    if (index >= 0) return index
    const near = guess(name, [...this.#fields.map((field) => field.name), 'status'])
    const known = [this.#fieldsHint(), ...(hint === undefined ? [] : [hint])].join('; ')
    throw new OslError('osl-unknown-name', `the grid has no field "${name}"`, target, near ?? known)
  }

  #fieldsHint(): string {
    const shown = this.#fields.slice(0, FIELDS_SHOWN_MAX).map((field) => field.name)
    return `the fields are ${shown.join(' ')}${this.#fields.length > shown.length ? ' …' : ''}`
  }

  failIfBroken(name: string, span: Span): void {
    if (this.broken.has(name)) throw new OslError('osl-unknown-name', SILENT, span)
  }

  /** Why a name that stands where a value must is none; `inner` are those of the function that it is in. */
  unknown(named: Named, inner: readonly string[]): OslError {
    const { name } = named
    this.failIfBroken(name, named)
    if (FUNCTIONS.has(name) || this.defs.has(name)) {
      const hint = `write "${callOf(name)}"`
      return new OslError('osl-syntax', `"${name}" is a function`, named, hint)
    }
    if (this.tables.has(name)) {
      const hint = `write "look(${name}, …)"`
      return new OslError('osl-type', `"${name}" is a table`, named, hint)
    }
    const known = [...this.#fields.map((field) => field.name), ...GIVEN, ...this.lets.keys()]
    const near = nameHint(name) ?? guess(name, [...known, ...inner])
    const hint = near ?? this.#fieldsHint()
    return new OslError('osl-unknown-name', `nothing is called "${name}"`, named, hint)
  }

  unknownFunction(expression: Expression & { kind: 'call' }): OslError {
    const { name, at } = expression
    this.failIfBroken(name, expression)
    const span = { at, length: name.length }
    if (REDUCERS.has(name)) {
      const message = `${name} stands only after "return … ="`
      return new OslError('osl-unknown-function', message, span, OTHERS)
    }
    if (this.defs.has(name)) {
      const message = `"${name}" is not there yet: a function sees only those above it`
      return new OslError('osl-unknown-function', message, span)
    }
    const near = functionHint(name) ?? guess(name, [...FUNCTIONS.keys(), ...this.defs.keys()])
    const hint = near ?? functionsHint(this.defs.keys())
    return new OslError('osl-unknown-function', `there is no function "${name}"`, span, hint)
  }
}

export function guess(name: string, known: readonly string[]): string | undefined {
  // One letter is like any other.
  const near = name.length === 1 ? undefined : closest(name, known)
  return near === undefined ? undefined : `did you mean "${near}"?`
}
