/**
 * Tiles on their way to and from this node: pages that others are to get once the stream stands where it
 * must, pages that come in pieces and are staged on disk, and tiles whose page is damaged and that wait
 * for a new one. What a tile is from which entry on is the stream's matter (control-entries.ts).
 */
import { concatBytes, packTiles, unpackTiles } from '../../shared/operations/columns.ts'
import type { Chunk, Copy, Down, Up } from '../../shared/protocol/messages.ts'
import type { AgentEffect, IncomingPage } from './effects.ts'
import type { TransferEvent } from './events.ts'
import { Imports } from './imports.ts'

type Discard = Extract<Down, { t: 'discard' }>
type Examine = Extract<Down, { t: 'examine' }>

/** A page in pieces of this many bytes: as large as the parts of writes and reads. */
export const PIECE_BYTES = 32 * 1024

/** More are not waited for: the gateway asks again. */
const COPIES_WAITING_MAX = 256

export class Transfers {
  readonly #imports = new Imports()
  readonly #pieceBytes: number
  #copies: Copy[] = []
  /** Whole, and not with the store yet. */
  #whole: IncomingPage[] = []
  #isStaging = false
  #broken: readonly number[]

  constructor(pieceBytes: number, broken: readonly number[]) {
    this.#pieceBytes = pieceBytes
    this.#broken = broken
  }

  /** Tiles whose page is damaged, ascending. */
  get broken(): readonly number[] {
    return this.#broken
  }

  /** False when there is nothing new. */
  setBroken(tiles: readonly number[]): boolean {
    const known = new Set(this.#broken)
    const isNew = tiles.some((tile) => !known.has(tile))
    this.#broken = [...tiles].sort((a, b) => a - b)
    return isNew
  }

  /** An order of the gateway; the stream stands at `position`. */
  receive(message: Copy | Chunk | Discard | Examine, position: number): AgentEffect[] {
    switch (message.t) {
      case 'copy':
        this.#copies = this.#copies.filter(({ tile }) => tile !== message.tile)
        if (this.#copies.length < COPIES_WAITING_MAX) this.#copies.push(message)
        return this.copiesAt(position)
      case 'chunk': {
        const page = this.#imports.receive(message)
        if (page !== undefined) this.#whole.push(page)
        return this.#stageNext()
      }
      case 'discard':
        this.#imports.discard(message.tile)
        this.#whole = this.#whole.filter((page) => page.tile !== message.tile)
        return [{ type: 'discard-page', tile: message.tile, move: message.move }]
      case 'examine':
        return [{ type: 'examine-pages', tiles: unpackTiles(message.tiles) }]
    }
  }

  /** Pages may be read for others that were not to be before the stream stood at `position`. */
  copiesAt(position: number): AgentEffect[] {
    const ready = this.#copies.filter(({ after }) => after <= position)
    if (ready.length === 0) return []
    this.#copies = this.#copies.filter(({ after }) => after > position)
    return ready.map((copy) => ({ type: 'copy-page', copy }))
  }

  /** What the store says; without a session there is nobody to tell, and the gateway asks again. */
  take(event: Exclude<TransferEvent, { type: 'pages-broken' }>, session?: number): AgentEffect[] {
    const messages = session === undefined ? [] : messagesOf(event, session, this.#pieceBytes)
    const effects: AgentEffect[] = messages.map((message) => ({ type: 'send', message }))
    if (event.type === 'pages-staged' || event.type === 'staging-failed') {
      this.#isStaging = false
      effects.push(...this.#stageNext())
    }
    return effects
  }

  /** Nothing while the store is at it: one flush then serves all that has become whole. */
  #stageNext(): AgentEffect[] {
    if (this.#isStaging || this.#whole.length === 0) return []
    this.#isStaging = true
    return [{ type: 'stage-pages', pages: this.#whole.splice(0) }]
  }

  /** The connection ended: what was under way is asked for again. */
  disconnected(): void {
    this.#imports.clear()
    this.#copies = []
    this.#whole = []
  }

  /** The store was emptied. */
  reset(): void {
    this.disconnected()
    this.#isStaging = false
    this.#broken = []
  }
}

function messagesOf(
  event: Exclude<TransferEvent, { type: 'pages-broken' }>,
  session: number,
  pieceBytes: number,
): Up[] {
  switch (event.type) {
    case 'page-copied':
      // Read for a session that is over: the gateway has asked again, or another node.
      return event.copy.session === session ? piecesOf(event.page, session, pieceBytes) : []
    case 'copy-failed': {
      const { copy, code, message } = event
      return [{ t: 'copy-failed', session, move: copy.move, tile: copy.tile, code, message }]
    }
    case 'pages-staged':
      return event.pages.map(({ move, tile, at, digest }) => {
        return { t: 'staged', session, move, tile, at, digest }
      })
    case 'staging-failed': {
      const { pages, code, message } = event
      return pages.map(({ move, tile }) => {
        return { t: 'copy-failed', session, move, tile, code, message }
      })
    }
    case 'pages-examined': {
      const { pages } = event
      const tiles = packTiles(pages.map(({ tile }) => tile))
      const ats = pages.map(({ at }) => at)
      const digests = concatBytes(pages.map(({ digest }) => digest))
      return [{ t: 'examined', session, tiles, ats, digests }]
    }
  }
}

/** A page as messages to the gateway. */
function piecesOf(page: IncomingPage, session: number, pieceBytes: number): Up[] {
  const { move, tile, at, digest, bytes } = page
  const of = Math.max(1, Math.ceil(bytes.length / pieceBytes))
  return Array.from({ length: of }, (_, index) => ({
    t: 'chunk',
    session,
    move,
    tile,
    at,
    digest,
    index,
    of,
    bytes: bytes.subarray(index * pieceBytes, (index + 1) * pieceBytes),
  }))
}
