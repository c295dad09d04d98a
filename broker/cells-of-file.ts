/** Inputs and watches of the file name cells: which they are in the grid that there is, and what it does not have. */
import { findField } from '../shared/grid/fields.ts'
import { unknownField } from '../shared/operations/field-values.ts'
import type { GridContext } from '../shared/operations/operation.ts'
import { isBelowBase } from '../shared/protocol/topics.ts'
import { ConfigError } from '../shared/runtime/config.ts'
import { entryLabel } from '../shared/runtime/table-arrays.ts'
import type { GatewayConfig } from './config.ts'
import type { Input } from './core/inputs.ts'
import type { WatchedCell } from './core/state/coordinator-context.ts'

type Watches = GatewayConfig['watches']

export function watchedCells(watches: Watches, { fields }: GridContext): WatchedCell[] {
  const names = fields.map(({ name }) => name)
  return watches.map(({ field, x, y }) => ({ field: names.indexOf(field), x, y }))
}

/** Throws ConfigError with every problem of both. */
export function assertCells(
  { inputs, watches, topicBase }: Pick<GatewayConfig, 'inputs' | 'watches' | 'topicBase'>,
  grid: GridContext,
  file: string | undefined,
): void {
  const problems = [...inputProblems(inputs, grid, topicBase), ...watchProblems(watches, grid)]
  if (problems.length > 0) throw new ConfigError(problems.map((problem) => `${file}: ${problem}`))
}

function inputProblems(inputs: readonly Input[], grid: GridContext, topicBase: string): string[] {
  return inputs.flatMap((input, index) => {
    const { topic } = input
    const below = `topic: "${topic}" is below the base "${topicBase}", where readings are told as cell/…`
    const problems = isBelowBase(topicBase, topic) ? [below] : []
    return labelled('input', index, [...problems, ...cellProblems(input, grid)])
  })
}

function watchProblems(watches: Watches, grid: GridContext): string[] {
  const seen = new Map<string, number>()
  return watches.flatMap((watch, index) => {
    const cell = `${watch.field} ${watch.x},${watch.y}`
    const before = seen.get(cell)
    seen.set(cell, index)
    const twice =
      before === undefined ? [] : [`${cell} is watched by ${entryLabel('watch', before)} already`]
    return labelled('watch', index, [...cellProblems(watch, grid), ...twice])
  })
}

/** Of a column or a row that stands in a topic nothing is known yet. */
function cellProblems(
  { field, x, y }: Pick<Input, 'field' | 'x' | 'y'>,
  { fields, geometry: { width, height } }: GridContext,
): string[] {
  const beyond = (name: string, place: Input['x'], side: number): string[] =>
    typeof place === 'number' && place >= side
      ? [`${name}: there is no cell at ${place} in a grid of ${width}x${height}`]
      : []
  return [
    ...(findField(fields, field) ? [] : [`field: ${unknownField('', field, fields).message}`]),
    ...beyond('x', x, width),
    ...beyond('y', y, height),
  ]
}

function labelled(key: string, index: number, problems: readonly string[]): string[] {
  return problems.map((problem) => `${entryLabel(key, index)}: ${problem}`)
}
