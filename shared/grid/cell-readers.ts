/**
 * Numbers out of a stream of bytes, chunk after chunk, however it is cut: packed ones of a type, or lines of text. What
 * is no number is a `FileProblem`, which says where it is.
 */
import { count } from '../core/count.ts'
import { NPY_MAGIC, type NumberType } from './npy.ts'

/** The file cannot be taken; the message says what is wrong with it, and where. */
export class FileProblem extends Error {}

export interface CellReader {
  /** The numbers that have come whole; valid until the next call. */
  read(chunk: Uint8Array): ArrayLike<number>
  /** Those that the end makes whole. */
  end(): ArrayLike<number>
  /** As whoever looks into the file counts. */
  placeOf(row: number, column: number): string
}

const ARRAYS = {
  u8: Uint8Array,
  i8: Int8Array,
  i16: Int16Array,
  u16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  f32: Float32Array,
  f64: Float64Array,
}

export function numberBytes(type: NumberType): number {
  return ARRAYS[type].BYTES_PER_ELEMENT
}

/** Little-endian, as every platform we run on is. */
export class PackedReader implements CellReader {
  readonly #type: NumberType
  /** What came last begins with what was left before it: numbers lie where a type wants them. */
  #held = new Uint8Array(0)
  /** Where what is left lies. */
  #from = 0
  #left = 0

  constructor(type: NumberType) {
    this.#type = type
  }

  read(chunk: Uint8Array): ArrayLike<number> {
    const bytes = this.#left + chunk.length
    const before = this.#held
    if (bytes > before.length) this.#held = new Uint8Array(bytes)
    this.#held.set(before.subarray(this.#from, this.#from + this.#left))
    this.#held.set(chunk, this.#left)
    const size = numberBytes(this.#type)
    const count = Math.floor(bytes / size)
    this.#from = count * size
    this.#left = bytes - this.#from
    return new ARRAYS[this.#type](this.#held.buffer, 0, count)
  }

  end(): ArrayLike<number> {
    if (this.#left > 0) throw new FileProblem('it ends within a number')
    return []
  }

  /** Of an array. */
  placeOf(row: number, column: number): string {
    return `row ${row}, column ${column}`
  }
}

/** Far more than a row of the widest grid takes. */
const LINE_BYTES_MAX = 512 * 1024
const SHOWN_MAX = 32
/** Of UTF-8, byte by byte; spreadsheets begin a file with it. */
const BYTE_ORDER_MARK = /^\u00ef\u00bb\u00bf/

/** Lines of numbers with a comma between them; all have as many as the first. */
export class TextReader implements CellReader {
  #rest = ''
  #rows = 0
  #columns: number | undefined

  /** Undefined until a line has come. */
  get columns(): number | undefined {
    return this.#columns
  }

  read(chunk: Uint8Array): number[] {
    this.#rest += new TextDecoder('latin1').decode(chunk)
    const lines = this.#rest.split('\n')
    this.#rest = lines.pop()!
    if (this.#rest.length > LINE_BYTES_MAX) {
      throw new FileProblem(`line ${this.#rows + 1} has more than ${LINE_BYTES_MAX} bytes`)
    }
    return lines.flatMap((line) => this.#numbersOf(line))
  }

  end(): number[] {
    const last = this.#rest
    this.#rest = ''
    return last.trim() === '' ? [] : this.#numbersOf(last)
  }

  /** As editors and spreadsheets count. */
  placeOf(row: number, column: number): string {
    return `line ${row + 1}, column ${column + 1}`
  }

  #numbersOf(line: string): number[] {
    const row = this.#rows
    if (row === 0 && NPY_MAGIC.every((byte, at) => line.charCodeAt(at) === byte)) {
      throw new FileProblem('it is .npy, and was said to be CSV')
    }
    const parts = (row === 0 ? line.replace(BYTE_ORDER_MARK, '') : line).split(',')
    const numbers = parts.map((part, column) => {
      const number = part.trim() === '' ? Number.NaN : Number(part)
      if (Number.isFinite(number)) return number
      const hint =
        row === 0 ? '; there is no line of names, a comma between numbers, and a point in them' : ''
      const shown = part.trim().slice(0, SHOWN_MAX)
      throw new FileProblem(`${this.placeOf(row, column)}: "${shown}" is no number${hint}`)
    })
    this.#columns ??= numbers.length
    if (numbers.length !== this.#columns) {
      const has = `${count(numbers.length, 'number')}, and line 1 has ${this.#columns}`
      throw new FileProblem(`line ${row + 1} has ${has}`)
    }
    this.#rows += 1
    return numbers
  }
}
