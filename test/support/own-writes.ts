/**
 * Writes of the gateway's own, as the ledger's disk has them: of readings. Nobody is shown how one ends; that it is done
 * is seen by what the ledger keeps of it.
 */
import type { WriteRecord } from '../../broker/core/ledger-records.ts'
import { decodeBody } from '../../broker/core/state/task-ledger.ts'
import type { GridContext } from '../../shared/operations/operation.ts'
import { valuesOf } from '../../shared/operations/scatter.ts'
import type { PlainTask } from './grid-model.ts'
import { violated } from './violation.ts'

interface OwnWrite {
  readonly plain: PlainTask
  outcome: 'open' | 'done' | 'lost'
}

export function isOwn(task: string): boolean {
  return task.startsWith('$')
}

export class OwnWrites {
  readonly #grid: GridContext
  readonly #bodies = new Map<string, PlainTask>()
  readonly #writes = new Map<number, OwnWrite>()

  constructor(grid: GridContext) {
    this.#grid = grid
  }

  body(task: string, encoded: Uint8Array): void {
    this.#bodies.set(task, this.plainOf(encoded))
  }

  /** The task of a write that has got its place; nothing if it had it. */
  sequenced(seq: number, { task }: WriteRecord): PlainTask | undefined {
    if (this.#writes.has(seq)) return undefined
    const plain = this.#bodies.get(task)
    if (plain === undefined) violated(`write ${seq} of the gateway has no body`)
    this.#bodies.delete(task)
    this.#writes.set(seq, { plain, outcome: 'open' })
    return plain
  }

  /** What has just become of a write: of its row, or of none any more. */
  ended(
    seq: number,
    row: WriteRecord | undefined,
  ): { readonly plain: PlainTask; readonly outcome: 'done' | 'lost' } | undefined {
    const write = this.#writes.get(seq)
    if (write === undefined) return undefined
    if (row === undefined) this.#writes.delete(seq)
    if (write.outcome !== 'open') return undefined
    if (row?.isLost === true) write.outcome = 'lost'
    else if (row === undefined || row.isDone === true) write.outcome = 'done'
    const { plain, outcome } = write
    return outcome === 'open' ? undefined : { plain, outcome }
  }

  /** The ledger is lost. */
  forget(): void {
    this.#bodies.clear()
    this.#writes.clear()
  }

  plainOf(encoded: Uint8Array): PlainTask {
    const { op, args } = decodeBody(encoded)
    const { geometry, fields } = this.#grid
    const named = [...valuesOf(args, fields)]
    const x = named.map(({ id }) => id % geometry.width)
    const y = named.map(({ id }) => Math.floor(id / geometry.width))
    const values = named.map(({ value }) => value)
    return { op, args: { field: named[0]!.field.name, x, y, values }, deadline_ms: 0 }
  }
}
