/** What the benchmarks share: repeated timing, order statistics, and tables to read and to paste. */
import { cpus, release, type } from 'node:os'

/** Sorted times of repeated runs, milliseconds. */
export interface Timings {
  readonly minMs: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly count: number
}

/** The value below which `share` (0 … 1) of the values lie; the nearest rank. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const rank = Math.max(0, Math.ceil(share * sorted.length) - 1)
  const value = sorted[rank]
  if (value === undefined) throw new Error('no values')
  return value
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

export function timingsOf(samplesMs: readonly number[]): Timings {
  return {
    minMs: quantile(samplesMs, 0),
    p50Ms: median(samplesMs),
    p99Ms: quantile(samplesMs, 0.99),
    maxMs: quantile(samplesMs, 1),
    count: samplesMs.length,
  }
}

/** The last thing that a run returned: the optimizer cannot leave out work that ends here. */
const sink: unknown[] = [undefined]

/** Times `run` after warm-up. */
export function timeRuns(
  { warmUps, runs }: { warmUps: number; runs: number },
  run: (index: number) => unknown,
): Timings {
  const samplesMs: number[] = []
  for (let index = 0; index < warmUps + runs; index++) {
    const startMs = performance.now()
    sink[0] = run(index)
    if (index >= warmUps) samplesMs.push(performance.now() - startMs)
  }
  return timingsOf(samplesMs)
}

export function formatMs(ms: number): string {
  return ms < 10 ? ms.toFixed(2) : ms.toFixed(ms < 100 ? 1 : 0)
}

/** A table of Markdown, its columns padded for the terminal. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length)
    })
  }
  const lines = rows.map((row) => {
    const cells = widths.map((width, column) => (row[column] ?? '').padEnd(width))
    return `| ${cells.join(' | ')} |`
  })
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [lines[0], rule, ...lines.slice(1)].join('\n')
}

/** Machine, runtime and day, for the head of a report. */
export function describeMachine(): string {
  const [cpu] = cpus()
  const day = new Date().toISOString().slice(0, 10)
  const model = cpu?.model.trim() ?? 'unknown CPU'
  return `${day}, ${cpus().length} × ${model}, ${type()} ${release()}, Node ${process.versions.node}`
}
