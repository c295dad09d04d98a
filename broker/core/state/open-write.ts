/**
 * A sequenced write that some node still needs: its parts, and which of its holders are awaited. What it waits for and
 * when it is done is decided in writes.ts.
 *
 * Invariant: a member is awaited by the part of its own that stands last in its stream, until it has acknowledged that.
 */
import { type EntryParts, withRoom } from './entry-parts.ts'
import type { GhostTally } from './ghost-tally.ts'
import type { StreamItem } from './stream-items.ts'
import type { Task } from './task-ledger.ts'
import type { WrittenTally } from './written-tally.ts'

export class OpenWrite {
  readonly seq: number
  readonly task: Task
  readonly item: StreamItem
  /** It was open already when the gateway started. */
  readonly isRestored: boolean
  /** Done: on disk with all who had to have it. Lost: a tile of it has no copy any more, so that it never will be. */
  outcome: 'open' | 'done' | 'lost' = 'open'
  /** Of a program whose nodes tell how many cells took a value, until it is done. */
  written: WrittenTally | undefined
  /** What nodes told of its ghost since the start: who tells of a part does so once, and what was told before is lost. */
  ghost: GhostTally | undefined
  /** How many moves may still have to catch up with it. */
  retained = 0
  /** The first of these are the parts by which members are awaited, in no order. */
  #awaited: Uint32Array
  #awaitedCount = 0
  /** By part: where it is among those, and one. */
  #places: Uint32Array
  /** Of the awaited from here on none is such as was last looked for: who is passed over is so once. */
  #passed = 0

  constructor(item: StreamItem, task: Task, isRestored = false) {
    this.seq = item.seq
    this.task = task
    this.item = item
    this.isRestored = isRestored
    this.#awaited = new Uint32Array(item.parts.members.length)
    this.#places = new Uint32Array(item.parts.members.length)
  }

  get parts(): EntryParts {
    return this.item.parts
  }

  /** How many members are awaited. */
  get awaitedCount(): number {
    return this.#awaitedCount
  }

  /** The member of this part, its last one, has not acknowledged it: that is awaited, and none before. */
  expect(part: number): void {
    const { members } = this.parts
    const member = members[part]
    for (let other = part - 1; other >= 0; other--) {
      if (members[other] === member) {
        this.acknowledged(other)
        break
      }
      if (this.parts.ascendsTo(part)) break
    }
    this.#awaited = withRoom(this.#awaited, part + 1)
    this.#places = withRoom(this.#places, part + 1)
    this.#awaited[this.#awaitedCount] = part
    this.#awaitedCount += 1
    this.#places[part] = this.#passed = this.#awaitedCount
  }

  /** True if its member was awaited by this part; it is not any more. */
  acknowledged(part: number): boolean {
    const place = this.#places[part]!
    if (place === 0) return false
    const moved = this.#awaited[this.#awaitedCount - 1]!
    this.#awaited[place - 1] = moved
    this.#places[moved] = place
    this.#places[part] = 0
    this.#awaitedCount -= 1
    return true
  }

  /** The member's stream has ended. False where it has no part. */
  forget(member: number): boolean {
    const last = this.parts.lastOf(member)
    if (last !== undefined) this.acknowledged(last)
    return this.parts.remove(member)
  }

  isAwaited(member: number): boolean {
    const last = this.parts.lastOf(member)
    return last !== undefined && this.#places[last]! > 0
  }

  get awaitedMembers(): number[] {
    return Array.from({ length: this.#awaitedCount }, (_, place) => this.#memberAt(place))
  }

  /** An awaited member that is such; the same one as long as it is. */
  findAwaited(isSuch: (member: number) => boolean): number | undefined {
    return this.#findBefore(this.#passed, isSuch) ?? this.#findBefore(this.#awaitedCount, isSuch)
  }

  #findBefore(end: number, isSuch: (member: number) => boolean): number | undefined {
    this.#passed = Math.min(end, this.#awaitedCount)
    for (; this.#passed > 0; this.#passed--) {
      const member = this.#memberAt(this.#passed - 1)
      if (isSuch(member)) return member
    }
    return undefined
  }

  #memberAt(place: number): number {
    return this.parts.members[this.#awaited[place]!]!
  }
}
