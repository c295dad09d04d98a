import type { Random } from '../../shared/core/random.ts'
import type { Geometry, Region } from '../../shared/grid/geometry.ts'
import type { SubmittedTask, TaskClient, TaskRequest } from './task-client.ts'

/** Tasks that wait for their end at the same time. */
const OPEN_MAX = 8
/** No faster than this, so that the machine stays usable. */
const TASKS_PER_SECOND = 60
const REGION_SIDE_MIN = 8

/** Random tasks, one after the other with several open at any time, until it is stopped. */
export class TaskStream {
  readonly #client: TaskClient
  readonly #geometry: Geometry
  readonly #random: Random
  #timer: NodeJS.Timeout | undefined

  constructor(client: TaskClient, geometry: Geometry, random: Random) {
    this.#client = client
    this.#geometry = geometry
    this.#random = random
  }

  start(): void {
    this.#timer = setInterval(() => this.#step(), 1000 / TASKS_PER_SECOND)
  }

  /** Submits no more; resolves once every task has ended. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#client.open.map((task) => task.ended))
  }

  /** Some at once: reads of the whole grid, which every node has a part of, or writes. */
  burst(op: 'stat' | 'add', tasks: number): SubmittedTask[] {
    const draw = (): TaskRequest => (op === 'stat' ? wholeStat(this.#geometry) : this.#randomAdd())
    return Array.from({ length: tasks }, () => this.#client.submit(draw()))
  }

  #step(): void {
    if (this.#client.open.length < OPEN_MAX) this.#client.submit(this.#draw())
  }

  #draw(): TaskRequest {
    const die = this.#random.unit()
    if (die < 0.3) return wholeStat(this.#geometry)
    if (die < 0.6) return this.#randomAdd()
    const region = randomRegion(this.#geometry, this.#random)
    return { op: 'stat', region, args: { field: 'precip' } }
  }

  #randomAdd(): TaskRequest {
    const region = randomRegion(this.#geometry, this.#random)
    return { op: 'add', region, args: { field: 'visits', value: 1 } }
  }
}

function wholeStat(geometry: Geometry): TaskRequest {
  return { op: 'stat', region: geometry.whole, args: { field: 'precip' } }
}

/** A rectangle of any place and of sides up to half of the grid's. */
export function randomRegion({ width, height }: Geometry, random: Random): Region {
  const side = (whole: number): number =>
    REGION_SIDE_MIN + random.integer(Math.floor(whole / 2) - REGION_SIDE_MIN + 1)
  const [w, h] = [side(width), side(height)]
  return { x: random.integer(width - w + 1), y: random.integer(height - h + 1), w, h }
}
