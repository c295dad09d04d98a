/**
 * A program as it travels: microglyphs, the pool of its constants, and the outputs of one that reads. A write part
 * carries it, so replicas cannot run different code and a board never lacks it. Whatever made it, `verify` says
 * whether it is sound (verifier.ts), on the gateway and again on each board.
 *
 * A microglyph has 8 bytes, little-endian: glyph u16, result, a, b, c, operand u16. 0 … 31 are registers of numbers,
 * 64 … 79 those of conditions, 255 is none.
 */
import { createHash } from 'node:crypto'

/** What a program gives of a reduction; `show` is the column itself. */
export type OutputKind =
  | 'count'
  | 'any'
  | 'all'
  | 'sum'
  | 'mean'
  | 'var'
  | 'min'
  | 'max'
  | 'argmin'
  | 'argmax'
  | 'histogram'
  | 'top'
  | 'show'

export interface Output {
  readonly name: string
  readonly kind: OutputKind
  /** Which microglyph it is of: `mean` and `var` of the same are of one. Without it, its own index. */
  readonly slot: number
}

export interface Program {
  readonly code: Uint8Array
  readonly pool: Float64Array
  readonly outputs: readonly Output[]
}

export const MICROGLYPH_BYTES = 8

export interface Microglyph {
  readonly glyph: number
  readonly result: number
  readonly a: number
  readonly b: number
  readonly c: number
  readonly operand: number
}

export function encodeMicroglyphs(microglyphs: readonly Microglyph[]): Uint8Array {
  const code = new Uint8Array(microglyphs.length * MICROGLYPH_BYTES)
  microglyphs.forEach(({ glyph, result, a, b, c, operand }, index) => {
    code.set(
      [glyph & 0xff, glyph >> 8, result, a, b, c, operand & 0xff, operand >> 8],
      index * MICROGLYPH_BYTES,
    )
  })
  return code
}

/** The microglyph with that index; the code has it. */
export function microglyphAt(code: Uint8Array, index: number): Microglyph {
  const at = index * MICROGLYPH_BYTES
  return {
    glyph: code[at]! | (code[at + 1]! << 8),
    result: code[at + 2]!,
    a: code[at + 3]!,
    b: code[at + 4]!,
    c: code[at + 5]!,
    operand: code[at + 6]! | (code[at + 7]! << 8),
  }
}

/** The pool as it travels. */
export function bytesOfPool(pool: Float64Array): Uint8Array {
  return new Uint8Array(pool.buffer, pool.byteOffset, pool.byteLength)
}

/** Copied, since bytes from the wire lie at any offset; those that make no last number are left out. */
export function poolOfBytes(bytes: Uint8Array): Float64Array {
  return new Float64Array(new Uint8Array(bytes.subarray(0, bytes.length & ~7)).buffer)
}

/** SHA-256 of code and pool, as hexadecimal digits: what a program is known by. */
export function hashOfProgram({ code, pool }: Program): string {
  return createHash('sha256').update(code).update(bytesOfPool(pool)).digest('hex')
}
