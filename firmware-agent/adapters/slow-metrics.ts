/**
 * Temperature and network counters, refreshed in the background through node-os-utils, of which only
 * calls are made that start no process. Its failures arrive as `error` events, which would end the
 * process without a listener: here they are values that stay null. Loaded late: it costs memory.
 */
import type { OSUtils } from 'node-os-utils'

export interface SlowSample {
  readonly temperature: number | null
  /** Of all interfaces but the loopback. */
  readonly rxBytes: number | null
  readonly txBytes: number | null
}

const NOTHING: SlowSample = { temperature: null, rxBytes: null, txBytes: null }

export class SlowMetrics {
  readonly #timer: NodeJS.Timeout
  #utilities: OSUtils | undefined
  #refreshing: Promise<void> | undefined
  #last: SlowSample = NOTHING

  constructor(options: { refreshMs: number }) {
    this.#timer = setInterval(() => void this.refresh(), options.refreshMs).unref()
    void this.refresh()
  }

  get last(): SlowSample {
    return this.#last
  }

  /** Never fails, and never runs twice at a time. */
  async refresh(): Promise<void> {
    this.#refreshing ??= this.#look().finally(() => {
      this.#refreshing = undefined
    })
    await this.#refreshing
  }

  close(): void {
    clearInterval(this.#timer)
  }

  async #look(): Promise<void> {
    try {
      this.#utilities ??= await load()
      const { cpu, network } = this.#utilities
      const [temperatures, interfaces] = [await cpu.temperature(), await network.statsAsync()]
      const heat = temperatures.success ? temperatures.data.filter(Number.isFinite) : []
      const outside = interfaces.success
        ? interfaces.data.filter((counters) => counters.interface !== 'lo')
        : []
      this.#last = {
        temperature: heat.length === 0 ? null : Math.max(...heat),
        rxBytes: sumOf(outside.map(({ rxBytes }) => rxBytes.bytes)),
        txBytes: sumOf(outside.map(({ txBytes }) => txBytes.bytes)),
      }
    } catch {
      this.#last = NOTHING
    }
  }
}

async function load(): Promise<OSUtils> {
  const { OSUtils } = await import('node-os-utils')
  const utilities = new OSUtils({ cacheEnabled: false, cpu: { includeTemperature: true } })
  for (const monitor of [utilities.cpu, utilities.network]) monitor.on('error', () => {})
  return utilities
}

function sumOf(counters: readonly number[]): number | null {
  if (counters.length === 0 || !counters.every(Number.isFinite)) return null
  return counters.reduce((sum, counter) => sum + counter, 0)
}
