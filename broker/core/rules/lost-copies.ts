/**
 * Copies of tiles that turn out to be none: a node says that a page is damaged, or the scrubber that it
 * differs. Where it was the last one, the tile is lost until an operator has it begin anew.
 */
import { count } from '../../../shared/core/count.ts'
import { unpackTiles } from '../../../shared/operations/columns.ts'
import type { GatewayEvent } from '../events.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import { forgetAbsent, missingMarkOf } from './missing-tiles.ts'
import type { Moves } from './moves.ts'
import type { Rebalancer } from './rebalancer.ts'
import type { Writes } from './writes.ts'

interface TasksOfCopies {
  readonly writes: Writes
  readonly moves: Moves
  readonly rebalancer: Rebalancer
}

type RecreateRequested = Extract<GatewayEvent, { type: 'recreate-requested' }>
type Reason = 'page-damaged' | 'drift'

export class LostCopies {
  readonly #context: CoordinatorContext
  readonly #writes: Writes
  readonly #moves: Moves
  readonly #rebalancer: Rebalancer

  constructor(context: CoordinatorContext, { writes, moves, rebalancer }: TasksOfCopies) {
    this.#context = context
    this.#writes = writes
    this.#moves = moves
    this.#rebalancer = rebalancer
  }

  /** Pages of the member are damaged where its stream is at `position`: it holds these tiles no more. */
  noteBroken(member: Member, broken: Uint8Array, position: number): void {
    const { moves, placement, options } = this.#context
    const tiles = [...unpackTiles(broken)].filter((tile) => tile < options.grid.geometry.tiles)
    for (const tile of tiles) {
      const move = moves.of(tile)
      const isAdopted = move?.stage === 'catching-up' && position >= move.adopted
      if (move?.to === member.index && isAdopted) this.#moves.rollBack(move, 'page-damaged')
    }
    const held = tiles.filter((tile) => placement.isHolder(tile, member.index))
    if (held.length === 0) return
    const dropped = droppedAfter(member, position)
    const lost = held.filter((tile) => !dropped.has(tile))
    this.lose(member, lost, 'page-damaged')
  }

  /** The member's copies of these tiles are none: the tiles get others. */
  lose(member: Member, tiles: readonly number[], why: Reason): void {
    const { placement, moves } = this.#context
    const held: number[] = []
    for (const tile of tiles) {
      // One at a time: a node may name a tile twice.
      if (!placement.isHolder(tile, member.index)) continue
      held.push(tile)
      placement.dropHolder(tile, member.index)
      const move = moves.of(tile)
      if (move?.from === member.index) move.from = undefined
    }
    if (held.length === 0) return
    this.#moves.drop(member, held)
    this.#tell(member, held, why)
    this.#rebalancer.wake()
  }

  /** One notice for all of a kind: a card that fails loses thousands at a time. */
  #tell({ id: node }: Member, tiles: readonly number[], why: Reason): void {
    const { placement } = this.#context
    const isGone = (tile: number): boolean => placement.holdersOf(tile).length === 0
    const gone = tiles.filter(isGone)
    const others = tiles.filter((tile) => !isGone(tile))
    if (gone.length > 0) {
      const message = `${describe(gone, node, why)}, and there is no other copy`
      this.#context.notice('error', 'tile-lost', message, { node, ...fieldsOf(gone) })
    }
    if (others.length > 0) {
      const level = why === 'drift' ? 'error' : 'warn'
      const message = `${describe(others, node, why)}; there will be a new copy`
      this.#context.notice(level, why, message, { node, ...fieldsOf(others) })
    }
  }

  recreateMissing({ ticket, shown }: RecreateRequested): void {
    const isAsShown = shown === undefined || shown === missingMarkOf(this.#context)
    const tiles = isAsShown ? this.#giveUpMissing() : undefined
    if (ticket !== undefined) this.#context.emit({ type: 'answer-recreate', ticket, tiles })
  }

  /**
   * Tiles without any copy are given up; they read as zeros again and are born with their next write. What a
   * node is about to hold is no such tile; a copy that is still asked for will not come.
   */
  #giveUpMissing(): number {
    const { placement, moves } = this.#context
    const missing = placement
      .missingTiles()
      .filter((tile) => moves.of(tile)?.stage !== 'catching-up')
    if (missing.length === 0) return 0
    for (const tile of missing) {
      const move = moves.of(tile)
      if (move !== undefined) this.#moves.rollBack(move, 'recreated')
    }
    this.#writes.giveUp(missing)
    placement.unbear(missing)
    // Of what stays missing they may have copies.
    if (placement.tally.missing === 0) forgetAbsent(this.#context)
    this.#context.copied.judge(new Map(missing.map((tile) => [tile, 0])))
    const message = `${count(missing.length, 'tile')} begun anew, as zeros: no copy was left`
    this.#context.notice('warn', 'tiles-recreated', message, { tiles: missing.length })
    return missing.length
  }
}

/** Tiles that the member drops further on in its stream: if it holds them again, it is by another page. */
function droppedAfter({ stream }: Member, position: number): Set<number> {
  const later = stream.items.slice(Math.max(0, position - stream.acked))
  const drops = later.filter(({ order }) => order?.op === '$drop')
  return new Set(drops.flatMap(({ parts }) => [...parts.tiles]))
}

function describe(tiles: readonly number[], node: string, why: Reason): string {
  const what = tiles.length === 1 ? `the page of tile ${tiles[0]}` : count(tiles.length, 'page')
  const isWhat = why === 'drift' ? 'not as on another' : 'damaged'
  return `on node ${node}, ${what} ${tiles.length === 1 ? 'is' : 'are'} ${isWhat}`
}

function fieldsOf(tiles: readonly number[]): Record<string, number> {
  return tiles.length === 1 ? { tile: tiles[0]! } : { tiles: tiles.length, first: tiles[0]! }
}
