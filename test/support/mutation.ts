import type { CoordinatorClass } from './simulated-gateway.ts'
import type { AgentClass } from './simulated-node.ts'

/** What a mutant does wrong, or which broken core stands in for ours. */
export interface Mutation {
  readonly Coordinator?: CoordinatorClass
  readonly Agent?: AgentClass
  readonly releasesBeforeFlush?: boolean
  readonly hasNoFence?: boolean
  /** Pages of other nodes are taken as they come. */
  readonly mixesPieces?: boolean
  readonly ignoresAfter?: boolean
  readonly reportsBeforeFlush?: boolean
}
