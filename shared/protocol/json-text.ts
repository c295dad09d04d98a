/**
 * JSON of what CBOR carries: byte strings become base64, and what JSON cannot say (NaN, infinities)
 * becomes null, as in the mirrors of wire.md.
 */
import { own } from '../core/own.ts'

export function toJsonText(value: unknown, indent?: number): string {
  const replace = function (this: Record<string, unknown>, key: string, plain: unknown): unknown {
    // Buffers turn themselves into lists before a replacer sees them; the holder has the bytes.
    const original = own(this, key)
    if (original instanceof Uint8Array) return Buffer.from(original).toString('base64')
    return typeof plain === 'bigint' ? Number(plain) : plain
  }
  return JSON.stringify(value, replace, indent)
}

/** The JSON text of an object that has some members, with others behind them. */
export function withMembers(text: string, members: object | undefined): string {
  if (members === undefined) return text
  return `${text.slice(0, -1)},${JSON.stringify(members).slice(1)}`
}
