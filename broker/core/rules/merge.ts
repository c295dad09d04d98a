/**
 * Joins the partial results of a task's parts. `merge` of an operation is associative, so the parts
 * are joined as a balanced tree: 10,000 parts cost n log n copies instead of n².
 */
import type { Wire } from '../../../shared/operations/operation.ts'

export function mergeAll(parts: readonly Wire[], merge: (left: Wire, right: Wire) => Wire): Wire {
  let level = [...parts]
  while (level.length > 1) {
    const next: Wire[] = []
    for (let index = 0; index < level.length; index += 2) {
      const right = level[index + 1]
      next.push(right === undefined ? level[index]! : merge(level[index]!, right))
    }
    level = next
  }
  return level[0] ?? {}
}
