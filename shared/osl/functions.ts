/** The functions of the language, and how reads end: what each takes, for the compiler and for those who list them. */
import type { Bank } from './codex.ts'
import { ELEMENTARY } from './elementary.ts'
import type { OutputKind } from './program.ts'

/** How many values each takes. */
export const FUNCTIONS: ReadonlyMap<string, number> = new Map([
  ...([
    ['min', 2],
    ['max', 2],
    ['abs', 1],
    ['sqrt', 1],
    ['floor', 1],
    ['hash', 2],
  ] as const),
  ...([
    ['look', 2],
    ['pick', 3],
    ['missing', 1],
    ['clamp', 3],
    ['coalesce', 2],
  ] as const),
  ...([
    ['round', 1],
    ['ceil', 1],
    ['sign', 1],
    ['random', 1],
  ] as const),
  ...[...ELEMENTARY].map(([name, { length }]): [string, number] => [name, length]),
])

export interface Reducer {
  readonly kind: OutputKind
  readonly glyph: string
  readonly takes: Bank
  /** Constants behind the first value, by name. */
  readonly constants: readonly string[]
  /** Whether it can be had for each class of a field. */
  readonly isByClass: boolean
}

const plain = (kind: OutputKind, glyph: string, takes: Bank = 'N'): [string, Reducer] => [
  kind,
  { kind, glyph, takes, constants: [], isByClass: true },
]

export const REDUCERS: ReadonlyMap<string, Reducer> = new Map<string, Reducer>([
  plain('count', 'count', 'T'),
  plain('any', 'count', 'T'),
  plain('all', 'count', 'T'),
  plain('sum', 'sum'),
  plain('mean', 'sum'),
  plain('var', 'sum'),
  plain('min', 'span'),
  plain('max', 'span'),
  plain('argmin', 'span'),
  plain('argmax', 'span'),
  [
    'histogram',
    {
      kind: 'histogram',
      glyph: 'histogram',
      takes: 'N',
      constants: ['low', 'high', 'bins'],
      isByClass: false,
    },
  ],
  ['top', { kind: 'top', glyph: 'top', takes: 'N', constants: ['k'], isByClass: false }],
])
