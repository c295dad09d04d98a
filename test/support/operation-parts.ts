/** Operations without a gateway and nodes: parts of a region over tile pages, as messages carry them. */
import type { Random } from '../../shared/core/random.ts'
import type { FieldType } from '../../shared/grid/fields.ts'
import type { Region } from '../../shared/grid/geometry.ts'
import { createLayout } from '../../shared/grid/page-layout.ts'
import { TilePage } from '../../shared/grid/tile-page.ts'
import { findOperation } from '../../shared/operations/catalog.ts'
import {
  type GridContext,
  type ItemsOperation,
  type ReadOperation,
  type Wire,
  type WriteOperation,
  windowOf,
} from '../../shared/operations/operation.ts'
import { decodeCbor, encodeCbor } from '../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../shared/protocol/limits.ts'
import type { Parsed } from '../../shared/protocol/problems.ts'

export const writeOf = (name: string): WriteOperation => findOperation(name) as WriteOperation
export const readOf = (name: string): ReadOperation => findOperation(name) as ReadOperation

/** What a message does to arguments and partial results: CBOR there and back, as a Buffer. */
export function overTheWire(value: Wire): Wire {
  const bytes = Buffer.concat([Buffer.of(0), encodeCbor(value)]).subarray(1)
  const decoded = decodeCbor(bytes, MESSAGE_LIMITS)
  if (!decoded.ok) throw new Error(decoded.message)
  return decoded.value as Wire
}

export function accepted(parsed: Parsed<Wire>): Wire {
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
  return parsed.value
}

export function problemsOf(parsed: Parsed<Wire>): string[] {
  return parsed.ok ? [] : parsed.problems.map((problem) => `${problem.code} ${problem.path}`)
}

/** The nodes' side: pages of all tiles. */
export class Pages {
  readonly #pages: TilePage[]
  readonly #context: GridContext

  constructor(context: GridContext) {
    this.#context = context
    this.#pages = Array.from({ length: context.geometry.tiles }, (_, tile) =>
      TilePage.empty(createLayout(context.fields, context.geometry.tileLsus(tile))),
    )
  }

  page(tile: number): TilePage {
    return this.#pages[tile]!
  }

  write(name: string, args: Wire, region: Region, parts: readonly Uint32Array[]): void {
    const operation = writeOf(name)
    for (const tiles of parts) {
      const cut = overTheWire(operation.cut(args, region, tiles, this.#context))
      const run = operation.run(cut, this.#context)
      let cellsBefore = 0
      for (const tile of tiles) {
        const window = windowOf(this.#context.geometry, tile, region)
        run.act(this.#pages[tile]!, window, cellsBefore)
        cellsBefore += window.w * window.h
      }
    }
  }

  partial(name: string, args: Wire, region: Region, tiles: Uint32Array): Wire {
    const run = readOf(name).run(overTheWire(args), this.#context)
    for (const tile of tiles) {
      run.visit(this.#pages[tile]!, windowOf(this.#context.geometry, tile, region))
    }
    return run.finish()
  }

  /** A whole read: each round over all parts, joined in the order that `join` makes. */
  read(
    name: string,
    args: Wire,
    region: Region,
    parts: readonly Uint32Array[],
    join: (partials: Wire[]) => Wire,
  ): unknown {
    const rounds: Wire[] = []
    for (let round: Wire | undefined = args; round !== undefined; ) {
      const roundArgs: Wire = round
      const partials = parts.map((tiles) =>
        overTheWire(this.partial(name, roundArgs, region, tiles)),
      )
      rounds.push(join(partials))
      round = readOf(name).nextRound?.(rounds.at(-1)!, roundArgs)
    }
    return readOf(name).finish(rounds, args, region, this.#context)
  }
}

/** The tiles of a region dealt to up to `nodes` parts, ascending in each. */
export function partition(
  { geometry }: GridContext,
  region: Region,
  random: Random,
  nodes: number,
): Uint32Array[] {
  const parts = Array.from({ length: nodes }, (): number[] => [])
  for (const tile of geometry.tilesOf(region)) parts[random.integer(nodes)]!.push(tile)
  return parts.filter((part) => part.length > 0).map((part) => Uint32Array.from(part))
}

/** Joins in a random order and a random bracketing. */
export function joinRandomly(operation: ReadOperation | ItemsOperation, random: Random) {
  return (partials: Wire[]): Wire => {
    const left = [...partials]
    for (let at = left.length - 1; at > 0; at--) {
      const other = random.integer(at + 1)
      ;[left[at], left[other]] = [left[other]!, left[at]!]
    }
    while (left.length > 1) {
      const at = random.integer(left.length - 1)
      left.splice(at, 2, operation.merge(left[at]!, left[at + 1]!))
    }
    return left[0]!
  }
}

export function randomValue(type: FieldType, random: Random): number {
  switch (type) {
    case 'u8':
      return random.integer(256)
    case 'i32':
      return random.integer(2 ** 32) - 2 ** 31
    case 'f32':
      return Math.fround(random.between(-1000, 1000))
    case 'f64':
      return random.between(-1e6, 1e6)
  }
}
