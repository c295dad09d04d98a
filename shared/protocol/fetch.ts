/**
 * How a node fetches a package from its gateway: on the MQTT port, over TLS by the ALPN name below and with the node's own
 * certificate; where the port is open, told from MQTT by its first byte, which no packet of MQTT may begin with. One line of
 * JSON each way, then the bytes from there on. A fetch that broke goes on where it stands.
 *
 *   → {"sha256":"<name>","from":<offset>}
 *   ← {"bytes":<of the whole>}, a line end, and the bytes     or   {"error":"unknown-package" | "busy" | "malformed"}
 */
import { isPackageName } from './upgrade-messages.ts'

export const FETCH_PROTOCOL = 'obelisk-fetch/1'
/** The first byte of a line. Of a packet of MQTT it would be a PUBCOMP with flags that it cannot have [MQTT-2.2.2-2]. */
export const FETCH_FIRST_BYTE = 0x7b
export const FETCH_LINE_BYTES_MAX = 256
/** The largest package that a board takes. */
export const PACKAGE_BYTES_MAX = 64 * 1024 * 1024

export interface FetchRequest {
  readonly sha256: string
  readonly from: number
}

export const FETCH_REFUSALS = ['unknown-package', 'busy', 'malformed'] as const
export type FetchRefusal = (typeof FETCH_REFUSALS)[number]

export type FetchAnswer = { readonly bytes: number } | { readonly error: FetchRefusal }

/** With its line end, as both are. */
export function encodeFetchLine(line: FetchRequest | FetchAnswer): string {
  return `${JSON.stringify(line)}\n`
}

export function decodeFetchRequest(line: string): FetchRequest | undefined {
  const { sha256, from } = membersOf(line)
  return isPackageName(sha256) && isCount(from) ? { sha256, from } : undefined
}

export function decodeFetchAnswer(line: string): FetchAnswer | undefined {
  const { bytes, error } = membersOf(line)
  if (isCount(bytes) && bytes <= PACKAGE_BYTES_MAX) return { bytes }
  const refusal = FETCH_REFUSALS.find((one) => one === error)
  return refusal === undefined ? undefined : { error: refusal }
}

function membersOf(line: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(line))
  } catch {
    return {}
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
