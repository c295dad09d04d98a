/**
 * A ghost: another version of a program, which acts beside the one that a task runs, so that both can be compared. It
 * travels in the arguments of that program, and who does not know of ghosts runs none. Of a write it acts on a copy of
 * each page, at one of the holders: whatever it does is thrown away.
 */
import { FIELDS_MAX } from '../grid/fields.ts'
import type { Geometry } from '../grid/geometry.ts'
import { STATUS } from '../osl/codex.ts'
import { Interpreter } from '../osl/interpreter.ts'
import type {
  GhostRun,
  GridContext,
  TileCells,
  TileDifference,
  TileWindow,
  Wire,
} from './operation.ts'
import { type CheckedProgram, type ProgramArgs, programOf } from './osl-program.ts'

export interface GhostArgs extends ProgramArgs {
  /** Numbers that are no farther apart count as equal. */
  readonly tolerance: number
  /** Of a part: the tiles that this node is to compare, a bit each, in their order; left out, all. */
  readonly mine?: Uint8Array
}

export function ghostIn(args: Wire): GhostArgs | undefined {
  const { ghost } = args as { ghost?: GhostArgs }
  return ghost !== undefined && typeof ghost.tolerance === 'number' ? ghost : undefined
}

/** The program of it; nothing if that is none here, which is no trouble of the task. */
export function ghostProgramOf(
  args: Wire,
  kind: 'write' | 'read',
  fields = FIELDS_MAX,
): CheckedProgram | undefined {
  const ghost = ghostIn(args)
  if (ghost === undefined) return undefined
  try {
    const checked = programOf(ghost, fields)
    return checked.sound.kind === kind && checked.sound.reach === 0 ? checked : undefined
  } catch {
    return undefined
  }
}

/** Arguments for who is to compare some of its tiles only. */
export function withShare(args: Wire, mine: Uint8Array): Wire {
  return { ...args, ghost: { ...ghostIn(args), mine } }
}

export class GhostWrite implements GhostRun {
  readonly costRatio: number
  readonly #interpreter: Interpreter
  readonly #geometry: Geometry
  readonly #tolerance: number
  /** What either program stores, ascending, and the columns that these are. */
  readonly #fields: readonly number[]
  readonly #columns: readonly number[]

  /** `beside`: the program that the task runs. */
  constructor(
    { program, sound }: CheckedProgram,
    beside: CheckedProgram['sound'],
    tolerance: number,
    { fields, geometry }: GridContext,
  ) {
    this.#interpreter = new Interpreter(program, sound, fields)
    this.#geometry = geometry
    this.#tolerance = tolerance
    const stored = new Set([...beside.stores, ...sound.stores])
    this.#fields = [...stored].sort((left, right) => left - right)
    this.#columns = this.#fields.map((field) => (field === STATUS ? fields.length : field))
    this.costRatio = sound.cost / beside.cost
  }

  compare(copy: TileCells, cells: TileCells, window: TileWindow): TileDifference {
    const { x, y } = this.#geometry.tileRegion(window.tile)
    const { width } = this.#geometry
    this.#interpreter.run(copy, window, { x, y, gridWidth: width })
    const found: TileDifference = { differ: 0, max: 0 }
    const pairs = this.#differing(copy, cells)
    if (pairs.length === 0) return found
    const { left, top, w, h, stride } = window
    for (let row = top; row < top + h; row++) {
      for (let column = left; column < left + w; column++) {
        this.#compareCell(pairs, row * stride + column, (y + row) * width + x + column, found)
      }
    }
    return found
  }

  /** What is one value in both, and the same, needs no look at each cell. */
  #differing(copy: TileCells, cells: TileCells): ColumnPair[] {
    return this.#columns.flatMap((column, index) => {
      const [one, other] = [cells.valueOf(column), copy.valueOf(column)]
      if (one !== undefined && one === other) return []
      return [
        {
          field: this.#fields[index]!,
          current: one === undefined ? cells.column(column) : new Constant(one),
          ghost: other === undefined ? copy.column(column) : new Constant(other),
        },
      ]
    })
  }

  #compareCell(pairs: readonly ColumnPair[], at: number, lsu: number, found: TileDifference): void {
    let isFar = false
    for (const { field, current, ghost } of pairs) {
      const distance = distanceOf(current.at(at)!, ghost.at(at)!)
      if (distance > found.max) found.max = distance
      if (distance <= this.#tolerance) continue
      isFar = true
      found.first ??= { field, lsu, current: current.at(at)!, ghost: ghost.at(at)! }
    }
    if (isFar) found.differ += 1
  }
}

interface ColumnPair {
  readonly field: number
  readonly current: { at(index: number): number | undefined }
  readonly ghost: { at(index: number): number | undefined }
}

/** A column that is one value. */
class Constant {
  readonly #value: number

  constructor(value: number) {
    this.#value = value
  }

  at(): number {
    return this.#value
  }
}

/** Finite, as numbers are that go into JSON. */
export function distanceOf(left: number, right: number): number {
  return left === right ? 0 : Math.min(Number.MAX_VALUE, Math.abs(left - right))
}
