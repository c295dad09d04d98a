/** What packages there are for an upgrade, and what would become of each node: plain functions of what the gateway says. */
import type { PackageRow, UpgradeStep } from '../answers.ts'
import { asWords, BY_NAME, counted, formatNumber } from '../format.ts'
import { grouped } from '../parts/grouped.ts'

/** Packages by their version, the newest first. */
export function offersOf(packages: readonly PackageRow[]): [version: string, PackageRow[]][] {
  const byVersion = grouped(packages, ({ version }) => version)
  return [...byVersion].sort(([a], [b]) => BY_NAME.compare(b, a))
}

export interface Pace {
  /** Nodes, or a share of them with its `%`. */
  readonly wave: string
  /** Seconds between two waves. */
  readonly pause: number
}

/** Each way that nodes are left out is a line: `2 nodes are left out: sole copies`. */
export function planLines(nodes: readonly UpgradeStep[], { wave, pause }: Pace): string[] {
  const left = grouped(
    nodes.filter(({ state }) => state === 'skipped'),
    ({ code = 'unknown' }) => code,
  )
  const out = [...left].map(
    ([code, { length }]) =>
      `${counted(length, 'node')} ${length === 1 ? 'is' : 'are'} left out: ${asWords(code)}.`,
  )
  const taking = nodes.filter(({ state }) => state !== 'skipped').length
  const then = `${wave} at a time${pause > 0 ? `, ${counted(pause, 'second')} apart` : ''}`
  return [`${counted(taking, 'node')} would take it, one first, and then ${then}.`, ...out]
}

/** What is not as it should be first, and what is still to come last. */
const ORDER = ['went-back', 'lost', 'installing', 'fetching', 'fetched', 'skipped', 'waiting']

/** Nodes that somebody may want to know of: all but those that are done. */
export function stepsOf(nodes: readonly UpgradeStep[]): UpgradeStep[] {
  return nodes
    .filter(({ state }) => state !== 'done')
    .sort(
      (a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || BY_NAME.compare(a.node, b.node),
    )
}

/** `3 done · 1 installing · 8 waiting`. */
export function countsLine(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).filter(([, count]) => count > 0)
  return parts.map(([state, count]) => `${formatNumber(count)} ${asWords(state)}`).join(' · ')
}
