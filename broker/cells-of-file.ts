/** Inputs and watches of the file name cells: which they are in the grid that there is, and what it does not have. */
import { findField } from '../shared/grid/fields.ts'
import { unknownField } from '../shared/operations/field-values.ts'
import type { GridContext } from '../shared/operations/operation.ts'
import { isBelowBase } from '../shared/protocol/topics.ts'
import { ConfigError } from '../shared/runtime/config.ts'
import { entryLabel } from '../shared/runtime/table-arrays.ts'
import type { GatewayConfig } from './config.ts'
import { type Input, inputName } from './core/inputs.ts'
import type { WatchedCell } from './core/watches.ts'

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

/** Where inputs name what the grid or the topics do not have. */
function inputProblems(inputs: readonly Input[], grid: GridContext, topicBase: string): string[] {
  return inputs.flatMap((input, index) =>
    problemsOf(input, grid, topicBase).map((problem) => `${inputName(index)}: ${problem}`),
  )
}

function problemsOf({ topic, field, x, y }: Input, grid: GridContext, base: string): string[] {
  const { fields, geometry } = grid
  const { width, height } = geometry
  const isBeyond = (place: Input['x'], side: number): boolean =>
    typeof place === 'number' && place >= side
  const below = `topic: "${topic}" is below the base "${base}", where readings are told as cell/…`
  return [
    ...(isBelowBase(base, topic) ? [below] : []),
    ...(findField(fields, field) ? [] : [`field: ${unknownField('', field, fields).message}`]),
    ...(isBeyond(x, width) ? [`x: ${x} is outside a grid of ${width}x${height}`] : []),
    ...(isBeyond(y, height) ? [`y: ${y} is outside a grid of ${width}x${height}`] : []),
  ]
}

/** Where there is no such cell, or where one is named twice. */
function watchProblems(
  watches: Watches,
  { fields, geometry: { width, height } }: GridContext,
): string[] {
  const names = fields.map(({ name }) => name)
  const seen = new Map<string, number>()
  return watches.flatMap(({ field, x, y }, index) => {
    const cell = `${field} ${x},${y}`
    const before = seen.get(cell)
    seen.set(cell, index)
    const problems: string[] = []
    if (!names.includes(field)) {
      problems.push(`the grid has no field "${field}", it has ${names.join(', ')}`)
    }
    if (x >= width || y >= height) {
      problems.push(`cell ${x},${y} is outside the grid of ${width}x${height}`)
    }
    if (before !== undefined) {
      problems.push(`${cell} is watched by ${entryLabel('watch', before)} already`)
    }
    return problems.map((problem) => `${entryLabel('watch', index)}: ${problem}`)
  })
}
