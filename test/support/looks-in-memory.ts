/** Looks answered by the real operations over pages in memory, as a gateway with one node would. */
import type { HttpPort } from '../../broker/adapters/http-server.ts'
import { refusalOf } from '../../broker/core/rules/submissions.ts'
import type { Field } from '../../shared/grid/fields.ts'
import { Geometry, type GridSize } from '../../shared/grid/geometry.ts'
import type { GridContext, Wire } from '../../shared/operations/operation.ts'
import { checkSubmission, type SubmissionResult } from '../../shared/protocol/task.ts'
import type { GridView } from '../../shared/protocol/views.ts'
import { Pages } from './operation-parts.ts'

export class LooksInMemory {
  readonly grid: GridContext
  readonly #pages: Pages
  /** Each look that was taken, as an operation and the cells of its region. */
  readonly asked: { readonly op: string; readonly lsus: number }[] = []
  /** Counted by the writes. */
  seq = 0
  /** Is waited for before each answer. */
  gate: () => Promise<void> = async () => {}

  constructor(size: GridSize, fields: readonly Field[]) {
    this.grid = { geometry: new Geometry(size), fields }
    this.#pages = new Pages(this.grid)
  }

  view(): GridView {
    const { width, height, tile } = this.grid.geometry
    const { fields } = this.grid
    return { width, height, tile, fields, replicas: 1, epoch: 1, ledger: 'ledger' }
  }

  /** A submission of a write, done at once. */
  write(wish: object): SubmissionResult {
    const result = checkSubmission(wish, this.grid)
    if (!result.ok) return result
    const { op, region, args } = result.submission.body
    this.seq += 1
    this.#pages.write(op, args, region!, [this.grid.geometry.tilesOf(region!)])
    return result
  }

  readonly look: HttpPort['look'] = async (wish, _client, left) => {
    const result = checkSubmission(wish, this.grid)
    if (!result.ok) return { ok: false, refusal: refusalOf(result.problems) }
    const { op, region, args } = result.submission.body
    this.asked.push({ op, lsus: region!.w * region!.h })
    await this.gate()
    if (left.aborted) return new Promise(() => {})
    const tiles = this.grid.geometry.tilesOf(region!)
    const only = (partials: Wire[]): Wire => partials[0]!
    const value = this.#pages.read(op, args, region!, [tiles], only)
    return { ok: true, value, consistent: true, tag: `ledger-1-${this.seq}-1` }
  }
}
