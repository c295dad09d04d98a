/** What the benchmarks share: repeated timing, order statistics, and tables to read and to paste. */
import { cpus, loadavg, release, type } from 'node:os'

/** One run of something, milliseconds. */
export interface Sample {
  readonly wallMs: number
  /**
   * Wall or CPU time, whichever is less: where others use the machine too, wall time counts their
   * work, and CPU time of all threads counts compilation and garbage collection beside ours.
   */
  readonly ownMs: number
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

/** Runs once; returns how long it took and what it gave. */
export function measure<T>(run: () => T): { readonly sample: Sample; readonly value: T } {
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  const value = run()
  const wallMs = performance.now() - startMs
  const { user, system } = process.cpuUsage(cpu)
  return { sample: { wallMs, ownMs: Math.min(wallMs, (user + system) / 1000) }, value }
}

export function formatMs(ms: number): string {
  return ms < 10 ? ms.toFixed(2) : ms.toFixed(ms < 100 ? 1 : 0)
}

export const inMs = (ms: number): string => `${formatMs(ms)} ms`

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

/** A goal that a value is to stay below or at, and whether it does: two cells of a table, none without a goal. */
export function judged(value: number, goal: number | undefined, shown = String(goal)): string[] {
  return goal === undefined ? [] : [`≤ ${shown}`, value <= goal ? 'holds' : 'missed']
}

/** What a benchmark prints at its end. */
export function report(rows: readonly (readonly string[])[], note = ''): void {
  process.stdout.write(`${describeMachine()}\n${note && `${note}\n`}${formatTable(rows)}\n`)
}

/** Machine, runtime, day and how busy it was, for the head of a report. */
export function describeMachine(): string {
  const [cpu] = cpus()
  const day = new Date().toISOString().slice(0, 10)
  const model = cpu?.model.trim() ?? 'unknown CPU'
  const load = loadavg()[0]!.toFixed(1)
  return `${day}, ${cpus().length} × ${model}, ${type()} ${release()}, Node ${process.versions.node}, load ${load}`
}
