/**
 * What is kept of one node's figures: two levels of rings, a fine point each tick and a coarse one each minute, the mean
 * of its ticks. Tick `t` is at `t % fine` of its metric's ring, minute `m` at `m % coarse`. What nobody recorded is NaN.
 *
 * Invariant: a slot is that of the newest tick, or minute, that falls on it, none later than the last that was recorded.
 */

/** Lengths of the rings, in points; 0 is a level that is not kept. */
export interface RingShape {
  readonly fine: number
  readonly coarse: number
}

/** Ticks of 10 s in one point of the coarse level. */
export const MINUTE_TICKS = 6

export class NodeRings {
  readonly shape: RingShape
  readonly #fine: Float32Array
  readonly #coarse: Float32Array
  /** Of the minute that is under way. */
  readonly #sums: Float32Array
  readonly #counts: Float32Array
  #tick = -1

  constructor(metrics: number, shape: RingShape) {
    this.shape = shape
    this.#fine = new Float32Array(metrics * shape.fine).fill(Number.NaN)
    this.#coarse = new Float32Array(metrics * shape.coarse).fill(Number.NaN)
    this.#sums = new Float32Array(metrics)
    this.#counts = new Float32Array(metrics)
  }

  /** Later ticks only. NaN is a figure that is not known. */
  record(tick: number, figures: readonly number[]): void {
    const minute = minuteOf(tick)
    const before = this.#tick
    this.#tick = tick
    const { fine, coarse } = this.shape
    for (let gap = Math.max(before + 1, tick - fine + 1); gap < tick; gap++) {
      this.#fill(this.#fine, fine, gap)
    }
    if (minuteOf(before) !== minute) {
      for (let gap = Math.max(minuteOf(before) + 1, minute - coarse + 1); gap < minute; gap++) {
        this.#fill(this.#coarse, coarse, gap)
      }
      this.#sums.fill(0)
      this.#counts.fill(0)
    }
    for (const [metric, figure] of figures.entries()) {
      if (!Number.isNaN(figure)) {
        this.#sums[metric]! += figure
        this.#counts[metric]! += 1
      }
      if (fine > 0) this.#fine[metric * fine + (tick % fine)] = figure
      if (coarse > 0) {
        const mean = this.#sums[metric]! / this.#counts[metric]!
        this.#coarse[metric * coarse + (minute % coarse)] = mean
      }
    }
  }

  fineAt(metric: number, tick: number): number {
    const { fine } = this.shape
    if (tick < 0 || tick > this.#tick || tick <= this.#tick - fine) return Number.NaN
    return this.#fine[metric * fine + (tick % fine)]!
  }

  coarseAt(metric: number, minute: number): number {
    const { coarse } = this.shape
    const last = minuteOf(this.#tick)
    if (minute < 0 || minute > last || minute <= last - coarse) return Number.NaN
    return this.#coarse[metric * coarse + (minute % coarse)]!
  }

  /** The same as far as it goes into rings of other lengths. */
  reshaped(shape: RingShape): NodeRings {
    const metrics = this.#sums.length
    const rings = new NodeRings(metrics, shape)
    rings.#tick = this.#tick
    rings.#sums.set(this.#sums)
    rings.#counts.set(this.#counts)
    const last = minuteOf(this.#tick)
    for (let metric = 0; metric < metrics; metric++) {
      for (let tick = Math.max(0, this.#tick - shape.fine + 1); tick <= this.#tick; tick++) {
        rings.#fine[metric * shape.fine + (tick % shape.fine)] = this.fineAt(metric, tick)
      }
      for (let minute = Math.max(0, last - shape.coarse + 1); minute <= last; minute++) {
        const at = metric * shape.coarse + (minute % shape.coarse)
        rings.#coarse[at] = this.coarseAt(metric, minute)
      }
    }
    return rings
  }

  get bytes(): number {
    return this.#fine.byteLength + this.#coarse.byteLength
  }

  #fill(ring: Float32Array, length: number, at: number): void {
    for (let start = 0; start < ring.length; start += length)
      ring[start + (at % length)] = Number.NaN
  }
}

export function minuteOf(tick: number): number {
  return Math.floor(tick / MINUTE_TICKS)
}
