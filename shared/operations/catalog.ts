/** Every operation there is, by name. A node announces the names it can run. */
import { add } from './add.ts'
import { digest } from './digest.ts'
import { gather } from './gather.ts'
import { get } from './get.ts'
import type { Operation, OperationShown } from './operation.ts'
import { overview } from './overview.ts'
import { put } from './put.ts'
import { scale } from './scale.ts'
import { scatter } from './scatter.ts'
import { set } from './set.ts'
import { stat } from './stat.ts'

const OPERATIONS: readonly Operation[] = [
  ...[scale, put, set, add, scatter],
  ...[get, gather, stat, overview, digest],
]

const byName: ReadonlyMap<string, Operation> = new Map(
  OPERATIONS.map((operation) => [operation.name, operation]),
)

export const OPERATION_NAMES: readonly string[] = OPERATIONS.map((operation) => operation.name)

export function findOperation(name: string): Operation | undefined {
  return byName.get(name)
}

export const OPERATIONS_SHOWN: readonly OperationShown[] = OPERATIONS.map((operation) => ({
  op: operation.name,
  kind: operation.kind,
  over: overOf(operation),
  does: operation.about.does,
  args: operation.about.args.map(({ isOptional, ...rest }) => ({
    ...rest,
    ...(isOptional ? { optional: true } : {}),
  })),
}))

function overOf(operation: Operation): OperationShown['over'] {
  if (operation.kind === 'items') return 'items'
  return operation.idsOf === undefined ? 'region' : 'lsus'
}
