/** The limits of the MQTT side: far from what a thousand clients of one fleet meet. */
import {
  MESSAGE_BYTES_MAX,
  SUBMISSION_BYTES_MAX,
  SUBMISSION_BYTES_SKIPPED_MAX,
} from '../../shared/protocol/limits.ts'
import { TOPIC_LEVELS_MAX } from '../../shared/protocol/topics.ts'
import type { FetchDoor } from './fetch-door.ts'
import type { GateOptions } from './mqtt-gate-parts.ts'
import { PACKET_BOUNDS } from './mqtt-packets.ts'
import type { RetainedSource } from './mqtt-retained.ts'
import type { RetainedLedger } from './mqtt-retained-journal.ts'
import type { SecureDoorOptions } from './mqtt-secure-door.ts'

const KIB = 1024
const MIB = 1024 * KIB

export const MQTT_LIMITS = {
  connectionsMax: 12_000,
  /** Sockets that have not sent their CONNECT. */
  preConnectMax: 1024,
  preConnectGraceMs: 1000,
  preConnectBytesMax: 4 * KIB,
  connectTimeoutMs: 5000,
  assemblyTimeoutMs: 10_000,
  /** Of packets that have begun to arrive, over all connections. */
  bufferedBytesMax: 64 * MIB,
  packetsPerSecond: 20_000,
  bytesPerSecond: 64 * MIB,
  /** Undefined: any keepalive, and none. */
  keepaliveSecondsMax: undefined as number | undefined,
  filtersPerPacketMax: PACKET_BOUNDS.filtersPerPacketMax,
  filtersPerClientMax: 1024,
  filterBytesMax: PACKET_BOUNDS.topicBytesMax,
  topicLevelsMax: TOPIC_LEVELS_MAX,
  filtersTotalMax: 200_000,
  sessionsMax: 10_000,
  queueMessagesMax: 1000,
  queueBytesMax: 4 * MIB,
  /** Of all that waits for absent clients. */
  queuedBytesMax: 256 * MIB,
  retainedMessagesMax: 10_000,
  retainedBytesMax: 64 * MIB,
  /** Backlog of one client from which publishers to it wait. */
  backlogWaitBytes: 256 * KIB,
  /** …its QoS 0 messages are dropped. */
  backlogDropBytes: 512 * KIB,
  /** …it is disconnected, if it has been behind for a second; at four times this, at once. */
  backlogCloseBytes: 4 * MIB,
  /** Of all clients; beyond, those furthest behind are disconnected. */
  backlogTotalMax: 256 * MIB,
  /** How long a publisher waits for a client that does not read. */
  drainHoldMs: 1000,
  stallTimeoutMs: 10_000,
  figuresIntervalMs: 10_000,
}

export type MqttLimits = { readonly [K in keyof typeof MQTT_LIMITS]: (typeof MQTT_LIMITS)[K] }

/** How the broker knows the gateway's own bridge, on both of its ends. Nobody else can know it. */
export interface BridgeMarks {
  readonly clientId: string
  /** Who subscribes to it here is the other end. */
  readonly loopFilter: string
}

export interface MqttBrokerOptions extends Partial<MqttLimits> {
  readonly host?: string
  /** 0 takes a free one. */
  readonly port?: number
  readonly topicBase?: string
  readonly version?: string
  readonly retainedSource?: RetainedSource
  /** Without one, what others have left is retained as long as the process lives. */
  readonly retainedLedger?: RetainedLedger
  /** The client id of the gateway's own client (mqtt-probe.ts). */
  readonly probeId?: string
  readonly bridge?: BridgeMarks
  /** Asks everybody who he is. Without it, anybody may do anything. */
  readonly secure?: SecureDoorOptions
  /** Where nodes fetch packages of a gateway that asks nobody who he is. */
  readonly fetch?: FetchDoor
}

export function gateOptionsFor(limits: MqttLimits, submitTopic: string): GateOptions {
  const { topicBytesMax } = PACKET_BOUNDS
  return {
    packetBounds: {
      ...PACKET_BOUNDS,
      filtersPerPacketMax: limits.filtersPerPacketMax,
      keepaliveSecondsMax: limits.keepaliveSecondsMax,
    },
    frameBounds: {
      preConnectBytesMax: limits.preConnectBytesMax,
      publishBytesMax: MESSAGE_BYTES_MAX + topicBytesMax + 4,
      filtersBytesMax: MESSAGE_BYTES_MAX,
      controlBytesMax: 16,
      topicBytesMax,
      submitTopic: Buffer.from(submitTopic),
      submissionBytesMax: SUBMISSION_BYTES_MAX,
      submissionBytesSkippedMax: SUBMISSION_BYTES_SKIPPED_MAX,
    },
    connectTimeoutMs: limits.connectTimeoutMs,
    assemblyTimeoutMs: limits.assemblyTimeoutMs,
    packetsPerSecond: limits.packetsPerSecond,
    bytesPerSecond: limits.bytesPerSecond,
    writableBytes: limits.backlogWaitBytes,
    drainHoldMs: limits.drainHoldMs,
    stallTimeoutMs: limits.stallTimeoutMs,
  }
}
