/** What tells one simulated fleet from another: how large it is, and how much goes on in it. */
import type { CoordinatorOptions } from '../../broker/core/coordinator.ts'
import type { Random } from '../../shared/core/random.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import type { GridContext } from '../../shared/operations/operation.ts'
import { drawGrid, drawOptions, drawWatches } from './drawn-options.ts'

export interface FleetShape {
  readonly drawGrid: (random: Random) => GridContext
  readonly drawOptions: (random: Random, grid: GridContext) => CoordinatorOptions
  readonly drawNodes: (random: Random, options: CoordinatorOptions) => number
  /** Bounds of the mean time between two faults of one seed. */
  readonly faultsEveryMs: readonly [least: number, most: number]
  /** Share of the faults that a seed has troubles of. */
  readonly faultsShare: number
  /** Share of the gateway's faults that come to be: where nodes are many, so are faults. */
  readonly gatewayFaultsShare: number
  /** Most of a task's region, but for tasks on the whole grid. */
  readonly regionSideMax: number
  /** Share of the nodes, beyond the first few, that come when work has begun. */
  readonly lateShare: number
  /** So many nodes must have held a tile that was written; who comes late gets none. */
  readonly nodesUsedMin: number
  /** Mean time between two looks; nobody looks unless given. */
  readonly looksEveryMs?: number
  /** Mean time between two readings; nobody tells any unless given. */
  readonly readingsEveryMs?: number
  /** Rule books are set now and then. */
  readonly setsRules?: boolean
  /** Tasks name programs, which are patched all the time. */
  readonly patchesPrograms?: boolean
  /** The ledger is lost at times, and every copy of a tile; moves are watched. */
  readonly meetsAll: boolean
}

/** A few nodes, on which everything goes wrong. */
export const SMALL: FleetShape = {
  drawGrid,
  drawOptions,
  drawNodes: (random, { replicas }) => replicas + random.integer(3),
  faultsEveryMs: [150, 1500],
  faultsShare: 0.6,
  gatewayFaultsShare: 1,
  regionSideMax: Number.POSITIVE_INFINITY,
  lateShare: 0.3,
  nodesUsedMin: 0,
  meetsAll: true,
}

/** Somebody looks at the grid all the time, and cells of it are watched. */
export const WATCHED: FleetShape = {
  ...SMALL,
  drawOptions: (random, grid) => ({
    ...drawOptions(random, grid),
    watches: drawWatches(random, grid),
  }),
  looksEveryMs: 25,
  meetsAll: false,
}

/** Sensors tell what they read all the time. */
export const SENSED: FleetShape = { ...SMALL, readingsEveryMs: 40 }

/** Rules are set, and others in their place. */
export const RULED: FleetShape = { ...SMALL, setsRules: true }

/** Tasks name programs, of which other versions become current. */
export const PATCHED: FleetShape = { ...SMALL, patchesPrograms: true }

/** So many that there is always one that fails. */
export const THOUSAND: FleetShape = {
  drawGrid: (random) => ({
    ...drawGrid(random),
    geometry: new Geometry({ width: 256, height: 240 + random.integer(16), tile: 4 }),
  }),
  drawOptions: (random, grid) => ({
    ...drawOptions(random, grid),
    replicas: 2 + random.integer(2),
    minInSync: 1,
    virtualNodes: 64,
    streamWindowBytes: 64 * 1024,
    // What is little for a small grid would have no room for one body here, or move tiles for minutes.
    logBytesMax: 16 * 1024 * 1024,
    moveBytesPerSecond: 1024 * 1024,
    movesMax: 64,
  }),
  drawNodes: () => 1000,
  faultsEveryMs: [10, 30],
  faultsShare: 1,
  gatewayFaultsShare: 0.04,
  regionSideMax: 40,
  lateShare: 0.02,
  nodesUsedMin: 900,
  meetsAll: false,
}

/** As the thousand, in seconds. */
export const HUNDRED: FleetShape = {
  ...THOUSAND,
  drawGrid: (random) => ({
    ...drawGrid(random),
    geometry: new Geometry({ width: 80, height: 64 + random.integer(16), tile: 4 }),
  }),
  drawNodes: () => 100,
  faultsEveryMs: [20, 60],
  nodesUsedMin: 80,
}
