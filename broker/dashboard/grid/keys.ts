/** What keys do on the map. The cross-hair is a cell; Shift drags a region from where it was. */
import type { GridSize } from '../../../shared/grid/geometry.ts'
import type { Cell } from './regions.ts'

export type KeyAct =
  | { readonly type: 'move' | 'extend'; readonly dx: number; readonly dy: number }
  | { readonly type: 'zoom'; readonly factor: number }
  | { readonly type: 'fit' | 'read' | 'clear' }

/** An arrow moves by about this many pixels of CSS, and by a cell at least. */
const ARROW_PIXELS = 16

const ARROWS = new Map([
  ['ArrowLeft', { dx: -1, dy: 0 }],
  ['ArrowRight', { dx: 1, dy: 0 }],
  ['ArrowUp', { dx: 0, dy: -1 }],
  ['ArrowDown', { dx: 0, dy: 1 }],
])

/** Undefined for keys that are the browser's. */
export function actOf(key: string, isShift: boolean): KeyAct | undefined {
  const arrow = ARROWS.get(key)
  if (arrow !== undefined) return { type: isShift ? 'extend' : 'move', ...arrow }
  if (key === '+' || key === '=') return { type: 'zoom', factor: 2 }
  if (key === '-' || key === '−' || key === '_') return { type: 'zoom', factor: 0.5 }
  if (key === '0') return { type: 'fit' }
  if (key === 'Enter') return { type: 'read' }
  if (key === 'Escape') return { type: 'clear' }
  return undefined
}

/** Where an arrow brings the cross-hair, `cssScale` being pixels of CSS a cell. */
export function movedCell(
  cell: Cell,
  { dx, dy }: { readonly dx: number; readonly dy: number },
  { cssScale, grid }: { readonly cssScale: number; readonly grid: GridSize },
): Cell {
  const cells = Math.max(1, Math.round(ARROW_PIXELS / cssScale))
  return {
    x: Math.max(0, Math.min(grid.width - 1, cell.x + dx * cells)),
    y: Math.max(0, Math.min(grid.height - 1, cell.y + dy * cells)),
  }
}
