/**
 * The registers that programs run in: 72 KiB, once a process, from the first program on. One block uses them at a
 * time; between two blocks another program may have, so what a program keeps in them it sets again.
 */
import {
  BLOCK_CELLS,
  CONDITION_REGISTERS,
  FIRST_CONDITION,
  NONE,
  NUMBER_REGISTERS,
} from './codex.ts'

const WORD_BYTES = 4
const NAN_HIGH = 0x7ff80000

export class Registers {
  readonly numbers: readonly Float64Array[]
  /** The same registers, as words: two a cell, little-endian. */
  readonly words: readonly Int32Array[]
  readonly conditions: readonly Uint8Array[]
  /** All of them, by what a microglyph calls them. */
  readonly all: (Float64Array | Uint8Array | undefined)[] = []
  readonly #masked = new Float64Array(BLOCK_CELLS)
  readonly #maskedWords = new Int32Array(this.#masked.buffer)
  /** Who set them last. */
  #user: object | undefined

  private constructor() {
    this.numbers = Array.from({ length: NUMBER_REGISTERS }, () => new Float64Array(BLOCK_CELLS))
    this.words = this.numbers.map(({ buffer, length }) => {
      return new Int32Array(buffer, 0, (length * Float64Array.BYTES_PER_ELEMENT) / WORD_BYTES)
    })
    this.conditions = Array.from({ length: CONDITION_REGISTERS }, () => new Uint8Array(BLOCK_CELLS))
    for (const [at, register] of this.numbers.entries()) this.all[at] = register
    for (const [at, register] of this.conditions.entries())
      this.all[FIRST_CONDITION + at] = register
    this.all[NONE] = undefined
  }

  static #own: Registers | undefined

  static get(): Registers {
    Registers.#own ??= new Registers()
    return Registers.#own
  }

  /** Whether somebody else has used them since `user` did. */
  take(user: object): boolean {
    const isNew = this.#user !== user
    this.#user = user
    return isNew
  }

  /** A register of numbers in which those whose condition is not true are missing; nothing if all are. */
  masked(register: number, condition: number, cells: number): Float64Array | undefined {
    const mask = this.all[condition] as Uint8Array
    let yes = 0
    for (let i = 0; i < cells; i++) yes += mask[i]! & 1
    if (yes === 0) return undefined
    if (yes === cells) return this.numbers[register]
    const from = this.words[register]!
    const to = this.#maskedWords
    for (let i = 0; i < cells; i++) {
      const keep = -(mask[i]! & 1)
      to[2 * i] = from[2 * i]! & keep
      to[2 * i + 1] = (from[2 * i + 1]! & keep) | (NAN_HIGH & ~keep)
    }
    return this.#masked
  }
}
