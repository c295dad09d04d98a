/** The cells that the file says are watched, once the grid is known. */
import type { GridContext } from '../shared/operations/operation.ts'
import { entryLabel } from '../shared/runtime/table-arrays.ts'
import type { GatewayConfig } from './config.ts'
import type { WatchedCell } from './core/watches.ts'

type Watches = GatewayConfig['watches']

export function watchedCells(watches: Watches, { fields }: GridContext): WatchedCell[] {
  const names = fields.map(({ name }) => name)
  return watches.map(({ field, x, y }) => ({ field: names.indexOf(field), x, y }))
}

/** Where there is no such cell, or where one is named twice. */
export function watchProblems(
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
