/** Whether the outputs of a reading program are what the cells one by one say, the slow and simple way. */
import { parse } from '../../shared/osl/parser.ts'
import { exactOf, isRight } from './exact-statistics.ts'
import { type CellOutcome, type Cells, outcomesOf } from './osl-evaluator.ts'

/** What is wrong with the value of a program over these cells. */
export function faultOfOutputs(
  source: string,
  value: Readonly<Record<string, unknown>>,
  cells: Cells,
  region: { x: number; y: number; w: number; h: number },
  parameters: Readonly<Record<string, number>>,
): string | undefined {
  const outcomes = outcomesOf(source, cells, region, parameters)
  for (const statement of parse(source, []).statements) {
    if (statement.kind !== 'return' && statement.kind !== 'show') continue
    const { name } = statement.name
    const all = outcomes.get(name)!
    const got = value[name]
    const fault =
      statement.kind === 'show'
        ? faultOfShown(got as number[], all)
        : (statement.by ? faultByClass : faultOfReturned)(
            statement.reducer.name,
            got,
            all,
            statement.args.slice(1).map(numberOf),
            cells.width,
          )
    if (fault !== undefined) return `${name} is ${JSON.stringify(got)}, ${fault}`
  }
  return undefined
}

type Counted = { id: number; value: number }[]

/** A number beyond the greatest double counts as that; there is one zero. */
function finite(value: number): number {
  return Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, value)) + 0
}

/** Why `got` is not what a reducer gives of these. */
function faultOf(
  kind: string,
  got: unknown,
  counted: Counted,
  args: readonly number[],
  width: number,
): string | undefined {
  const pointOf = ({ id, value }: { id: number; value: number }) => {
    return { x: id % width, y: Math.floor(id / width), value }
  }
  const is = (wanted: unknown): string | undefined =>
    JSON.stringify(got) === JSON.stringify(wanted) ? undefined : `not ${JSON.stringify(wanted)}`
  const values = counted.map(({ value }) => value)
  const least = Math.min(...values)
  const greatest = Math.max(...values)
  switch (kind) {
    case 'sum':
    case 'mean':
    case 'var': {
      if (values.length === 0) return is(kind === 'sum' ? 0 : null)
      const exact = exactOf(values)[kind === 'var' ? 'variance' : kind]
      // What no double holds is the greatest there is.
      if (Math.abs(got as number) === Number.MAX_VALUE) return undefined
      return isRight(got as number, exact) ? undefined : 'not right'
    }
    case 'min':
    case 'max':
      return is(values.length === 0 ? null : kind === 'min' ? least : greatest)
    case 'argmin':
    case 'argmax': {
      const extreme = kind === 'argmin' ? least : greatest
      const first = counted.filter(({ value }) => value === extreme).sort((a, b) => a.id - b.id)[0]
      return is(first === undefined ? null : pointOf(first))
    }
    case 'histogram': {
      const [low, high, bins] = args as [number, number, number]
      const { edges, counts, below, above } = got as Record<string, number[]> & {
        below: number
        above: number
      }
      const wanted = new Array<number>(bins).fill(0)
      for (const value of values.filter((one) => one >= low && one <= high)) {
        const bin = edges!.findIndex((edge, at) => at > 0 && value < edge)
        wanted[bin < 0 ? bins - 1 : bin - 1]! += 1
      }
      const outside = [
        values.filter((one) => one < low).length,
        values.filter((one) => one > high).length,
      ]
      return JSON.stringify([counts, below, above]) === JSON.stringify([wanted, ...outside])
        ? undefined
        : 'other bins'
    }
    case 'top': {
      const sorted = [...counted].sort((a, b) => b.value - a.value || a.id - b.id)
      return is(sorted.slice(0, args[0]).map(pointOf))
    }
  }
  throw new Error(kind)
}

function numberOf(argument: unknown): number {
  const { kind, value, of } = argument as { kind: string; value: number; of: unknown }
  return kind === 'negate' ? -numberOf(of) : value
}

type All = readonly CellOutcome[]

function faultByClass(
  kind: string,
  got: unknown,
  all: All,
  args: readonly number[],
  width: number,
): string | undefined {
  const { classes, values } = got as { classes: number[]; values: unknown[] }
  const wanted = [...new Set(all.flatMap(({ of }) => of ?? []))].sort((a, b) => a - b)
  if (JSON.stringify(classes) !== JSON.stringify(wanted)) return `not of ${wanted}`
  if (values.length !== classes.length) return 'not a value each'
  return classes
    .map((one, at) => {
      const own = all.filter(({ of }) => of === one)
      return faultOfReturned(kind, values[at], own, args, width)
    })
    .find((fault) => fault !== undefined)
}

function faultOfShown(got: readonly number[], all: All): string | undefined {
  const wanted = all.map(({ value }) => (value === null ? Number.NaN : finite(value as number)))
  const isSame = got.length === wanted.length && got.every((one, at) => Object.is(one, wanted[at]))
  return isSame ? undefined : `not ${wanted}`
}

function faultOfReturned(
  kind: string,
  got: unknown,
  all: All,
  args: readonly number[],
  width: number,
): string | undefined {
  const counted = all.filter(({ value }) => value !== null)
  const yes = counted.filter(({ value }) => value === true).length
  const truths: Record<string, unknown> = { count: yes, any: yes > 0, all: yes === counted.length }
  if (kind in truths) return got === truths[kind] ? undefined : `not ${truths[kind]}`
  const numbers = counted.map(({ id, value }) => ({ id, value: finite(value as number) }))
  return faultOf(kind, got, numbers, args, width)
}
