/**
 * What happens to one slice while it belongs to one ledger, drawn from a seed, and the state that each
 * position of its stream stands for. The values come from the plain model of the grid.
 */
import { SliceGrid } from '../../../firmware-agent/adapters/slice-grid.ts'
import { Random } from '../../../shared/core/random.ts'
import type { Region } from '../../../shared/grid/geometry.ts'
import { unpackTiles } from '../../../shared/operations/columns.ts'
import type { Answer, Entry } from '../../../shared/protocol/messages.ts'
import { GridModel, type TileState } from '../grid-model.ts'
import { EntryStream } from '../slice-entries.ts'

export const STORY_GRID = { width: 60, height: 44, tile: 16, fields: 'value:f64,level:u8' }

export interface AnswerStep {
  readonly kind: 'answer'
  readonly part: string
  readonly attempt: number
}

type Step =
  | { readonly kind: 'apply'; readonly entries: readonly Entry[] }
  | AnswerStep
  | { readonly kind: 'forget'; readonly part: string }
  /** The gateway has the results up to so many positions behind the last. */
  | { readonly kind: 'confirm'; readonly behind: number }

const STEPS = 120
/** Entries that no step applies: what a store goes on with after a cut. */
const WRITES_BEYOND = 2
const TILES_PER_ENTRY = 5

export class SliceStory {
  readonly steps: readonly Step[]
  /** By position - 1. */
  readonly entries: readonly Entry[]
  readonly #grid = new SliceGrid(STORY_GRID)
  readonly #model: GridModel
  readonly #stream: EntryStream
  readonly #random: Random

  static readonly #told = new Map<string, SliceStory>()

  /** The same story, told once. */
  static of(seed: number, ledger: number): SliceStory {
    const name = `${seed}/${ledger}`
    const story = SliceStory.#told.get(name) ?? new SliceStory(seed, ledger)
    SliceStory.#told.set(name, story)
    return story
  }

  private constructor(seed: number, ledger: number) {
    this.#random = new Random(seed * 8 + ledger)
    this.#model = new GridModel(this.#grid)
    this.#stream = new EntryStream(this.#grid)
    const entries: Entry[] = []
    const write = (): Entry[] => {
      const cut = this.#write()
      entries.push(...cut)
      return cut
    }
    const waiting = new Map<string, number>()
    this.steps = Array.from({ length: STEPS }, (_, index) => this.#step(index, waiting, write))
    for (let count = 0; count < WRITES_BEYOND; count++) write()
    this.entries = entries
  }

  /** How a tile is once the entries up to `position` are applied; nothing before its first. */
  tileAt(tile: number, position: number): TileState | undefined {
    const last = this.entries
      .slice(0, position)
      .findLast((entry) => unpackTiles(entry.tiles).includes(tile))
    return last === undefined ? undefined : this.#model.tileAt(tile, last.seq)
  }

  /** LSUs that the entry at `position` acts on. */
  lsusOf(position: number): number {
    const { tiles, region } = this.entries[position - 1]!
    const [x, y, w, h] = region
    return [...unpackTiles(tiles)]
      .map((tile) => this.#grid.geometry.overlap(tile, { x, y, w, h }))
      .reduce((sum, part) => sum + part.w * part.h, 0)
  }

  #step(index: number, waiting: Map<string, number>, write: () => Entry[]): Step {
    const random = this.#random
    const draw = random.integer(10)
    const some = [...waiting.keys()][random.integer(waiting.size || 1)]
    if (draw === 0) return { kind: 'confirm', behind: random.integer(4) }
    if (draw === 1 && some !== undefined) {
      waiting.delete(some)
      return { kind: 'forget', part: some }
    }
    if (draw <= 3) {
      // Now and then a part that was answered is answered again.
      const part = some !== undefined && random.integer(3) === 0 ? some : `part-${index}`
      const attempt = (waiting.get(part) ?? 0) + 1
      waiting.set(part, attempt)
      return { kind: 'answer', part, attempt }
    }
    return { kind: 'apply', entries: write() }
  }

  #write(): Entry[] {
    const random = this.#random
    const { geometry } = this.#grid
    const [x, y] = [random.integer(geometry.width), random.integer(geometry.height)]
    const region: Region = {
      x,
      y,
      w: 1 + random.integer(geometry.width - x),
      h: 1 + random.integer(geometry.height - y),
    }
    const field = random.integer(2) === 0 ? 'value' : 'level'
    const value = 1 + random.integer(9)
    const isAdd = random.integer(3) !== 0
    const op = isAdd ? 'add' : 'set'
    const args = isAdd ? { field, value } : { fields: { [field]: value } }
    const entries = this.#stream.write({ op, region, args, tilesMax: TILES_PER_ENTRY })
    this.#model.apply(this.#stream.seq, { op, region, args, deadline_ms: 0 })
    return entries
  }
}

/** The same whenever it is asked for, of a length of its own. */
export function answerOf({ part, attempt }: AnswerStep): Answer {
  const random = new Random([...part].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), 7))
  const numbers = Array.from({ length: random.integer(900) }, () => random.integer(1000) + attempt)
  return {
    t: 'answer',
    task: 'read',
    part,
    attempt,
    position: 1,
    seq: 1,
    ms: 0.5,
    value: { numbers },
  }
}
