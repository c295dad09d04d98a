/** The inputs of the configuration, for the grid that there is. */
import { findField } from '../shared/grid/fields.ts'
import { unknownField } from '../shared/operations/field-values.ts'
import type { GridContext } from '../shared/operations/operation.ts'
import { parseReadings } from '../shared/protocol/readings.ts'
import { isBelowBase } from '../shared/protocol/topics.ts'
import type { MqttBrokerPort } from './adapters/mqtt-hooks.ts'
import type { GatewayConfig } from './config.ts'
import { type Input, Inputs, inputName } from './core/inputs.ts'
import type { GatewayDriver } from './driver.ts'

/** What the broker is told of cells, by readings and by inputs. */
export function readingPort(
  given: GatewayConfig['inputs'],
  grid: GridContext,
  driver: () => GatewayDriver,
): Required<Pick<MqttBrokerPort, 'onReadings' | 'onForeign'>> {
  const inputs = new Inputs(given, grid)
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

/** Where inputs name what the grid or the topics do not have. */
export function inputProblems(
  inputs: readonly Input[],
  grid: GridContext,
  topicBase: string,
): string[] {
  return inputs.flatMap((input, index) =>
    problemsOf(input, grid, topicBase).map((problem) => `${inputName(index)}: ${problem}`),
  )
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
