/** The parts of a write one by one, as they are read best: those whose nodes are still there, in their order. */
import type { EntryPart, EntryParts } from '../../broker/core/state/entry-parts.ts'

export function rowsOf(parts: EntryParts): EntryPart[] {
  const there = Array.from({ length: parts.size }, (_, part) => part)
  return there
    .filter((part) => !parts.isGone(part))
    .map((part) => {
      const [member, position] = [parts.members[part]!, parts.positionOf(part)]
      return { member, position, tiles: parts.tilesOf(part) }
    })
}
