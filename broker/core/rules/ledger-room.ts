/**
 * Whether the ledger has room for more: on its disk, whose free bytes are looked at now and then, and in the log of
 * writes, which nodes that are far behind keep long. A log that is full may have room again once such a node is given
 * up.
 */

import type { Refusal } from '../effects.ts'
import type { GatewayEvent } from '../events.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Fleet } from './fleet.ts'

const MIB = 1024 * 1024
/** Left for what was accepted already: results, states, acknowledgements. As on the nodes. */
export const DISK_FREE_BYTES_MIN = 16 * MIB
/** A disk that was full has room again from here on, so that it does not change with every write. */
const DISK_FREE_BYTES_AGAIN = 20 * MIB
/** Looking for a stream that can be spared goes through all tiles: not for each write of a full log. */
const LOG_FULL_MS = 1000

export class LedgerRoom {
  readonly #context: CoordinatorContext
  readonly #fleet: Fleet
  #disk: 'roomy' | 'full' = 'roomy'
  /** What may be accepted until the disk is looked at again. */
  #diskRoomBytes = Number.POSITIVE_INFINITY
  /** No stream could be spared; until then none is looked for. */
  #logFullUntilMs = Number.NEGATIVE_INFINITY

  constructor(context: CoordinatorContext, fleet: Fleet) {
    this.#context = context
    this.#fleet = fleet
  }

  diskChecked({ freeBytes }: Extract<GatewayEvent, { type: 'disk-checked' }>): void {
    this.#diskRoomBytes = freeBytes - DISK_FREE_BYTES_MIN
    if (this.#disk === 'roomy' && freeBytes < DISK_FREE_BYTES_MIN) {
      this.#disk = 'full'
      const message = 'the disk of the ledger is full: no task is accepted'
      this.#context.notice('error', 'disk-full', message, { freeBytes })
    } else if (this.#disk === 'full' && freeBytes >= DISK_FREE_BYTES_AGAIN) {
      this.#disk = 'roomy'
      const message = 'the disk of the ledger has room again: tasks are accepted'
      this.#context.notice('info', 'disk-roomy', message, { freeBytes })
    }
  }

  diskRefusal(bytes: number): Refusal | undefined {
    if (this.#disk === 'roomy' && bytes <= this.#diskRoomBytes) return undefined
    return { code: 'disk-full', message: 'the disk of the gateway has no room for more' }
  }

  /** So much was accepted. */
  take(bytes: number): void {
    this.#diskRoomBytes -= bytes
  }

  /** Whether a write of so many bytes finds room in the log, if need be by giving up the stream of a node. */
  hasLogRoom(bytes: number): boolean {
    const { tasks, options } = this.#context
    while (tasks.logBytes + bytes > options.logBytesMax) if (!this.#findRoom()) return false
    return true
  }

  #findRoom(): boolean {
    const { nowMs } = this.#context
    if (nowMs < this.#logFullUntilMs) return false
    const isFreed = this.#fleet.freeLog()
    if (!isFreed) this.#logFullUntilMs = nowMs + LOG_FULL_MS
    return isFreed
  }
}
