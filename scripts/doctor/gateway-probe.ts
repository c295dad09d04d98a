/**
 * One connection by hand: whether the gateway's name is known, its port open, and we let in. A client library would try
 * again and hide which of these it was.
 */
import { connect, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { generate, type Packet, parser } from 'mqtt-packet'
import type { Identity } from '../../firmware-agent/adapters/identity-files.ts'
import { randomId } from '../../shared/core/ids.ts'
import { GATEWAY_SERVER_NAME } from '../../shared/protocol/enrolment.ts'
import { isAlert, linkWords } from '../../shared/runtime/address-hint.ts'
import { messageOf } from '../../shared/runtime/errors.ts'
import { SystemRandom } from '../../shared/runtime/system-random.ts'
import type { GatewayProbe } from './gateway-finding.ts'

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
/** A gateway that does not take a key ends the connection once it has seen it. */
const REFUSED_WITHIN_MS = 1000
/** CONNACK: bad user name or password, not authorized [MQTT-3.2.2-6]. */
const NOT_AUTHORISED = [4, 5]

/** The connection and its end, which is the first that is told. */
interface Attempt {
  readonly socket: Socket
  readonly end: (probe: GatewayProbe) => void
  /** Its end, unless it is told another within that time. */
  readonly endAfter: (ms: number, probe: GatewayProbe) => void
}

export async function probeGateway(options: ProbeOptions): Promise<ProbeResult> {
  const retained = new Map<string, string>()
  const { hostname, port, protocol } = new URL(options.url)
  const isTls = protocol === 'mqtts:'
  const address = {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || (isTls ? 8883 : 1883)),
  }
  const probe = await new Promise<GatewayProbe>((resolve) => {
    const socket = isTls ? connectSecured(address, options.identity) : connect(address)
    let timer: NodeJS.Timeout | undefined
    const end = (probe: GatewayProbe): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(probe)
    }
    const endAfter = (ms: number, probe: GatewayProbe): void => {
      clearTimeout(timer)
      timer = setTimeout(end, ms, probe)
    }
    const { timeoutMs } = options
    endAfter(timeoutMs, { kind: 'silent', detail: `nothing within ${timeoutMs / 1000} s` })
    const attempt = { socket, end, endAfter }
    if (isTls) shakeHands(attempt, options.identity)
    else subscribe(attempt, options.topics, retained)
  })
  return { probe, retained }
}

/** Asks for what the gateway retains. */
function subscribe(
  { socket, end, endAfter }: Attempt,
  topics: readonly string[],
  retained: Map<string, string>,
): void {
  const startMs = performance.now()
  let roundTripMs = 0
  const packets = parser()
  packets.on('error', (error) => end({ kind: 'not-a-gateway', detail: messageOf(error) }))
  packets.on('packet', (packet: Packet) => {
    if (packet.cmd === 'connack') {
      roundTripMs = performance.now() - startMs
      const code = packet.returnCode ?? 0
      if (code !== 0) {
        const kind = NOT_AUTHORISED.includes(code) ? 'not-authorised' : 'not-a-gateway'
        end({ kind, detail: `CONNACK ${code}` })
      } else socket.write(subscribePacket(topics))
    } else if (packet.cmd === 'suback') {
      endAfter(RETAINED_MS, { kind: 'reached', roundTripMs })
    } else if (packet.cmd === 'publish') {
      retained.set(packet.topic, packet.payload.toString())
      if (retained.size === topics.length) end({ kind: 'reached', roundTripMs })
    }
  })
  socket.on('error', (error) => end(failureOf(error)))
  socket.on('close', () => end({ kind: 'not-a-gateway', detail: 'it closed the connection' }))
  socket.on('connect', () => socket.write(connectPacket()))
  socket.on('data', (bytes) => packets.parse(bytes))
}

function connectSecured(address: { host: string; port: number }, identity?: Identity) {
  const { ca, key, certificate: cert } = identity ?? {}
  return connectTls({
    ...{ ...address, servername: GATEWAY_SERVER_NAME, ALPNProtocols: ['mqtt'] },
    ...{ minVersion: 'TLSv1.3' as const, rejectUnauthorized: false, ca, key, cert },
  })
}

/** Whether what listens speaks TLS, is the gateway of this node's fleet, and takes its key. */
function shakeHands({ socket, end, endAfter }: Attempt, identity: Identity | undefined): void {
  const startMs = performance.now()
  let isConnected = false
  let isSecured = false
  const gone = (detail: string, kind: 'not-tls' | 'not-a-gateway' = 'not-tls'): void => {
    if (!isSecured) end({ kind, detail })
    else end({ kind: 'not-authorised', detail: 'it does not take its key: revoked?' })
  }
  socket.on('connect', () => {
    isConnected = true
  })
  socket.on('error', (error) => {
    if (!isConnected) end(failureOf(error))
    else gone(linkWords(error), isAlert(error) ? 'not-a-gateway' : 'not-tls')
  })
  socket.on('close', () => gone('it closed the connection'))
  socket.on('secureConnect', () => {
    isSecured = true
    if (identity !== undefined && !(socket as TLSSocket).authorized) {
      const detail = 'the pin of its authority is not that of this node'
      end({ kind: 'other-fleet', detail })
    } else {
      const roundTripMs = performance.now() - startMs
      endAfter(REFUSED_WITHIN_MS, { kind: 'reached', roundTripMs })
    }
  })
  socket.resume()
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
