/** Effects as lines of text that a person can follow: plain JSON, bytes as hex. */
import type { GatewayEffect } from '../../broker/core/effects.ts'
import type { AgentEffect } from '../../firmware-agent/core/effects.ts'
import { decodeCbor } from '../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../shared/protocol/limits.ts'
import { buildTopic } from '../../shared/protocol/topics.ts'

export function linesOf(effect: AgentEffect | GatewayEffect): string[] {
  switch (effect.type) {
    case 'persist':
      return effect.records.map(
        ({ table, key, value }) =>
          `persist ${table}/${key} ${value === undefined ? 'gone' : toText(value)}`,
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
