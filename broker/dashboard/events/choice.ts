/** Which events are shown. */
import type { Happening } from '../answers.ts'

export type Level = 'info' | 'warn' | 'error'
export const LEVELS: readonly Level[] = ['info', 'warn', 'error']

/** From this level on, and only those that hold the text. */
export function chosenEvents(
  happenings: readonly Happening[],
  { least, find }: { readonly least: Level; readonly find: string },
): Happening[] {
  const wanted = find.trim().toLowerCase()
  return happenings.filter(({ level, code, message, node }) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return false
    return wanted === '' || `${code} ${message} ${node ?? ''}`.toLowerCase().includes(wanted)
  })
}

/** What `find` can be set to at once: codes that have come, the most frequent first. */
export function codesOf(happenings: readonly Happening[]): [code: string, count: number][] {
  const counts = new Map<string, number>()
  for (const { code } of happenings) counts.set(code, (counts.get(code) ?? 0) + 1)
  return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
}
