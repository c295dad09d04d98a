/** An end of a bridge: where it is, by which name, and the client of MQTT that connects to it again and again. */
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import mqttClient from 'mqtt/lib/client'

export interface BridgeEnd {
  readonly host: string
  readonly port: number
  readonly clientId: string
  readonly username?: string
  readonly password?: string
  /** Over TLS, by this authority, or by those of the system where it is empty. */
  readonly ca?: string
}

const RECONNECT_MS = 1000
const CONNECT_TIMEOUT_MS = 5000

const MqttClient = mqttClient.default
export type BridgeClient = InstanceType<typeof MqttClient>

export function bridgeClient(end: BridgeEnd, { clean }: { readonly clean: boolean }): BridgeClient {
  const { clientId, username, password } = end
  const login = username === undefined ? {} : { username, ...(password && { password }) }
  return new MqttClient(() => openSocket(end), {
    ...{ clientId, ...login, clean, protocolVersion: 4, keepalive: 30 },
    ...{ connectTimeout: CONNECT_TIMEOUT_MS, reconnectPeriod: RECONNECT_MS },
    ...{ resubscribe: false, queueQoSZero: false, writeCache: false },
  })
}

function openSocket({ host, port, ca }: BridgeEnd): Socket {
  if (ca === undefined) return connect(port, host).setNoDelay(true)
  const trusted = ca === '' ? {} : { ca }
  // No address is a name there [RFC 6066 §3].
  const name = isIP(host) === 0 ? { servername: host } : {}
  return connectTls({ host, port, ...name, ...trusted }).setNoDelay(true)
}
