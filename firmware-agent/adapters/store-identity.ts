/**
 * Whose store it is, and whether pages of format 2 lie in it (shared/grid/packed-page.ts). A version from before does
 * not know them: it would take each for damaged, and throw it away. So once there are some, the record of the grid
 * names a field of a type that it cannot know, and it ends before it has touched anything (decision 0028).
 */
import { randomId } from '../../shared/core/ids.ts'
import type { Random } from '../../shared/core/random.ts'
import type { Table } from '../../shared/runtime/tables.ts'
import type { StoreFacts } from '../core/stored-state.ts'
import { sealRecord } from './sealed-record.ts'
import { readRecord } from './slice-records.ts'

const KEY = 'identity'
/** No field of a grid has this type. */
const PACKED_MARK = ',pages:packed'

export class StoreIdentity {
  readonly #meta: Table<string>
  readonly #random: Random
  #facts: StoreFacts
  #hasPacked: boolean

  /** As of another start. */
  constructor(meta: Table<string>, random: Random) {
    this.#meta = meta
    this.#random = random
    const last = readRecord<StoreFacts>(meta, KEY)
    const grid = last?.grid ?? null
    this.#hasPacked = grid?.fields.endsWith(PACKED_MARK) === true
    this.#facts =
      last === undefined
        ? { storeId: randomId(random), boot: 1, ledgerId: null, grid }
        : { ...last, boot: last.boot + 1, grid: grid && { ...grid, fields: unmarked(grid.fields) } }
  }

  get facts(): StoreFacts {
    return this.#facts
  }

  /** Whether pages of format 2 may lie here. */
  get hasPacked(): boolean {
    return this.#hasPacked
  }

  /** Those of an empty store, which goes on counting starts. */
  renewed(): StoreFacts {
    const { boot } = this.#facts
    return { storeId: randomId(this.#random), boot, ledgerId: null, grid: null }
  }

  /** Inside a transaction; `became` follows once that is on disk. */
  put(facts: StoreFacts, hasPacked = this.#hasPacked): void {
    const { grid } = facts
    const mark = hasPacked ? PACKED_MARK : ''
    const stored = { ...facts, grid: grid && { ...grid, fields: `${grid.fields}${mark}` } }
    void this.#meta.put(KEY, sealRecord(stored))
  }

  became(facts: StoreFacts, hasPacked = this.#hasPacked): void {
    this.#facts = facts
    this.#hasPacked = hasPacked
  }
}

function unmarked(fields: string): string {
  return fields.endsWith(PACKED_MARK) ? fields.slice(0, -PACKED_MARK.length) : fields
}
