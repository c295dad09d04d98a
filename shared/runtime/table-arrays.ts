/**
 * Arrays of tables [TOML 1.0, Array of Tables]: what the file may say several times, each time with a row of
 * values, as `[[input]]`. Their columns are options of the same types; no flag and no variable says them.
 */
import { didYouMean } from '../core/near-match.ts'
import { own } from '../core/own.ts'
import { keyOf, type Option, type OptionTable, type Relation, type Values } from './option-table.ts'
import { parseFileValue } from './option-types.ts'

export interface TableArray<C extends OptionTable> {
  /** As the file has it, between two brackets. */
  readonly key: string
  /** One sentence. */
  readonly about: string
  readonly countMax: number
  readonly columns: C
  /** Between the values of one entry. */
  readonly relations: readonly Relation<C>[]
}

// biome-ignore lint/suspicious/noExplicitAny: arrays have columns of every type
export type TableArrays = Readonly<Record<string, TableArray<any>>>

export type NoTables = Readonly<Record<never, never>>

export type Entries<A extends TableArrays> = {
  readonly [K in keyof A]: A[K] extends TableArray<infer C> ? readonly Values<C>[] : never
}

/** How a problem names an entry; the first is 1. */
export function entryLabel(key: string, index: number): string {
  return `[[${key}]] ${index + 1}`
}

/** The entries that a file has, and every problem of each of them; `plain` are the keys that stand above them. */
export function readEntries<C extends OptionTable>(
  array: TableArray<C>,
  given: unknown,
  plain: readonly string[],
): { readonly entries: readonly Values<C>[]; readonly problems: readonly string[] } {
  const { key, countMax } = array
  if (!Array.isArray(given) || !given.every(isTable)) {
    const message = `${key}: write it as [[${key}]], once for each: there may be several`
    return { entries: [], problems: [message] }
  }
  if (given.length > countMax) {
    const message = `[[${key}]]: ${given.length} of them are too many, at most ${countMax} are taken`
    return { entries: [], problems: [message] }
  }
  const read = given.map((entry) => readEntry(array, entry, plain))
  return {
    entries: Object.freeze(read.map(({ values }) => values)),
    problems: read.flatMap(({ problems }, index) =>
      problems.map((problem) => `${entryLabel(key, index)}: ${problem}`),
    ),
  }
}

export function isTable(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
  )
}

function readEntry<C extends OptionTable>(
  { columns, relations }: TableArray<C>,
  entry: Readonly<Record<string, unknown>>,
  plain: readonly string[],
): { values: Values<C>; problems: string[] } {
  const options = Object.entries<Option<unknown>>(columns)
  const keys = options.map(([name, option]) => keyOf(name, option))
  const problems = Object.keys(entry)
    .filter((key) => !keys.includes(key))
    .map((key) =>
      plain.includes(key)
        ? `${key}: it stands below a table, write it above the first "[["`
        : `unknown key "${key}"${didYouMean(key, keys)}`,
    )
  const unsound = new Set<string>()
  const given = new Set<string>()
  const values = new Map<string, unknown>()
  for (const [name, option] of options) {
    const key = keyOf(name, option)
    const value = own(entry, key)
    if (value === undefined) {
      values.set(name, option.default)
      if (!option.isRequired) continue
      problems.push(`${key}: must be given`)
      unsound.add(name)
      continue
    }
    given.add(name)
    const parsing = parseFileValue(option.type, value)
    if (parsing.ok) values.set(name, parsing.value)
    else {
      problems.push(`${key}: ${parsing.message}`)
      unsound.add(name)
    }
  }
  const sound = Object.freeze(Object.fromEntries(values)) as Values<C>
  for (const relation of relations) {
    if (relation.of.some((name) => unsound.has(name))) continue
    const problem = relation.check(sound, (name) => given.has(name))
    if (problem !== undefined) problems.push(problem)
  }
  return { values: sound, problems }
}
