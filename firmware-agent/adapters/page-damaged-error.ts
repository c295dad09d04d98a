import { AppError } from '../../shared/runtime/errors.ts'

/** The digest of a stored page is not its own: the tile needs a new copy. */
export class PageDamagedError extends AppError {
  readonly tile: number

  constructor(tile: number, what: string) {
    super('page-damaged', `the page of tile ${tile} is ${what}`)
    this.tile = tile
  }
}
