/**
 * Telemetry (wire.md): one flat CBOR map a message on `node/<node>/telemetry`, numbers with the unit
 * in the name, null for what a board cannot give. The gateway repeats it as JSON.
 */
import * as v from 'valibot'
import { isId } from '../core/ids.ts'
import { decodeCbor, encodeCbor } from './cbor.ts'
import { MESSAGE_LIMITS } from './limits.ts'
import { parseWith } from './problems.ts'

const TELEMETRY_VERSION = 1

export const TELEMETRY_NUMBERS = [
  'incarnation',
  'seq',
  'ts',
  'uptime_seconds',
  'cpu_percent',
  'load1',
  'mem_total_bytes',
  'mem_available_bytes',
  'rss_bytes',
  'temp_celsius',
  'disk_free_bytes',
  'net_rx_bytes',
  'net_tx_bytes',
  'loop_busy_percent',
  'broker_rtt_ms',
  'clock_offset_ms',
  'tiles',
  'lsus',
  'shards_running',
  'shards_done_total',
  'shards_failed_total',
  'outbox_records',
  'outbox_bytes',
  'store_bytes',
  'store_written_bytes_total',
] as const

export type TelemetryNumber = (typeof TELEMETRY_NUMBERS)[number]

export type Telemetry = { readonly node: string } & Readonly<Record<TelemetryNumber, number | null>>

const numbers = Object.fromEntries(
  TELEMETRY_NUMBERS.map((name) => [name, v.nullable(v.number())]),
) as Record<TelemetryNumber, v.NullableSchema<v.NumberSchema<undefined>, undefined>>

export const telemetrySchema = v.strictObject({
  v: v.literal(TELEMETRY_VERSION),
  node: v.custom<string>(isId, 'an id'),
  ...numbers,
})

export function encodeTelemetry(telemetry: Telemetry): Uint8Array {
  return encodeCbor({ v: TELEMETRY_VERSION, ...telemetry })
}

/** The fields of a telemetry message, or nothing when the bytes are none. Never throws. */
export function decodeTelemetry(payload: Uint8Array): Record<string, unknown> | undefined {
  const decoded = decodeCbor(payload, MESSAGE_LIMITS)
  if (!decoded.ok) return undefined
  const parsed = parseWith(telemetrySchema, decoded.value)
  return parsed.ok ? parsed.value : undefined
}
