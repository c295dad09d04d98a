/** The grid of a simulated fleet, and the options of its gateway and nodes: small numbers, so that little time shows much. */

import type { CoordinatorOptions } from '../../broker/core/coordinator.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import type { Random } from '../../shared/core/random.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { PACKED_FORMAT } from '../../shared/grid/page-layout.ts'
import { OPERATION_NAMES } from '../../shared/operations/catalog.ts'
import type { GridContext } from '../../shared/operations/operation.ts'
import type { NodeSetUp } from './simulated-node.ts'

const WATCHES_OF_FIELD = 12

export function drawGrid(random: Random): GridContext {
  // Large tiles now and then: only they cut a write or a read into several parts a node.
  const size =
    random.unit() < 0.06
      ? { width: 96, height: 64, tile: 32 }
      : { width: 16 + random.integer(3), height: 12, tile: 4 }
  return {
    geometry: new Geometry(size),
    fields: [
      { name: 'value', type: 'f64' },
      { name: 'level', type: 'u8' },
    ],
  }
}

export function drawOptions(random: Random, grid: GridContext): CoordinatorOptions {
  const replicas = 1 + random.integer(3)
  return {
    grid,
    version: '1',
    replicas,
    virtualNodes: 16,
    loadBound: 1.25,
    heartbeatMs: 300,
    suspectAfterMs: 1000,
    // Short now and then: tiles then move while writes go on.
    deadAfterMs: random.unit() < 0.5 ? 2500 : 4000,
    doubtMaxMs: random.unit() < 0.5 ? 1000 : 5000,
    massSilenceShare: 0.4,
    reconnectMs: 2000,
    probationMs: 1000,
    lagMs: 400,
    leaseMs: 1500,
    minInSync: random.unit() < 0.2 ? Math.min(2, replicas) : 1,
    streamWindowBytes: random.unit() < 0.5 ? 600 : 64 * 1024,
    resendMs: 700,
    flatMin: 2,
    settleMs: 200,
    graceMs: 2500,
    returnGraceMs: random.unit() < 0.6 ? 0 : 1000,
    ...drawRetention(random),
    tasksMax: 10_000,
    openBytesMax: 16 * 1024 * 1024,
    // Room for a few bodies of the small grid, the largest of which has 2 KB.
    logBytesMax: random.unit() < 0.2 && grid.geometry.tile === 4 ? 6000 : 16 * 1024 * 1024,
    cellsWindowMs: 1000,
    watches: [],
    moveBytesPerSecond: random.unit() < 0.3 ? 4096 : 1024 * 1024,
    movesMax: 1 + random.integer(8),
    recoverNodes: 0,
    scrubMs: 700,
    copyTimeoutMs: 800,
    moveDeadlineMs: random.unit() < 0.5 ? 2000 : 8000,
  }
}

/** A day, or longer than a client comes back to a task, and shorter than a simulation lasts. */
function drawRetention(random: Random): Pick<CoordinatorOptions, 'retentionMs' | 'retentionTasks'> {
  return random.unit() < 0.2
    ? { retentionMs: 12_000 + random.integer(4000), retentionTasks: random.integer(5) }
    : { retentionMs: 24 * 3600 * 1000, retentionTasks: 10_000 }
}

/** Some of each field. */
export function drawWatches(
  random: Random,
  { geometry, fields }: GridContext,
): CoordinatorOptions['watches'] {
  const { width, height } = geometry
  return fields.flatMap((_, field) => {
    const ids = new Set<number>()
    while (ids.size < WATCHES_OF_FIELD) ids.add(random.integer(width * height))
    return Array.from(ids, (id) => ({ field, x: id % width, y: Math.floor(id / width) }))
  })
}

export function drawNode(random: Random, node: NodeId): Omit<NodeSetUp, 'programs'> {
  const weight = 1 + random.integer(2)
  const flushMaxMs = random.between(1, 8)
  // One of eight is of a version that knows pages of the first format alone.
  const isOfBefore = (flushMaxMs * 1000) % 8 < 1
  return {
    options: {
      node,
      weight,
      ...(isOfBefore ? {} : { pages: PACKED_FORMAT }),
      operations: OPERATION_NAMES,
      telemetryIntervalMs: 60_000,
      outboxBytesMax: 64 * 1024,
      pieceBytes: 100,
      birth: {},
      backoff: { baseMs: 100, capMs: 2000 },
      answerTimeoutMs: 1500,
    },
    flushMinMs: 0.5,
    flushMaxMs,
    store: { sliceBytesMax: 2 ** 30, outboxBytesMax: 64 * 1024, diskCheckMs: 0 },
    // Each second node yields as often as it can.
    sliceMs: random.integer(2) * 1000,
  }
}
