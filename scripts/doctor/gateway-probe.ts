/**
 * One MQTT 3.1.1 connection by hand: whether the gateway's name is known, its port open, and we let in; then
 * what it retains of this node. A client library would try again and hide which of these it was.
 */
import { connect, type Socket } from 'node:net'
import { generate, type Packet, parser } from 'mqtt-packet'
import type { Identity } from '../../firmware-agent/adapters/identity-files.ts'
import { randomId } from '../../shared/core/ids.ts'
import { linkWords } from '../../shared/runtime/address-hint.ts'
import { messageOf } from '../../shared/runtime/errors.ts'
import { SystemRandom } from '../../shared/runtime/system-random.ts'
import type { GatewayProbe } from './gateway-finding.ts'
import { probeSecured } from './secure-probe.ts'

export interface ProbeOptions {
  /** `mqtt://host:port` or `mqtts://…` */
  readonly url: string
  /** Text topics whose retained messages are wanted. */
  readonly topics: readonly string[]
  readonly timeoutMs: number
  /** Of this node, for a gateway that is secured. */
  readonly identity?: Identity | undefined
}

export interface ProbeResult {
  readonly probe: GatewayProbe
  readonly retained: ReadonlyMap<string, string>
}

/** After the SUBACK retained messages come at once; a gateway has none of a node that never was. */
const RETAINED_MS = 500
/** CONNACK: bad user name or password, not authorized [MQTT-3.2.2-6]. */
const NOT_AUTHORISED = [4, 5]

export async function probeGateway(options: ProbeOptions): Promise<ProbeResult> {
  const retained = new Map<string, string>()
  const startMs = performance.now()
  const url = new URL(options.url)
  const isTls = url.protocol === 'mqtts:'
  const address = {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || (isTls ? 8883 : 1883)),
  }
  if (isTls) {
    const { identity, timeoutMs } = options
    return { probe: await probeSecured({ ...address, identity, timeoutMs }, failureOf), retained }
  }
  const socket: Socket = connect(address)
  return await new Promise((resolve) => {
    let roundTripMs = 0
    const end = (probe: GatewayProbe): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ probe, retained })
    }
    const reached = (): void => end({ kind: 'reached', roundTripMs })
    let timer = setTimeout(() => {
      end({ kind: 'silent', detail: `nothing within ${options.timeoutMs / 1000} s` })
    }, options.timeoutMs)
    socket.on('error', (error) => end(failureOf(error)))
    socket.on('close', () => end({ kind: 'not-a-gateway', detail: 'it closed the connection' }))
    socket.on('connect', () => socket.write(connectPacket()))
    const packets = parser()
    packets.on('error', (error) => end({ kind: 'not-a-gateway', detail: messageOf(error) }))
    packets.on('packet', (packet: Packet) => {
      if (packet.cmd === 'connack') {
        roundTripMs = performance.now() - startMs
        const code = packet.returnCode ?? 0
        if (code !== 0) {
          const kind = NOT_AUTHORISED.includes(code) ? 'not-authorised' : 'not-a-gateway'
          end({ kind, detail: `CONNACK ${code}` })
        } else if (options.topics.length === 0) reached()
        else socket.write(subscribePacket(options.topics))
      } else if (packet.cmd === 'suback') {
        clearTimeout(timer)
        timer = setTimeout(reached, RETAINED_MS)
      } else if (packet.cmd === 'publish') {
        retained.set(packet.topic, packet.payload.toString())
        if (retained.size === options.topics.length) reached()
      }
    })
    socket.on('data', (bytes) => packets.parse(bytes))
  })
}

function connectPacket(): Buffer {
  return generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clean: true,
    keepalive: 30,
    clientId: `obelisk-doctor-${randomId(new SystemRandom())}`,
  })
}

function subscribePacket(topics: readonly string[]): Buffer {
  const subscriptions = topics.map((topic) => ({ topic, qos: 0 as const }))
  return generate({ cmd: 'subscribe', messageId: 1, subscriptions } as Packet)
}

function failureOf(error: Error): GatewayProbe {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  const detail = linkWords(error)
  if (['ENOTFOUND', 'EAI_AGAIN', 'EAI_NODATA'].includes(code)) return { kind: 'name', detail }
  if (code === 'ECONNREFUSED') return { kind: 'refused', detail }
  if (['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'].includes(code)) return { kind: 'silent', detail }
  return { kind: 'not-a-gateway', detail }
}
