/**
 * The head of an `.npy` file, version 1.0 (numpy.lib.format): magic, the length of a text, and that text, a dictionary
 * of Python that says type, order and shape of what follows. Here always rows of numbers, one after the other (C
 * order), little-endian.
 */
import type { FieldType } from './fields.ts'

export const NPY_TYPES: Readonly<Record<FieldType, string>> = {
  u8: '|u1',
  i32: '<i4',
  f32: '<f4',
  f64: '<f8',
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]
/** Magic, two bytes of version, two of length. */
const PREFIX_BYTES = 10
/** So that the numbers begin at a multiple of 64. */
const HEAD_BYTES = 128

export function npyHead(type: FieldType, rows: number, columns: number): Uint8Array {
  const shape = `(${rows}, ${columns})`
  const text = `{'descr': '${NPY_TYPES[type]}', 'fortran_order': False, 'shape': ${shape}, }`
  const head = new Uint8Array(HEAD_BYTES).fill(0x20)
  const length = HEAD_BYTES - PREFIX_BYTES
  head.set([...MAGIC, 1, 0, length & 255, length >> 8])
  head.set(new TextEncoder().encode(text), PREFIX_BYTES)
  head[HEAD_BYTES - 1] = 0x0a
  return head
}
