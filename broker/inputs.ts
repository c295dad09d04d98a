/** The inputs of the configuration, for the grid that there is. */
import { findField } from '../shared/grid/fields.ts'
import { unknownField } from '../shared/operations/field-values.ts'
import type { GridContext } from '../shared/operations/operation.ts'
import { isBelowBase } from '../shared/protocol/topics.ts'
import { ConfigError } from '../shared/runtime/config.ts'
import { levelsOf } from './adapters/mqtt-access.ts'
import { MQTT_LIMITS } from './adapters/mqtt-options.ts'
import { type Input, Inputs, inputName } from './core/inputs.ts'

/** Throws ConfigError where they name what the grid or the topics do not have. */
export function makeInputs(
  inputs: readonly Input[],
  grid: GridContext,
  { topicBase, file }: { readonly topicBase: string; readonly file: string | undefined },
): Inputs {
  const problems = inputs.flatMap((input, index) =>
    [...topicProblems(input, topicBase), ...gridProblems(input, grid)].map(
      (problem) => `${file}: ${inputName(index)}: ${problem}`,
    ),
  )
  if (problems.length > 0) throw new ConfigError(problems)
  return new Inputs(inputs, grid)
}

function topicProblems({ topic }: Input, base: string): string[] {
  const { topicLevelsMax } = MQTT_LIMITS
  if (isBelowBase(base, topic)) {
    return [`topic: "${topic}" is below the base "${base}", where readings are told as cell/…`]
  }
  const isDeep = levelsOf(topic) > topicLevelsMax
  return isDeep ? [`topic: "${topic}" has more than ${topicLevelsMax} levels`] : []
}

function gridProblems({ field, x, y }: Input, { fields, geometry }: GridContext): string[] {
  const { width, height } = geometry
  const isBeyond = (place: Input['x'], side: number): boolean =>
    typeof place === 'number' && place >= side
  return [
    ...(findField(fields, field) ? [] : [`field: ${unknownField('', field, fields).message}`]),
    ...(isBeyond(x, width) ? [`x: ${x} is outside a grid of ${width}x${height}`] : []),
    ...(isBeyond(y, height) ? [`y: ${y} is outside a grid of ${width}x${height}`] : []),
  ]
}
