/** Inputs and watches of the file name cells of the grid: what of them it does not have. */
import type { GridContext } from '../shared/operations/operation.ts'
import { ConfigError } from '../shared/runtime/config.ts'
import type { GatewayConfig } from './config.ts'
import { inputProblems } from './inputs.ts'
import { watchProblems } from './watched-cells.ts'

/** Throws ConfigError with every problem of both. */
export function assertCells(
  { inputs, watches, topicBase }: Pick<GatewayConfig, 'inputs' | 'watches' | 'topicBase'>,
  grid: GridContext,
  file: string | undefined,
): void {
  const problems = [...inputProblems(inputs, grid, topicBase), ...watchProblems(watches, grid)]
  if (problems.length > 0) throw new ConfigError(problems.map((problem) => `${file}: ${problem}`))
}
