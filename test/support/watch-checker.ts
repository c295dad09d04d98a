/**
 * Watched cells of a simulated fleet: each number that is published of one is what the cell held after some write, none
 * from before the one that was published last, and not that one again by the same process; at rest it is what the cell
 * holds, also where it is kept over a start of the gateway.
 */

import type { GatewayEffect } from '../../broker/core/effects.ts'
import type {
  CoordinatorOptions,
  WatchedCell,
} from '../../broker/core/state/coordinator-context.ts'
import type { GridModel, TileState } from './grid-model.ts'
import { violated } from './violation.ts'

interface Watched extends WatchedCell {
  readonly tile: number
  /** The write after which it was first as it was published last, whichever process did. */
  seq: number
  /** By another broker, over starts. */
  retained: string
  /** By the process that runs. */
  isTold: boolean
}

export class WatchChecker {
  readonly #model: GridModel
  readonly #count: (what: string) => void
  readonly #cells = new Map<string, Watched>()

  constructor(
    { watches }: Pick<CoordinatorOptions, 'watches'>,
    model: GridModel,
    count: (what: string) => void,
  ) {
    this.#model = model
    this.#count = count
    const { geometry, fields } = model.grid
    for (const watch of watches) {
      const { field, x, y } = watch
      const tile = geometry.tilesOf({ x, y, w: 1, h: 1 })[0]!
      const name = `${fields[field]!.name}/${x}/${y}`
      this.#cells.set(name, { ...watch, tile, seq: 0, retained: '', isTold: false })
    }
  }

  published({ topic, payload, retain, qos }: Extract<GatewayEffect, { type: 'publish' }>): void {
    if (topic.kind === 'gateway-state') this.#gatewayStarted()
    if (topic.kind !== 'cell-value') return
    const name = `${topic.field}/${topic.x}/${topic.y}`
    const cell = this.#cells.get(name)
    if (cell === undefined) violated(`cell ${name} is not watched`)
    if (!retain || qos !== 1) violated(`the number of cell ${name} is not retained at QoS 1`)
    if (cell.isTold && cell.retained === payload)
      violated(`the number ${payload} of cell ${name} is told again`)
    cell.retained = String(payload)
    cell.isTold = true
    if (payload === '') {
      this.#count('watch-cleared')
      return
    }
    const states = this.#model.statesFrom(cell.tile, cell.seq)
    const state = states.find((one) => this.#textIn(cell, one) === payload)
    if (state === undefined) violated(`cell ${name} is shown as ${payload} after ${cell.seq}`)
    this.#count(state.seq > cell.seq ? 'watch-changed' : 'watch-told')
    cell.seq = state.seq
  }

  /** Whether each is as it is to stay. */
  atRest(): void {
    for (const [name, cell] of this.#cells) {
      const state = this.#model.tileAt(cell.tile, Number.POSITIVE_INFINITY)
      const text = state.seq === 0 ? '' : this.#textIn(cell, state)
      if (cell.retained === text) continue
      violated(`cell ${name} is ${text}, and what is retained is ${cell.retained}`)
    }
  }

  #gatewayStarted(): void {
    for (const cell of this.#cells.values()) cell.isTold = false
  }

  #textIn({ field, tile, x, y }: Watched, { columns }: TileState): string {
    const own = this.#model.grid.geometry.tileRegion(tile)
    return String(columns[field]![(y - own.y) * own.w + (x - own.x)])
  }
}
