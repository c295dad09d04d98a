/** The JSON of a long list, made in slices between which others are served (turns.ts). */
import { toJsonText } from '../../shared/protocol/json-text.ts'

/** Of rows that come some at a time: the same text as `toJsonText` makes of all. */
export function* listText(slices: Iterable<readonly unknown[]>): Generator<void, string> {
  const texts: string[] = []
  for (const rows of slices) {
    if (rows.length === 0) continue
    if (texts.length > 0) yield
    texts.push(toJsonText(rows).slice(1, -1))
  }
  return `[${texts.join(',')}]`
}
