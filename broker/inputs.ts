/** The inputs of the configuration, for the grid that there is. */
import { findField } from '../shared/grid/fields.ts'
import { unknownField } from '../shared/operations/field-values.ts'
import type { GridContext } from '../shared/operations/operation.ts'
import { parseReadings } from '../shared/protocol/readings.ts'
import { isBelowBase } from '../shared/protocol/topics.ts'
import { ConfigError } from '../shared/runtime/config.ts'
import type { MqttBrokerPort } from './adapters/mqtt-hooks.ts'
import type { GatewayConfig } from './config.ts'
import { type Input, Inputs, inputName } from './core/inputs.ts'
import type { GatewayDriver } from './driver.ts'

/**
 * What the broker is told of cells, by readings and by inputs. Throws ConfigError where inputs name what the grid or the
 * topics do not have.
 */
export function readingPort(
  { inputs: given, topicBase }: Pick<GatewayConfig, 'inputs' | 'topicBase'>,
  grid: GridContext,
  { file, driver }: { readonly file: string | undefined; driver(): GatewayDriver },
): Required<Pick<MqttBrokerPort, 'onReadings' | 'onForeign'>> {
  const inputs = makeInputs(given, grid, { topicBase, file })
  return {
    onReadings({ of, topic, payload, submitter }, done) {
      driver().read([parseReadings(of, payload, grid)], { topic, submitter }, done)
    },
    onForeign({ topic, payload, submitter }, done) {
      const results = inputs.read(topic, payload)
      if (results.length === 0) return false
      driver().read(results, { topic, submitter, isByInput: true }, done)
      return true
    },
  }
}

export function makeInputs(
  inputs: readonly Input[],
  grid: GridContext,
  { topicBase, file }: { readonly topicBase: string; readonly file: string | undefined },
): Inputs {
  const problems = inputs.flatMap((input, index) =>
    problemsOf(input, grid, topicBase).map((problem) => `${file}: ${inputName(index)}: ${problem}`),
  )
  if (problems.length > 0) throw new ConfigError(problems)
  return new Inputs(inputs, grid)
}

function problemsOf({ topic, field, x, y }: Input, grid: GridContext, base: string): string[] {
  const { fields, geometry } = grid
  const { width, height } = geometry
  const isBeyond = (place: Input['x'], side: number): boolean =>
    typeof place === 'number' && place >= side
  const below = `topic: "${topic}" is below the base "${base}", where readings are told as cell/…`
  return [
    ...(isBelowBase(base, topic) ? [below] : []),
    ...(findField(fields, field) ? [] : [`field: ${unknownField('', field, fields).message}`]),
    ...(isBeyond(x, width) ? [`x: ${x} is outside a grid of ${width}x${height}`] : []),
    ...(isBeyond(y, height) ? [`y: ${y} is outside a grid of ${width}x${height}`] : []),
  ]
}
