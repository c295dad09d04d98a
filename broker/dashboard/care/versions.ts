import type { NodeRow } from '../answers.ts'
import { BY_NAME } from '../format.ts'
import { grouped } from '../parts/grouped.ts'

export interface VersionRow {
  /** Nothing where the gateway does not know it. */
  readonly version: string | undefined
  readonly nodes: readonly NodeRow[]
}

/** Nodes by what they run: the newest version first, what is not known last. */
export function versionsOf(rows: readonly NodeRow[]): VersionRow[] {
  return [...grouped(rows, ({ version }) => version)]
    .map(([version, nodes]) => ({
      version,
      nodes: nodes.toSorted((a, b) => BY_NAME.compare(a.id, b.id)),
    }))
    .sort((a, b) => {
      if (a.version === undefined || b.version === undefined) {
        return Number(a.version === undefined) - Number(b.version === undefined)
      }
      return BY_NAME.compare(b.version, a.version)
    })
}
