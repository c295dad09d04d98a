/**
 * Base 32 of RFC 4648 section 6, lower case and without padding: what a person may have to read out, and what
 * stands in file names and topics. Decoding is strict, so that equal bytes have one text.
 */
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'

export function toBase32(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let value = 0
  for (const byte of bytes) {
    value = (value << 8) | byte
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(value >>> (bits - 5)) & 31]
    value &= 31
  }
  return bits > 0 ? text + ALPHABET[(value << (5 - bits)) & 31] : text
}

/** The bytes of `text`; nothing if it is not what `toBase32` makes of any. */
export function fromBase32(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8))
  let bits = 0
  let value = 0
  let at = 0
  for (const letter of text) {
    const digit = ALPHABET.indexOf(letter)
    if (digit === -1) return undefined
    value = ((value & 0xff) << 5) | digit
    bits += 5
    if (bits < 8) continue
    bits -= 8
    bytes[at++] = value >>> bits
  }
  return toBase32(bytes) === text ? bytes : undefined
}
