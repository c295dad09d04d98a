/**
 * Every operation there is, by name. A node announces the names it can run. Some are not for people: what a program asks
 * for is the operation that writes or reads by it.
 */
import { add } from './add.ts'
import { digest } from './digest.ts'
import { gather } from './gather.ts'
import { get } from './get.ts'
import type { About, Operation, OperationShown } from './operation.ts'
import { oslEdges } from './osl-edges.ts'
import { oslItems } from './osl-items.ts'
import { oslNear } from './osl-near.ts'
import { oslRead } from './osl-read.ts'
import { oslScatter } from './osl-scatter.ts'
import { oslWrite } from './osl-write.ts'
import { overview } from './overview.ts'
import { PROGRAM, PROGRAM_ABOUT } from './program-about.ts'
import { put } from './put.ts'
import { scale } from './scale.ts'
import { scatter } from './scatter.ts'
import { set } from './set.ts'
import { stat } from './stat.ts'
import { verify } from './verify.ts'

const OPERATIONS: readonly Operation[] = [
  ...[scale, put, set, add, scatter],
  ...[get, gather, stat, overview, digest, verify],
]

const BY_PROGRAM: readonly Operation[] = [
  oslWrite,
  oslRead,
  oslScatter,
  oslEdges,
  oslNear,
  oslItems,
]

const byName: ReadonlyMap<string, Operation> = new Map(
  [...OPERATIONS, ...BY_PROGRAM].map((operation) => [operation.name, operation]),
)

/** What a node runs. */
export const OPERATION_NAMES: readonly string[] = [...byName.keys()]

/** What a task may ask for. */
export const TASK_OPERATIONS: readonly string[] = [
  ...OPERATIONS.map((operation) => operation.name),
  PROGRAM,
]

export function findOperation(name: string): Operation | undefined {
  return byName.get(name)
}

/** An operation that a task may name as it is. */
export function findTaskOperation(name: string): Operation | undefined {
  return TASK_OPERATIONS.includes(name) ? findOperation(name) : undefined
}

export const OPERATIONS_SHOWN: readonly OperationShown[] = [
  ...OPERATIONS.map((operation) => ({
    op: operation.name,
    kind: operation.kind,
    over: overOf(operation),
    ...shownOf(operation.about),
  })),
  { op: PROGRAM, kind: 'program', over: 'region', ...shownOf(PROGRAM_ABOUT) },
]

function shownOf({ does, args }: About): Pick<OperationShown, 'does' | 'args'> {
  const shown = args.map(({ isOptional, ...rest }) => ({
    ...rest,
    ...(isOptional ? { optional: true as const } : {}),
  }))
  return { does, args: shown }
}

function overOf(operation: Operation): OperationShown['over'] {
  if (operation.kind === 'items') return 'items'
  return operation.idsOf === undefined ? 'region' : 'lsus'
}
