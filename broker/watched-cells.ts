/** The cells that the file says are watched, once the grid is known. */
import type { GridContext } from '../shared/operations/operation.ts'
import { ConfigError } from '../shared/runtime/config.ts'
import { entryLabel } from '../shared/runtime/table-arrays.ts'
import type { GatewayConfig } from './config.ts'
import type { WatchedCell } from './core/watches.ts'

/** Throws ConfigError where there is no such cell, or where one is named twice. */
export function watchedCells(
  watches: GatewayConfig['watches'],
  { fields, geometry: { width, height } }: GridContext,
): WatchedCell[] {
  const names = fields.map(({ name }) => name)
  const seen = new Map<string, number>()
  const problems: string[] = []
  const cells = watches.map(({ field, x, y }, index) => {
    const cell = `${field} ${x},${y}`
    const label = entryLabel('watch', index)
    const before = seen.get(cell)
    seen.set(cell, index)
    if (!names.includes(field)) {
      problems.push(`${label}: the grid has no field "${field}", it has ${names.join(', ')}`)
    }
    if (x >= width || y >= height) {
      problems.push(`${label}: cell ${x},${y} is outside the grid of ${width}x${height}`)
    }
    if (before !== undefined) {
      problems.push(`${label}: ${cell} is watched by ${entryLabel('watch', before)} already`)
    }
    return { field: names.indexOf(field), x, y }
  })
  if (problems.length > 0) throw new ConfigError(problems)
  return cells
}
