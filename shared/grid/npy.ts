/**
 * The head of an `.npy` file (numpy.lib.format): magic, version, the length of a text, and that text, a dictionary of
 * Python that says type, order and shape of what follows. Written here: version 1.0, rows of numbers one after the
 * other (C order), little-endian. Read here: versions 1 to 3, and of what cannot be taken it is said why.
 */
import type { FieldType } from './fields.ts'

/** Of a number in a file; all are little-endian. */
export type NumberType = FieldType | 'i8' | 'i16' | 'u16' | 'u32'

const DESCRIBED: Readonly<Record<NumberType, string>> = {
  u8: '|u1',
  i8: '|i1',
  i16: '<i2',
  u16: '<u2',
  i32: '<i4',
  u32: '<u4',
  f32: '<f4',
  f64: '<f8',
}

/** What a field of each type holds without changing it. */
const HELD: Readonly<Record<FieldType, readonly NumberType[]>> = {
  u8: ['u8'],
  i32: ['u8', 'i8', 'i16', 'u16', 'i32'],
  f32: ['u8', 'i8', 'i16', 'u16', 'f32'],
  f64: ['u8', 'i8', 'i16', 'u16', 'i32', 'u32', 'f32', 'f64'],
}

/** Of whatever size, as `<i8`, what numpy makes of whole numbers, and `|b1`. */
const NUMBERS = /^[<|=][biuf]\d+$/

const VERSION_LAST = 3
/** How a file begins. */
export const NPY_MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]
/** Magic, two bytes of version, two of length. */
const PREFIX_BYTES = 10
/** So that the numbers begin at a multiple of 64. */
const HEAD_BYTES = 128
/** Longer than any head of a plain table. */
export const NPY_HEAD_BYTES_MAX = 4096

export function npyHead(type: FieldType, rows: number, columns: number): Uint8Array {
  const shape = `(${rows}, ${columns})`
  const text = `{'descr': '${DESCRIBED[type]}', 'fortran_order': False, 'shape': ${shape}, }`
  const head = new Uint8Array(HEAD_BYTES).fill(0x20)
  const length = HEAD_BYTES - PREFIX_BYTES
  head.set([...NPY_MAGIC, 1, 0, length & 255, length >> 8])
  head.set(new TextEncoder().encode(text), PREFIX_BYTES)
  head[HEAD_BYTES - 1] = 0x0a
  return head
}

export interface NpyHead {
  readonly type: NumberType
  readonly rows: number
  readonly columns: number
  /** What comes before the numbers. */
  readonly bytes: number
}

/** `more`: the head is not whole yet. */
export type NpyReading =
  | { readonly kind: 'head'; readonly head: NpyHead }
  | { readonly kind: 'more' }
  | { readonly kind: 'problem'; readonly problem: string }

const MORE: NpyReading = { kind: 'more' }

/** `field`: of the field that it is for, which what cannot be taken is to be made. */
export function readNpyHead(bytes: Uint8Array, field: FieldType): NpyReading {
  const problem = (text: string): NpyReading => ({ kind: 'problem', problem: text })
  if (NPY_MAGIC.some((byte, at) => at < bytes.length && bytes[at] !== byte)) {
    return problem('this is no .npy file: it does not begin with its magic')
  }
  if (bytes.length < PREFIX_BYTES + 2) return MORE
  const version = bytes[6]!
  if (version < 1 || version > VERSION_LAST) {
    return problem(`the file is of version ${version}, and 1 to ${VERSION_LAST} are known`)
  }
  const prefix = version === 1 ? PREFIX_BYTES : PREFIX_BYTES + 2
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true)
  if (prefix + length > NPY_HEAD_BYTES_MAX) {
    return problem(`the head of the file has ${length} bytes: it is no plain table of numbers`)
  }
  if (bytes.length < prefix + length) return MORE
  const text = new TextDecoder('latin1').decode(bytes.subarray(prefix, prefix + length))
  const described = /'descr'\s*:\s*'([^']*)'/.exec(text)?.[1]
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(text)?.[1]
  const shape = /'shape'\s*:\s*\(([\d,\s]*)\)/.exec(text)?.[1]
  if (described === undefined || order === undefined || shape === undefined) {
    return problem('the head of the file does not say type, order and shape of a plain table')
  }
  const type = (Object.keys(DESCRIBED) as NumberType[]).find(
    (one) => DESCRIBED[one].slice(1) === described.slice(1) && described[0] === DESCRIBED[one][0],
  )
  const sides = shape.split(',').filter((side) => side.trim() !== '')
  if (described.startsWith('>')) {
    return problem(`its numbers are big-endian ("${described}"): ${madeOf(field)}`)
  }
  if (type === undefined) {
    const known = Object.values(DESCRIBED).join(', ')
    const help = NUMBERS.test(described) ? `: ${madeOf(field)}` : ''
    return problem(`its numbers are "${described.slice(0, 32)}", which is none of ${known}${help}`)
  }
  if (order === 'True') {
    return problem('it is in Fortran order, column by column: numpy.ascontiguousarray(a)')
  }
  const [rows = 0, columns = 0] = sides.map(Number)
  if (sides.length !== 2 || !isSide(rows) || !isSide(columns)) {
    return problem(`its shape is (${shape.slice(0, 64)}), and not rows and columns`)
  }
  return { kind: 'head', head: { type, rows, columns, bytes: prefix + length } }
}

function madeOf(field: FieldType): string {
  return `a.astype("${DESCRIBED[field]}")`
}

function isSide(number: number): boolean {
  return Number.isSafeInteger(number) && number > 0
}

/** Why a field cannot hold numbers of this type as they are. */
export function typeProblem(type: NumberType, field: FieldType): string | undefined {
  if (HELD[field].includes(type)) return undefined
  const held = HELD[field].map((one) => `"${DESCRIBED[one]}"`).join(', ')
  return `its numbers are "${DESCRIBED[type]}", and a field of ${field} holds ${held} as they are: ${madeOf(field)}`
}
