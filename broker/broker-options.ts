/** What the MQTT broker is made with: the options of the gateway that are its own. */
import { VERSION } from '../shared/runtime/version.ts'
import type { MqttBrokerOptions } from './adapters/mqtt-options.ts'
import type { GatewayConfig } from './config.ts'

const PORT = 1883
const SECURE_PORT = 8883

export function brokerOptions(config: GatewayConfig, isSecured: boolean): MqttBrokerOptions {
  return {
    host: config.host,
    port: config.port ?? (isSecured ? SECURE_PORT : PORT),
    topicBase: config.topicBase,
    connectionsMax: config.connectionsMax,
    packetsPerSecond: config.packetsPerSecond,
    filtersPerClientMax: config.filtersPerClientMax,
    filtersTotalMax: config.filtersTotalMax,
    sessionsMax: config.sessionsMax,
    queueMessagesMax: config.sessionMessagesMax,
    queueBytesMax: config.sessionBytesMax,
    queuedBytesMax: config.sessionsBytesMax,
    retainedMessagesMax: config.retainedMessagesMax,
    retainedBytesMax: config.retainedBytesMax,
    backlogCloseBytes: config.backlogBytesMax,
    backlogTotalMax: config.backlogTotalMax,
    bufferedBytesMax: config.bufferedBytesMax,
    version: VERSION,
  }
}
