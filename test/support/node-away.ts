/**
 * At rest a node goes away, and sensors tell of every cell. Those of tiles that it alone has wait, also where its card
 * is lost meanwhile; the others come into their tiles, and a write beside them ends, however much is told.
 */
import type { CoordinatorOptions } from '../../broker/core/coordinator.ts'
import type { Random } from '../../shared/core/random.ts'
import type { FleetCards } from './fleet-cards.ts'
import type { GridModel } from './grid-model.ts'
import type { LostTiles } from './lost-tiles.ts'
import type { ReadingChecker } from './reading-checker.ts'
import type { SimulatedClients } from './simulated-clients.ts'
import type { SimulatedClock } from './simulated-clock.ts'
import type { SimulatedGateway } from './simulated-gateway.ts'
import type { SimulatedNode } from './simulated-node.ts'
import type { SimulatedSensors } from './simulated-sensors.ts'
import { violated } from './violation.ts'

interface RestingFleet {
  readonly clock: SimulatedClock
  readonly gateway: SimulatedGateway
  readonly nodes: readonly SimulatedNode[]
  readonly cards: FleetCards
  readonly lost: LostTiles
  count(what: string): void
}

interface Parts {
  readonly options: CoordinatorOptions
  readonly random: Random
  readonly model: GridModel
  readonly clients: SimulatedClients
  readonly sensors: SimulatedSensors
  readonly readings: ReadingChecker
}

/** Mean time between readings meanwhile. */
const EVERY_MS = 10
/** For the disks, and one more look at what waits. */
const SLACK_MS = 1500
/** A log with no more room than this waits for whoever is away. */
const LOG_BYTES_FEW = 6000

export async function tellWithoutOne(fleet: RestingFleet, parts: Parts): Promise<void> {
  const { clock, gateway, nodes } = fleet
  const { options, random, clients, sensors, readings } = parts
  const { grid, cellsWindowMs, minInSync, logBytesMax } = options
  const { geometry } = grid
  const node = nodes[random.integer(nodes.length)]!
  node.crash()
  const countOthers = (tile: number): number =>
    gateway.view!.holdersOf(tile).filter((id) => (id as string) !== node.id).length
  const isHeldUp = (tile: number): boolean => countOthers(tile) < Math.max(1, minInSync)
  const born = Array.from({ length: geometry.tiles }, (_, tile) => tile).filter(
    (tile) => parts.model.tileAt(tile, Number.POSITIVE_INFINITY).seq > 0,
  )
  const cellsOf = (tile: number): (readonly [x: number, y: number])[] => {
    const { x, y, w, h } = geometry.tileRegion(tile)
    return Array.from({ length: w * h }, (_, at) => [x + (at % w), y + Math.floor(at / w)])
  }
  const heldUp = born.filter(isHeldUp)
  const others = born.filter((tile) => !isHeldUp(tile))
  sensors.tellAll(heldUp.flatMap(cellsOf))
  if (heldUp.length > 0) fleet.count('cells-held-up')
  const promised = sensors.tellAll(others.flatMap(cellsOf))
  const task = others[0] === undefined ? undefined : clients.write(geometry.tileRegion(others[0]))
  const endMs = clock.nowMs + 2 * cellsWindowMs
  sensors.keepTelling(EVERY_MS, endMs)
  await clock.run(endMs + SLACK_MS)
  if (logBytesMax > LOG_BYTES_FEW) {
    if (!readings.isWritten(promised)) violated('a cell waits for a node that does not hold it')
    if (task !== undefined && task.effect !== 'done')
      violated(`${task.id} is ${task.state} beside readings`)
  }
  if (options.minInSync === 1 && heldUp.some((tile) => countOthers(tile) === 0)) {
    fleet.count('cells-of-lost-tiles')
    fleet.lost.note([node])
    fleet.cards.replace(node, undefined)
  }
  node.start()
}
