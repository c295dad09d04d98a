/** The inputs of the configuration, for the grid that there is. */
import type { GridContext } from '../shared/operations/operation.ts'
import { parseReadings } from '../shared/protocol/readings.ts'
import type { MqttBrokerPort } from './adapters/mqtt-hooks.ts'
import type { GatewayConfig } from './config.ts'
import { Inputs } from './core/inputs.ts'
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
