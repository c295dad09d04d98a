/** What `task submit --help` says of operations: those that this version knows. */
import { OPERATIONS_SHOWN } from '../../shared/operations/catalog.ts'
import type { OperationShown } from '../../shared/operations/operation.ts'

const WIDTH = Math.max(...OPERATIONS_SHOWN.map(({ op }) => op.length))

export function operationsHelp(): string {
  const lines = OPERATIONS_SHOWN.flatMap(({ op, does, args }) => [
    `  ${op.padEnd(WIDTH)}  ${does}`,
    ...(args.length === 0
      ? []
      : [`  ${''.padEnd(WIDTH)}  --args: ${args.map(wordsOf).join(', ')}`]),
  ])
  return `\nOperations:\n${lines.join('\n')}`
}

function wordsOf({ name, optional, choices }: OperationShown['args'][number]): string {
  const shown = choices === undefined ? name : `${name} (${choices.join(', ')})`
  return optional ? `[${shown}]` : shown
}
