/**
 * What the board says about itself, under the names that telemetry has for it (wire.md). A sample
 * never waits and starts no process: files of /proc are held open and read again; what changes slowly
 * comes from the background. A value that the board does not give is null.
 */
import { closeSync, openSync, readSync, statfsSync } from 'node:fs'
import { loadavg, uptime } from 'node:os'
import { join } from 'node:path'
import { type EventLoopUtilization, performance } from 'node:perf_hooks'
import { SlowMetrics } from './slow-metrics.ts'

export interface DeviceMetricsOptions {
  /** A path on the disk whose free bytes are told. */
  readonly diskPath: string
  readonly procPath?: string
  readonly slowRefreshMs?: number
}

export interface DeviceSample {
  readonly uptime_seconds: number
  /** Of all cores, since the sample before. */
  readonly cpu_percent: number | null
  readonly load1: number
  readonly mem_total_bytes: number | null
  readonly mem_available_bytes: number | null
  readonly rss_bytes: number
  readonly temp_celsius: number | null
  readonly disk_free_bytes: number | null
  readonly net_rx_bytes: number | null
  readonly net_tx_bytes: number | null
  /** Share of the time since the sample before in which the event loop was not waiting. */
  readonly loop_busy_percent: number
}

const SLOW_REFRESH_MS = 60_000
const DISK_REFRESH_MS = 5000
const KIB = 1024

export class DeviceMetrics {
  readonly #options: DeviceMetricsOptions
  readonly #stat: ProcFile
  readonly #meminfo: ProcFile
  readonly #slow: SlowMetrics
  #cpu: { readonly busy: number; readonly total: number } | undefined
  #loop: EventLoopUtilization
  #disk: { freeBytes: number | null; atMs: number } = { freeBytes: null, atMs: -DISK_REFRESH_MS }

  constructor(options: DeviceMetricsOptions) {
    const { procPath = '/proc', slowRefreshMs = SLOW_REFRESH_MS } = options
    this.#options = options
    this.#stat = new ProcFile(join(procPath, 'stat'), 512)
    this.#meminfo = new ProcFile(join(procPath, 'meminfo'), 512)
    this.#slow = new SlowMetrics({ refreshMs: slowRefreshMs })
    this.#cpu = parseCpu(this.#stat.read())
    this.#loop = performance.eventLoopUtilization()
  }

  sample(): DeviceSample {
    const meminfo = this.#meminfo.read()
    const { temperature, rxBytes, txBytes } = this.#slow.last
    return {
      uptime_seconds: Math.round(uptime()),
      cpu_percent: this.#cpuPercent(),
      load1: loadavg()[0]!,
      mem_total_bytes: parseMemory(meminfo, 'MemTotal'),
      mem_available_bytes: parseMemory(meminfo, 'MemAvailable'),
      rss_bytes: process.memoryUsage.rss(),
      temp_celsius: temperature,
      disk_free_bytes: this.#diskFreeBytes(),
      net_rx_bytes: rxBytes,
      net_tx_bytes: txBytes,
      loop_busy_percent: this.#loopBusyPercent(),
    }
  }

  /** Resolves when the background has looked once more. */
  async refreshSlow(): Promise<void> {
    await this.#slow.refresh()
  }

  close(): void {
    this.#stat.close()
    this.#meminfo.close()
    this.#slow.close()
  }

  #cpuPercent(): number | null {
    const before = this.#cpu
    const now = parseCpu(this.#stat.read())
    this.#cpu = now
    if (before === undefined || now === undefined || now.total <= before.total) return null
    return toPercent((now.busy - before.busy) / (now.total - before.total))
  }

  #loopBusyPercent(): number {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, this.#loop)
    this.#loop = now
    return toPercent(utilization)
  }

  #diskFreeBytes(): number | null {
    const nowMs = performance.now()
    if (nowMs - this.#disk.atMs >= DISK_REFRESH_MS) {
      this.#disk = { freeBytes: freeBytesOf(this.#options.diskPath), atMs: nowMs }
    }
    return this.#disk.freeBytes
  }
}

/** The head of a file of /proc, held open; empty where there is none. */
class ProcFile {
  readonly #buffer: Buffer
  #descriptor: number | undefined

  constructor(path: string, bytesMax: number) {
    this.#buffer = Buffer.alloc(bytesMax)
    try {
      this.#descriptor = openSync(path, 'r')
    } catch {
      this.#descriptor = undefined
    }
  }

  read(): string {
    if (this.#descriptor === undefined) return ''
    try {
      const length = readSync(this.#descriptor, this.#buffer, 0, this.#buffer.length, 0)
      return this.#buffer.toString('latin1', 0, length)
    } catch {
      return ''
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor)
    this.#descriptor = undefined
  }
}

/** The line `cpu user nice system idle iowait irq softirq steal …`, in ticks (proc(5)). */
function parseCpu(stat: string): { busy: number; total: number } | undefined {
  const ticks = /^cpu +([\d ]+)\n/.exec(stat)?.[1]?.split(' ').map(Number).slice(0, 8)
  if (ticks === undefined || ticks.length < 5) return undefined
  const total = ticks.reduce((sum, part) => sum + part, 0)
  return { busy: total - ticks[3]! - ticks[4]!, total }
}

function parseMemory(meminfo: string, name: string): number | null {
  const found = new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(meminfo)
  return found ? Number(found[1]) * KIB : null
}

function freeBytesOf(path: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  } catch {
    return null
  }
}

function toPercent(share: number): number {
  return Math.round(Math.min(1, Math.max(0, share)) * 1000) / 10
}
