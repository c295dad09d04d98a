/** What the gateway says of how long a drain takes, against how long it then took: real agents, simulated time. */
import t from 'tap'
import type { NodeId } from '../../shared/core/ids.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { drawGrid, drawOptions } from '../support/drawn-options.ts'
import { type FleetShape, SMALL } from '../support/fleet-shape.ts'
import { SHIPPED } from '../support/programs.ts'
import { SimulatedFleet } from '../support/simulated-fleet.ts'

const FACTOR = 1.5
const STEP_MS = 50
const LIMIT_MS = 600_000

interface Bound {
  /** Of a grid of 32 columns. */
  readonly rows: number
  readonly moveBytesPerSecond: number
  readonly movesMax: number
}

/** Five nodes, and nothing that goes wrong. */
function shapeOf({ rows, ...pace }: Bound): FleetShape {
  return {
    ...SMALL,
    drawGrid: (random) => ({
      ...drawGrid(random),
      geometry: new Geometry({ width: 128, height: 4 * rows, tile: 4 }),
    }),
    drawOptions: (random, grid) => ({
      ...drawOptions(random, grid),
      replicas: 2,
      minInSync: 1,
      logBytesMax: 16 * 1024 * 1024,
      moveDeadlineMs: 60_000,
      ...pace,
    }),
    drawNodes: () => 5,
  }
}

const bounds = {
  'round trips': { rows: 16, moveBytesPerSecond: 64 * 1024 * 1024, movesMax: 8 },
  'one round trip at a time': { rows: 16, moveBytesPerSecond: 64 * 1024 * 1024, movesMax: 1 },
  // Told of fewer it is less true.
  bytes: { rows: 32, moveBytesPerSecond: 2048, movesMax: 32 },
}
for (const [bound, pace] of Object.entries(bounds)) {
  t.test(
    `after a tenth of a drain that ${bound} bound, it tells what the rest takes`,
    async (t) => {
      const fleet = new SimulatedFleet(7, SHIPPED, shapeOf(pace))
      const { clock, gateway, nodes } = fleet
      const id = nodes[0]!.id as NodeId
      const node = () => gateway.view!.node(id)!
      const until = async (isSo: () => boolean): Promise<void> => {
        while (!isSo() && clock.nowMs < LIMIT_MS) await clock.run(clock.nowMs + STEP_MS)
        t.ok(isSo(), `within ${LIMIT_MS} ms`)
      }
      gateway.start()
      for (const each of nodes) each.start()
      await clock.run(5000)
      fleet.writeEverywhere()
      await until(() => node().tiles_written > 0 && node().behind === 0)
      gateway.drain(id, true)
      const before = node().drain_tiles!
      t.ok(before > 150, `${before} tiles`)
      await until(() => node().tiles_written <= before * 0.9)
      const toldMs = clock.nowMs
      const told = node().eta_seconds!
      await until(() => node().tiles_written === 0)
      const took = (clock.nowMs - toldMs) / 1000
      // Told in whole seconds.
      const isTrue = told <= took * FACTOR + 1 && told >= took / FACTOR - 1
      t.ok(isTrue, `told ${told} s, took ${took} s`)
      t.comment(`told ${told} s, took ${took} s`)
    },
  )
}
