/** Effects as lines of text that a person can follow: plain JSON, bytes as hex. */
import type { GatewayEffect } from '../../broker/core/effects.ts'
import type { StreamsRecord, WriteRecord } from '../../broker/core/ledger-records.ts'
import { isNamed, unpackParts } from '../../broker/core/state/part-records.ts'
import type { AgentEffect } from '../../firmware-agent/core/effects.ts'
import { DIGEST_BYTES } from '../../shared/core/hash.ts'
import { unpackNumbers } from '../../shared/operations/columns.ts'
import { decodeCbor } from '../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../shared/protocol/limits.ts'
import { buildTopic } from '../../shared/protocol/topics.ts'
import { rowsOf } from './part-rows.ts'

export function linesOf(effect: AgentEffect | GatewayEffect): string[] {
  switch (effect.type) {
    case 'persist':
      return effect.records.map(
        ({ table, key, value }) =>
          `persist ${table}/${key} ${value === undefined ? 'gone' : toText(readable(value))}`,
      )
    case 'publish': {
      const { topic, payload, qos, retain } = effect
      const how = `qos ${qos}${retain ? ' retained' : ''}`
      const text = typeof payload === 'string' ? payload || 'empty' : toText(payload)
      return [`publish ${buildTopic('o/v1', topic)} ${how} ${text}`]
    }
    case 'send': {
      const { t, ...rest } = effect.message
      const to = 'connection' in effect ? ` ${effect.connection}` : ''
      return [`send${to} ${t} ${toText(rest)}`]
    }
    default: {
      const { type, ...rest } = effect
      const isBare = Object.keys(rest).length === 0
      return [isBare ? type : `${type} ${toText(rest)}`]
    }
  }
}

/** Columns of the ledger as rows. */
function readable(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if ('marks' in value) {
    const { marks, chains } = value as StreamsRecord
    const numbers = unpackNumbers(marks)
    return Array.from({ length: chains.length / DIGEST_BYTES }, (_, at) => {
      const [head, acked, ackedSeq] = numbers.subarray(at * 3, at * 3 + 3)
      const ackedChain = chains.subarray(at * DIGEST_BYTES, (at + 1) * DIGEST_BYTES)
      return { head, acked, ackedChain, ackedSeq }
    })
  }
  if (!('parts' in value)) return value
  const { parts, ...rest } = value as WriteRecord
  if (isNamed(parts)) return value
  const rows = rowsOf(unpackParts(parts)).map((part) => ({ ...part, tiles: [...part.tiles] }))
  return { ...rest, parts: rows }
}

function toText(value: unknown): string {
  if (value instanceof Uint8Array) {
    const decoded = decodeCbor(value, MESSAGE_LIMITS)
    return `cbor ${decoded.ok ? toText(decoded.value) : hex(value)}`
  }
  return JSON.stringify(value, function replace(this: Record<string, unknown>, key, plain) {
    // Buffers turn themselves into lists before a replacer sees them; the holder still has the bytes.
    const original = this[key]
    return original instanceof Uint8Array ? hex(original) : plain
  })
}

function hex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString('hex')}`
}
