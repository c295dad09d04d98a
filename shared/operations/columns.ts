/**
 * Packed columns inside partial results: tile ids as u32, numbers as f64, little-endian. Unpacking
 * copies, since bytes from the wire lie at any offset; never by `slice`, which for a Buffer is a view.
 */

export function packTiles(tiles: ArrayLike<number>): Uint8Array {
  return new Uint8Array(Uint32Array.from(tiles).buffer)
}

export function unpackTiles(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(new Uint8Array(bytes.subarray(0, bytes.length & ~3)).buffer)
}

/** Whether these are packed tiles, and exactly those that are `asked` for, which ascend. */
export function areTiles(packed: unknown, asked: Uint32Array): packed is Uint8Array {
  if (!(packed instanceof Uint8Array) || packed.length !== asked.byteLength) return false
  const tiles = unpackTiles(packed).sort()
  return tiles.every((tile, index) => tile === asked[index])
}

/** Tiles as one bit each, tile 0 the lowest of the first byte: half a mebibyte at most, for any slice. */
export function packTileBits(tiles: ArrayLike<number>): Uint8Array {
  let highest = -1
  for (let index = 0; index < tiles.length; index++) highest = Math.max(highest, tiles[index]!)
  const bits = new Uint8Array((highest + 8) >> 3)
  for (let index = 0; index < tiles.length; index++) {
    bits[tiles[index]! >> 3]! |= 1 << (tiles[index]! & 7)
  }
  return bits
}

/** Ascending. */
export function unpackTileBits(bits: Uint8Array): Uint32Array {
  const tiles: number[] = []
  for (let at = 0; at < bits.length; at++) {
    for (let bit = 0; bit < 8; bit++) if ((bits[at]! >> bit) & 1) tiles.push(at * 8 + bit)
  }
  return Uint32Array.from(tiles)
}

export function packNumbers(numbers: ArrayLike<number>): Uint8Array {
  return new Uint8Array(Float64Array.from(numbers).buffer)
}

export function unpackNumbers(bytes: Uint8Array): Float64Array {
  return new Float64Array(new Uint8Array(bytes.subarray(0, bytes.length & ~7)).buffer)
}

/** One after the other; a single part is not copied. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}
