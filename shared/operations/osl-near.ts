/**
 * A program that sets fields and reads neighbours. An entry may depend on its tile and its arguments alone, so these
 * bring along what lies around each tile: its halo, as it was read before the write got its place. What the gateway keeps
 * are the edges that halos are made of (tile-edges.ts).
 *
 * With `steps` the program runs so often in a row, as so many tasks would: the halo is as many times as wide, and what
 * the steps before the last make of it is computed here again. Only cells of the region change, there as in the tile.
 */
import { bytesOfColumn, FIELD_BYTES, FIELDS_MAX } from '../grid/fields.ts'
import { cellsOf, eachRun } from '../grid/frames.ts'
import type { Region } from '../grid/geometry.ts'
import { REACH_MAX, STATUS } from '../osl/codex.ts'
import { Interpreter } from '../osl/interpreter.ts'
import { Patch, Surroundings } from '../osl/patch.ts'
import type { Sound } from '../osl/verifier.ts'
import { unpackTiles } from './columns.ts'
import type { GridContext, TileCells, TileWindow, Wire, WriteOperation } from './operation.ts'
import { fieldsOfProgram, type ProgramArgs, programOf } from './osl-program.ts'
import {
  bytesOfColumns,
  type EdgesArgs,
  type EdgesPartial,
  edgeCellsMax,
  haloCellsMax,
  haloFrame,
  TileEdges,
  typeOfColumn,
} from './tile-edges.ts'

export const OSL_NEAR = 'osl1-near'

/** As a task has them: without edges as long as it has no place in the order. */
export interface NearArgs extends ProgramArgs {
  readonly steps: number
  readonly edges?: EdgesPartial
}

/** As a part has them. */
interface HaloArgs extends ProgramArgs {
  readonly steps: number
  /** Of the task: x, y, w, h. */
  readonly region: number[]
  /** Those of `halos`. */
  readonly tiles: Uint8Array
  /** By column. */
  readonly halos: Uint8Array[]
}

/** Of arguments that have edges: what halos are made of. */
const edgesOf = new WeakMap<Wire, TileEdges>()

export const oslNear: WriteOperation = {
  kind: 'write',
  name: OSL_NEAR,
  about: { does: 'runs a program that sets fields and reads neighbours', args: [] },
  parse: () => ({ ok: false, problems: [] }),
  storesOf: (args) => programOf(args, FIELDS_MAX).sound.stores,
  fieldsOf: (args) => fieldsOfProgram(programOf(args, FIELDS_MAX)),
  argumentBytesPerTile(args, context) {
    const { columns, reach } = edgesArgsOf(args, context)
    return 4 + bytesOfColumns(columns, context) * haloCellsMax(context.geometry, reach)
  },
  cut(args, region, tiles, context) {
    const { code, pool, outputs, steps, edges } = args as NearArgs
    let made = edgesOf.get(args)
    if (made === undefined) {
      const asked = edgesArgsOf(args, context)
      const read = context.geometry.grown(region, asked.reach)
      made = new TileEdges(edges!, asked, read, context)
      edgesOf.set(args, made)
    }
    return {
      ...{ code, pool, outputs, steps },
      region: [region.x, region.y, region.w, region.h],
      tiles: new Uint8Array(tiles.buffer, tiles.byteOffset, tiles.byteLength),
      halos: made.halosOf(tiles, region),
    } satisfies HaloArgs
  },
  run: (args, context) => new NearRun(args as HaloArgs, context),
}

/** What is to be read of the tiles around before it can be written. */
export function edgesArgsOf(args: Wire, context: GridContext): EdgesArgs {
  const { sound } = programOf(args, context.fields.length)
  const { steps } = args as NearArgs
  return { columns: columnsAround(sound, steps, context), reach: sound.reach * steps }
}

/** How far a task reads beyond its region: 0 for nearly all. */
export function reachOf({ op, args }: { readonly op: string; readonly args: Wire }): number {
  if (op !== OSL_NEAR) return 0
  return programOf(args, FIELDS_MAX).sound.reach * (args as NearArgs).steps
}

/** The most bytes that the edges of so many tiles have. */
export function edgeBytesMax(args: Wire, tiles: number, context: GridContext): number {
  const { columns, reach } = edgesArgsOf(args, context)
  return tiles * bytesOfColumns(columns, context) * edgeCellsMax(context.geometry, reach)
}

/** Of one step, what it reads of neighbours; of several, all that it loads: the steps before the last run there, too. */
function columnsAround({ loads, nears }: Sound, steps: number, context: GridContext): number[] {
  const fields = new Set(steps > 1 ? [...loads, ...nears] : nears)
  return [...fields].map((field) => columnOf(field, context)).sort((a, b) => a - b)
}

function columnOf(field: number, { fields }: GridContext): number {
  return field === STATUS ? fields.length : field
}

class NearRun {
  readonly #context: GridContext
  readonly #region: Region
  readonly #steps: number
  readonly #reach: number
  /** Those that come with halos, and all that the program has to do with. */
  readonly #around: readonly number[]
  readonly #used: readonly number[]
  readonly #stores: readonly number[]
  readonly #halos: readonly Uint8Array[]
  /** By tile: how many cells of halos come before its own. */
  readonly #starts = new Map<number, number>()
  readonly #patch: Patch
  readonly #surroundings: Surroundings
  readonly #interpreter: Interpreter

  /** Throws where the arguments are none of ours. */
  constructor(args: HaloArgs, context: GridContext) {
    const { fields, geometry } = context
    const { program, sound } = programOf(args, fields.length)
    const { steps, region = [], tiles, halos } = args as Partial<HaloArgs>
    this.#context = context
    this.#reach = sound.reach * steps!
    const isSound =
      sound.kind === 'write' &&
      Number.isInteger(steps) &&
      this.#reach > 0 &&
      this.#reach <= REACH_MAX
    if (!isSound) throw new Error('the program stores nothing, or reads no neighbours')
    this.#steps = steps!
    const [x = -1, y = -1, w = 0, h = 0] = region
    this.#region = { x, y, w, h }
    if (!geometry.contains(this.#region)) throw new Error('its region lies outside the grid')
    this.#around = columnsAround(sound, steps!, context)
    const all = [...sound.loads, ...sound.stores, ...sound.nears]
    this.#used = [...new Set(all.map((field) => columnOf(field, context)))]
    this.#stores = sound.stores
    this.#halos = this.#checkedHalos(tiles, halos)
    const cells = (geometry.tile + 2 * this.#reach) ** 2
    this.#patch = new Patch(fields, cells)
    this.#surroundings = new Surroundings(fields, sound.nears, cells)
    this.#interpreter = new Interpreter(program, sound, fields, this.#surroundings)
  }

  #checkedHalos(tiles: unknown, halos: unknown): Uint8Array[] {
    const { geometry } = this.#context
    if (!(tiles instanceof Uint8Array) || !Array.isArray(halos)) throw new Error('it has no halos')
    let cells = 0
    for (const tile of unpackTiles(tiles)) {
      if (!geometry.touches(tile, this.#region)) throw new Error('a halo of no tile')
      this.#starts.set(tile, cells)
      cells += cellsOf(haloFrame(geometry, tile, { region: this.#region, reach: this.#reach }))
    }
    const isWhole = this.#around.every((column, at) => {
      const halo: unknown = halos[at]
      const size = FIELD_BYTES[typeOfColumn(this.#context, column)]
      return halo instanceof Uint8Array && halo.length === cells * size
    })
    if (!isWhole) throw new RangeError('its halos do not fit its tiles')
    // Not as Buffers, of which a part is dear.
    return halos.map((halo) => new Uint8Array(halo.buffer, halo.byteOffset, halo.length))
  }

  act(cells: TileCells, window: TileWindow): void {
    const { geometry } = this.#context
    const patch = this.#patch
    const own = geometry.tileRegion(window.tile)
    const goal = { x: own.x + window.left, y: own.y + window.top, w: window.w, h: window.h }
    patch.region = geometry.grown(goal, this.#reach)
    this.#takeTile(cells, window.stride, own)
    this.#takeHalo(window.tile)
    const outer = beyond(goal, this.#reach)
    const written = new Set<number>()
    for (let left = this.#steps - 1; left >= 0; left--) {
      this.#surroundings.take(patch, outer)
      this.#step(window.tile, geometry.grown(goal, (this.#reach / this.#steps) * left))
      for (const field of this.#stores) {
        if (this.#interpreter.written.get(field)! > 0) written.add(columnOf(field, this.#context))
      }
    }
    for (const column of written) this.#giveBack(cells, column, window, goal)
  }

  /** In the last step, which goes over no more than the window. */
  written(): readonly number[] {
    return this.#interpreter.counts
  }

  /** Over what the region has of this. */
  #step(tile: number, over: Region): void {
    const all = this.#region
    const patch = this.#patch.region
    const x = Math.max(over.x, all.x)
    const y = Math.max(over.y, all.y)
    const w = Math.min(over.x + over.w, all.x + all.w) - x
    const h = Math.min(over.y + over.h, all.y + all.h) - y
    const window = { tile, stride: patch.w, left: x - patch.x, top: y - patch.y, w, h }
    const place = { x: patch.x, y: patch.y, gridWidth: this.#context.geometry.width }
    this.#interpreter.run(this.#patch, window, place)
  }

  /** What the patch has of the tile itself. */
  #takeTile(cells: TileCells, stride: number, own: Region): void {
    const { region } = this.#patch
    const x = Math.max(own.x, region.x)
    const end = Math.min(own.x + own.w, region.x + region.w)
    const bottom = Math.min(own.y + own.h, region.y + region.h)
    for (const index of this.#used) {
      const to = this.#patch.column(index)
      const one = cells.valueOf(index)
      const from = one === undefined ? cells.column(index) : undefined
      for (let y = Math.max(own.y, region.y); y < bottom; y++) {
        const at = this.#patch.placeOf(x, y)
        if (from === undefined) {
          to.fill(one!, at, at + end - x)
          continue
        }
        const start = (y - own.y) * stride + (x - own.x)
        to.set(from.subarray(start, start + end - x), at)
      }
    }
  }

  #takeHalo(tile: number): void {
    const start = this.#starts.get(tile)
    if (start === undefined) throw new RangeError(`tile ${tile} has no halo`)
    const asked = { region: this.#region, reach: this.#reach }
    const frame = haloFrame(this.#context.geometry, tile, asked)
    for (const [at, column] of this.#around.entries()) {
      const size = FIELD_BYTES[typeOfColumn(this.#context, column)]
      const to = bytesOfColumn(this.#patch.column(column))
      const halo = this.#halos[at]!
      let from = start * size
      eachRun(frame, (x, y, length) => {
        to.set(halo.subarray(from, from + length * size), this.#patch.placeOf(x, y) * size)
        from += length * size
      })
    }
  }

  #giveBack(cells: TileCells, column: number, window: TileWindow, goal: Region): void {
    const to = cells.column(column)
    const from = this.#patch.column(column)
    for (let row = 0; row < window.h; row++) {
      const start = this.#patch.placeOf(goal.x, goal.y + row)
      const at = (window.top + row) * window.stride + window.left
      to.set(from.subarray(start, start + window.w), at)
    }
  }
}

function beyond({ x, y, w, h }: Region, by: number): Region {
  return { x: x - by, y: y - by, w: w + 2 * by, h: h + 2 * by }
}
