/**
 * The tree of a program, as the parser makes it of tokens. Operators of one level that follow each other are one
 * chain, from left to right, so that a long sum is no deep tree: what is nested is bounded by `DEPTH_MAX`.
 */
import type { Span } from './osl-problems.ts'

/** Levels of nesting. */
export const DEPTH_MAX = 64

export type Arithmetic = '+' | '-' | '*' | '/' | '%'
export type Comparison = '<' | '<=' | '>' | '>=' | '==' | '!='

export interface Named extends Span {
  readonly name: string
}

export type Expression = Span &
  (
    | { readonly kind: 'number'; readonly value: number }
    | { readonly kind: 'truth'; readonly isTrue: boolean }
    /** Whatever has this name; a field alone with `isField`. */
    | { readonly kind: 'name'; readonly name: string; readonly isField: boolean }
    | { readonly kind: 'parameter'; readonly name: string }
    | {
        readonly kind: 'neighbour'
        readonly name: string
        readonly dx: number
        readonly dy: number
      }
    | { readonly kind: 'negate' | 'not'; readonly of: Expression }
    | { readonly kind: 'power'; readonly base: Expression; readonly exponent: number }
    | {
        readonly kind: 'sum'
        readonly first: Expression
        readonly rest: readonly { readonly operator: Arithmetic; readonly operand: Expression }[]
      }
    | { readonly kind: 'and' | 'or'; readonly operands: readonly Expression[] }
    | {
        readonly kind: 'compare'
        readonly operator: Comparison
        readonly left: Expression
        readonly right: Expression
      }
    | {
        readonly kind: 'if'
        readonly condition: Expression
        readonly yes: Expression
        readonly no: Expression
      }
    | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] }
  )

export interface Target extends Named {
  readonly isField: boolean
}

export type Statement = Span &
  (
    | { readonly kind: 'let'; readonly name: Named; readonly value: Expression }
    | {
        readonly kind: 'def'
        readonly name: Named
        readonly parameters: readonly Named[]
        readonly value: Expression
      }
    | { readonly kind: 'table'; readonly name: Named; readonly values: readonly number[] }
    | { readonly kind: 'nodata'; readonly field: Target; readonly value: number }
    | { readonly kind: 'where'; readonly condition: Expression }
    | {
        readonly kind: 'assign'
        readonly field: Target
        readonly value: Expression
        readonly where: Expression | undefined
      }
    | {
        readonly kind: 'return'
        readonly name: Named
        readonly reducer: Named
        readonly args: readonly Expression[]
        readonly by: Target | undefined
        readonly where: Expression | undefined
      }
    | {
        readonly kind: 'show'
        readonly name: Named
        readonly value: Expression
        readonly where: Expression | undefined
      }
  )
