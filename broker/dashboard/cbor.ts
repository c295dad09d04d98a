/**
 * Reads the CBOR that the gateway sends to the page (RFC 8949): numbers, text, bytes, lists, maps, true, false and
 * null, with lengths that are known. Throws a RangeError for anything else, and for bytes that end too soon.
 */
const TEXT = new TextDecoder('utf-8', { fatal: true })

export function decodeCbor(bytes: Uint8Array): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0

  function argument(short: number): number {
    if (short < 24) return short
    const start = at
    at += 2 ** (short - 24)
    if (short === 24) return view.getUint8(start)
    if (short === 25) return view.getUint16(start)
    if (short === 26) return view.getUint32(start)
    if (short === 27) return Number(view.getBigUint64(start))
    throw unread()
  }

  function take(length: number): Uint8Array {
    if (length > bytes.length - at) throw unread()
    return bytes.subarray(at, (at += length))
  }

  function many<T>(count: number, one: () => T): T[] {
    if (count > bytes.length - at) throw unread()
    return Array.from({ length: count }, one)
  }

  function simple(short: number): unknown {
    if (short === 20 || short === 21) return short === 21
    if (short === 22) return null
    if (short === 23) return undefined
    const start = at
    at += 2 ** (short - 24)
    if (short === 26) return view.getFloat32(start)
    if (short === 27) return view.getFloat64(start)
    throw unread()
  }

  function value(): unknown {
    const head = view.getUint8(at++)
    const short = head & 31
    switch (head >> 5) {
      case 0:
        return argument(short)
      case 1:
        return -1 - argument(short)
      case 2:
        return take(argument(short))
      case 3:
        return TEXT.decode(take(argument(short)))
      case 4:
        return many(argument(short), value)
      case 5:
        return Object.fromEntries(many(argument(short), () => [String(value()), value()]))
      case 7:
        return simple(short)
      default:
        throw unread()
    }
  }

  const whole = value()
  if (at !== bytes.length) throw unread()
  return whole
}

function unread(): RangeError {
  return new RangeError('no CBOR that is sent to pages')
}
