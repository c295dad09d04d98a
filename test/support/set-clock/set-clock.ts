/** Clocks of processes that say another time, and may be set while they run. */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildShim } from '../preloaded.ts'

const SOURCE = fileURLToPath(new URL('shim.c', import.meta.url))

export class SetClock {
  readonly #shim: string
  readonly #file: string

  /** Nothing, and why, if the library cannot be built or preloaded here. */
  static obstacle(directory: string): string | undefined {
    return buildShim(SOURCE, join(directory, 'set-clock.so'))
  }

  /** What `obstacle` left in that directory; each clock has a name. */
  constructor(directory: string, name: string, ts: number) {
    this.#shim = join(directory, 'set-clock.so')
    this.#file = join(directory, `clock-${name}`)
    this.set(ts)
  }

  /** The variables of a process that goes by this clock. */
  get variables(): Readonly<Record<string, string>> {
    return { LD_PRELOAD: this.#shim, SET_CLOCK_FILE: this.#file }
  }

  /** From now on it says this, Unix ms, and goes on. */
  set(ts: number): void {
    const offset = Math.round((ts - Date.now()) / 1000)
    writeFileSync(`${this.#file}.new`, `${offset}\n`)
    renameSync(`${this.#file}.new`, this.#file)
  }
}
