/**
 * Accepted writes that have no place in the order yet, found by what they wait for. A write waits for the
 * first of its tiles that has not enough in-sync holders, or that is to be born before the fleet has
 * settled; or for an earlier write of its own submitter over a common tile, since each submitter's writes
 * to a tile take effect as it sent them. So a write over a tile that nobody has holds up only what its
 * own submitter sends there afterwards, never others.
 *
 * A write that reads neighbours holds up others for a moment (barriers.ts). To others and to tiles it goes over all that
 * it reads.
 *
 * Work: a write is looked at when it comes, and when what it waits for has changed; nothing else that
 * waits is. What stands before a small write is found by its tiles, not among all that its submitter has
 * waiting. Invariant: one that is not in `#due` waits for `behind` or for `tile`, and is listed there; or it has a
 * barrier, or had one just now.
 */
import type { Region } from '../../../shared/grid/geometry.ts'
import type { CoordinatorContext } from './coordinator-context.ts'
import { NO_HOLDER } from './slots.ts'
import { regionRead, tilesRead } from './task-extent.ts'
import type { Task, WaitReason } from './task-ledger.ts'
import { type Changes, TileWaits } from './tile-waits.ts'

/** As many as a small region at a corner touches; a write of more is not listed by each of its tiles. */
const SMALL_TILES_MAX = 4

/** A small write in the line of its lane at one of its tiles. */
interface Place {
  readonly waiting: Waiting
  readonly tile: number
  earlier: Place | undefined
  later: Place | undefined
}

/** How much may be looked at before others get their turn. */
export interface Looks {
  left: number
}

interface Waiting {
  readonly task: Task
  /** Of a small one, for each of its tiles; no others have any. */
  readonly places: Place[]
  /** Of one submitter, in the order in which they came; those that are gone are swept now and then. */
  readonly lane: Lane
  readonly followers: Waiting[]
  behind: Waiting | undefined
  tile: number | undefined
  isGone: boolean
}

interface Lane {
  readonly submitter: string
  entries: Waiting[]
  /** Those of the entries that are not small. */
  large: Waiting[]
  readonly lastAt: Map<number, Place>
  gone: number
}

/** What a holder is worth to a write: one that has to know the operation first outweighs the others. */
const ABLE = 1
const OUT = 0
const UNABLE = -64
const NOT_LOOKED_AT = -65

/** What each holder is worth to writes of an operation, by its index, and one; as far as it was looked at. */
interface Grades {
  readonly op: string
  readonly byHolder: Int8Array
  /** Asked for the first tile that is to be born: to ask sets a deadline. */
  isSettled?: boolean
}

export class WaitingWrites {
  readonly #context: CoordinatorContext
  readonly #byTask = new Map<Task, Waiting>()
  readonly #lanes = new Map<string, Lane>()
  readonly #waits: TileWaits<Waiting>
  /** To be looked at, in order. */
  #due: Waiting[] = []

  constructor(context: CoordinatorContext) {
    this.#context = context
    this.#waits = new TileWaits(context.placement)
  }

  get size(): number {
    return this.#byTask.size
  }

  add(task: Task): void {
    const lane = this.#laneOf(task)
    const waiting: Waiting = {
      task,
      lane,
      places: [],
      followers: [],
      behind: undefined,
      tile: undefined,
      isGone: false,
    }
    lane.entries.push(waiting)
    this.#queue(waiting)
    this.#byTask.set(task, waiting)
    this.#due.push(waiting)
  }

  /** False when it did not wait. Those that stood behind it are due. */
  remove(task: Task): boolean {
    const waiting = this.#byTask.get(task)
    if (waiting === undefined) return false
    this.#byTask.delete(task)
    waiting.isGone = true
    task.waitingFor = undefined
    if (waiting.tile !== undefined) this.#waits.delete(waiting.tile, waiting)
    for (const place of waiting.places) leave(waiting.lane, place)
    this.#leaveLane(waiting.lane)
    this.#context.barriers.fall(task)
    this.#letFollow(waiting)
    return true
  }

  #letFollow(waiting: Waiting): void {
    for (const follower of waiting.followers.splice(0)) {
      if (follower.behind !== waiting) continue
      follower.behind = undefined
      this.#due.push(follower)
    }
  }

  /** Its barrier falls: those that it held up have their turn. */
  release(task: Task): void {
    const waiting = this.#byTask.get(task)
    if (waiting === undefined) return
    this.#context.barriers.fall(task)
    this.#letFollow(waiting)
  }

  /** What it reads around its tiles is there, or to be read again. */
  goOn(task: Task): void {
    const waiting = this.#byTask.get(task)
    const isListed = waiting?.tile !== undefined || waiting?.behind !== undefined
    if (waiting !== undefined && !isListed) this.#due.push(waiting)
  }

  /** What waits for a tile that the changes concern may go on. */
  wake(changes: Changes): void {
    const concerned = this.#waits.concernedBy(changes)
    if (concerned.length === 0) return
    const woken: Waiting[] = []
    const isSettled = this.#context.isSettled()
    for (const tile of concerned as number[]) {
      if (!this.#isReady(tile, isSettled)) {
        this.#retell(tile, this.#waits.itemsOf(tile))
        continue
      }
      for (const one of this.#waits.take(tile)) {
        one.tile = undefined
        woken.push(one)
      }
    }
    woken.sort((a, b) => a.task.order - b.task.order)
    for (const one of woken) this.#due.push(one)
  }

  /** What waits for a tile may do so for another reason now; those of one operation have the same. */
  #retell(tile: number, waiting: ReadonlySet<Waiting>): void {
    const reasons = new Map<string, WaitReason>()
    for (const { task } of waiting) {
      if (!reasons.has(task.op)) reasons.set(task.op, this.#reasonAt(tile, task.op))
      this.#context.taskWaits(task, reasons.get(task.op))
    }
  }

  /** Some are to be looked at. */
  get hasDue(): boolean {
    return this.#due.length > 0
  }

  /** The next write that can get its place now; it waits no more. None also when the looks are used up. */
  take(looks: Looks): Task | undefined {
    let at = 0
    while (at < this.#due.length && looks.left > 0) {
      const waiting = this.#due[at]!
      at += 1
      looks.left -= 1
      if (waiting.isGone || this.#isHeldUp(waiting, looks)) continue
      this.#due.splice(0, at)
      this.#context.barriers.bringEdges(waiting.task)
      this.remove(waiting.task)
      return waiting.task
    }
    this.#due.splice(0, at)
    return undefined
  }

  /** What a write waits for: a tile, or an earlier write of its submitter. */
  reasonOf(task: Task): { readonly tile?: number; readonly behind?: Task } | undefined {
    const waiting = this.#byTask.get(task)
    if (waiting?.behind !== undefined) return { behind: waiting.behind.task }
    return waiting?.tile === undefined ? undefined : { tile: waiting.tile }
  }

  #isHeldUp(waiting: Waiting, looks: Looks): boolean {
    const earlier = this.#predecessorOf(waiting, looks)
    if (earlier !== undefined) {
      this.#follow(waiting, earlier, 'earlier-write')
      return true
    }
    const tiles = tilesRead(waiting.task.body!, this.#context.options.grid)
    const tile = tiles[this.#nextBlocked(tiles, 0, this.#gradesFor(waiting.task.op))]
    if (tile === undefined) return this.#isHeldUpByNeighbours(waiting)
    if (this.#context.barriers.find(waiting.task) !== undefined) this.release(waiting.task)
    this.#context.taskWaits(waiting.task, this.#reasonAt(tile, waiting.task.op))
    waiting.tile = tile
    this.#waits.add(tile, waiting)
    return true
  }

  #follow(waiting: Waiting, first: Waiting, reason: WaitReason): void {
    this.#context.taskWaits(waiting.task, reason)
    waiting.behind = first
    first.followers.push(waiting)
  }

  /** By one that reads what it would write, or by its own that are not read yet. */
  #isHeldUpByNeighbours(waiting: Waiting): boolean {
    const { barriers, options } = this.#context
    const { task } = waiting
    const region = regionRead(task.body!, options.grid)
    const reads = region !== task.body!.region
    const own = barriers.find(task)
    const mayRaise = reads && own === undefined
    const barrier = mayRaise
      ? barriers.beforeOneMore(region, task)
      : barriers.inTheWayOf(region, task)
    if (barrier !== undefined) {
      this.#follow(waiting, this.#byTask.get(barrier.task)!, 'neighbours')
      return true
    }
    if (!reads || own?.edges !== undefined) return false
    this.#context.taskWaits(task, 'neighbours')
    if (mayRaise) barriers.raise(task)
    return true
  }

  #queue(waiting: Waiting): void {
    const { geometry } = this.#context.options.grid
    const { lane, places, task } = waiting
    const region = this.#regionOf(task)
    if (geometry.countTilesOf(region) > SMALL_TILES_MAX) {
      lane.large.push(waiting)
      return
    }
    for (const tile of geometry.tilesOf(region)) {
      const earlier = lane.lastAt.get(tile)
      const place: Place = { waiting, tile, earlier, later: undefined }
      if (earlier !== undefined) earlier.later = place
      lane.lastAt.set(tile, place)
      places.push(place)
    }
  }

  /** The last one before it: whatever stands before that one holds that one up. */
  #predecessorOf({ task, lane, places }: Waiting, looks: Looks): Waiting | undefined {
    const { geometry } = this.#context.options.grid
    let last: Waiting | undefined
    for (const { earlier } of places) {
      if (earlier === undefined) continue
      if (last === undefined || earlier.waiting.task.order > last.task.order) last = earlier.waiting
    }
    const others = places.length > 0 ? lane.large : lane.entries
    for (let at = countBefore(others, task) - 1; at >= 0; at--) {
      const earlier = others[at]!
      if (last !== undefined && earlier.task.order < last.task.order) break
      looks.left -= 1
      if (earlier.isGone) continue
      if (geometry.shareTile(this.#regionOf(earlier.task), this.#regionOf(task))) return earlier
    }
    return last
  }

  /** Those of these tiles that a write of this operation would have to wait for. */
  *blockedTiles(tiles: Uint32Array, op: string): Generator<number, void> {
    const grades = this.#gradesFor(op)
    let at = this.#nextBlocked(tiles, 0, grades)
    for (; at < tiles.length; at = this.#nextBlocked(tiles, at + 1, grades)) yield tiles[at]!
  }

  #gradesFor(op: string): Grades {
    const byHolder = new Int8Array(this.#context.members.indexesEnd + 1).fill(NOT_LOOKED_AT)
    byHolder[NO_HOLDER] = OUT
    return { op, byHolder }
  }

  /** Where the next of these tiles is that a write would wait for, from here on; else how many there are. */
  #nextBlocked(tiles: Uint32Array, from: number, grades: Grades): number {
    const { placement, options } = this.#context
    const { slots, replicas, bornCount } = placement
    const { byHolder } = grades
    const needed = Math.max(1, options.minInSync)
    const areAllBorn = bornCount === options.grid.geometry.tiles
    for (let at = from; at < tiles.length; at++) {
      const start = Math.imul(tiles[at]!, replicas)
      let worth = 0
      for (let slot = start; slot < start + replicas; slot++) worth += byHolder[slots[slot]!]!
      if (worth >= needed && (areAllBorn || placement.isBorn(tiles[at]!))) continue
      if (this.#isBlocked(tiles[at]!, needed, grades)) return at
    }
    return tiles.length
  }

  /** It may be that a holder was not looked at. */
  #isBlocked(tile: number, needed: number, grades: Grades): boolean {
    const { op, byHolder } = grades
    const { placement, members } = this.#context
    if (!placement.isBorn(tile)) {
      grades.isSettled ??= this.#context.isSettled()
      if (!grades.isSettled) return true
    }
    const { slots, replicas } = placement
    let worth = 0
    for (let slot = tile * replicas; slot < (tile + 1) * replicas; slot++) {
      const holder = slots[slot]!
      if (byHolder[holder] === NOT_LOOKED_AT) {
        const { isInSync, operations } = members.at(holder - 1)
        byHolder[holder] = !isInSync ? OUT : operations.has(op) ? ABLE : UNABLE
      }
      worth += byHolder[holder]!
    }
    return worth < needed
  }

  #reasonAt(tile: number, op: string): WaitReason {
    const { placement, members } = this.#context
    if (!placement.isBorn(tile) && !this.#context.isSettled()) return 'settling'
    const holders = placement.holdersOf(tile).map((index) => members.at(index))
    const stopped = holders.find(({ stopReason }) => stopReason !== undefined)
    if (stopped !== undefined) return stopped.stopReason!.code
    const isUnable = holders.some((member) => member.isInSync && !member.operations.has(op))
    return isUnable ? 'unknown-operation' : 'holders-away'
  }

  /** Whether a write over it may go on, for all that is known without the write. */
  #isReady(tile: number, isSettled: boolean): boolean {
    const { placement, members, options } = this.#context
    if (!placement.isBorn(tile) && !isSettled) return false
    const inSync = placement.holdersOf(tile).filter((index) => members.at(index).isInSync)
    return inSync.length >= Math.max(1, options.minInSync)
  }

  #regionOf(task: Task): Region {
    return regionRead(task.body!, this.#context.options.grid)
  }

  #laneOf({ submitter, id }: Task): Lane {
    // Of before somebody was known: it has no order with others.
    const name = submitter ?? `task/${id}`
    let lane = this.#lanes.get(name)
    if (lane === undefined) {
      lane = { submitter: name, entries: [], large: [], lastAt: new Map(), gone: 0 }
      this.#lanes.set(name, lane)
    }
    return lane
  }

  #leaveLane(lane: Lane): void {
    lane.gone += 1
    if (lane.gone === lane.entries.length) this.#lanes.delete(lane.submitter)
    if (lane.gone * 2 < lane.entries.length) return
    lane.entries = lane.entries.filter(({ isGone }) => !isGone)
    lane.large = lane.large.filter(({ isGone }) => !isGone)
    lane.gone = 0
  }
}

function leave({ lastAt }: Lane, { tile, earlier, later }: Place): void {
  if (earlier !== undefined) earlier.later = later
  if (later !== undefined) later.earlier = earlier
  else if (earlier !== undefined) lastAt.set(tile, earlier)
  else lastAt.delete(tile)
}

/** How many of them, which are in order, came before a task. */
function countBefore(entries: readonly Waiting[], { order }: Task): number {
  let [low, high] = [0, entries.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (entries[middle]!.task.order < order) low = middle + 1
    else high = middle
  }
  return low
}
