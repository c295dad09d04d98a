/** Where readings come in: those of sensors, and those that the inputs of the configuration find. */
import type { GridContext } from '../shared/operations/operation.ts'
import { parseReadings, type ReadingsResult } from '../shared/protocol/readings.ts'
import { type Clock, SYSTEM_CLOCK } from '../shared/runtime/clock.ts'
import type { ForeignMessage, MqttBrokerPort } from './adapters/mqtt-hooks.ts'
import type { GatewayConfig } from './config.ts'
import { Inputs } from './core/inputs.ts'
import { ReadingRates } from './core/rules/reading-rates.ts'
import { sharerOf } from './core/rules/reading-shares.ts'
import type { GatewayDriver } from './driver.ts'

/** What the broker is told of cells, by readings and by inputs. What is beyond the rate is not even parsed. */
export function readingPort(
  given: GatewayConfig['inputs'],
  grid: GridContext,
  driver: Pick<GatewayDriver, 'read'>,
  clock: Pick<Clock, 'monotonicMs'> = SYSTEM_CLOCK,
): Required<Pick<MqttBrokerPort, 'onReadings' | 'onForeign'>> {
  const inputs = new Inputs(given, grid)
  const rates = new ReadingRates()
  const take = (
    { payload: { length: bytes }, submitter }: ForeignMessage,
    mayWait: boolean,
    parse: () => readonly ReadingsResult[],
  ): { readonly results: readonly ReadingsResult[] | 'too-many'; readonly waitMs: number } => {
    const waitMs = rates.take(clock.monotonicMs, { by: sharerOf(submitter), bytes, mayWait })
    return waitMs === undefined ? { results: 'too-many', waitMs: 0 } : { results: parse(), waitMs }
  }
  return {
    onReadings(message, done) {
      const { of, topic, payload, submitter } = message
      const parse = () => [parseReadings(of, payload, grid)]
      const { results, waitMs } = take(message, done !== undefined, parse)
      driver.read(results, { topic, submitter, waitMs }, done)
    },
    onForeign(message, done) {
      const { topic, payload, submitter } = message
      const read = payload.length === 0 ? undefined : inputs.readerOf(topic)
      if (read === undefined) return false
      const parse = () => read(payload)
      const { results, waitMs } = take(message, done !== undefined, parse)
      // Whoever borrowed waits, whatever is in it.
      if (results.length === 0 && waitMs === 0) return false
      driver.read(results, { topic, submitter, waitMs, isByInput: true }, done)
      return true
    },
  }
}
