import { statfs } from 'node:fs/promises'

export interface DiskWatchOptions {
  /** Any directory on the disk. */
  readonly directory: string
  readonly intervalMs?: number
}

/** Seldom enough to cost nothing; what is accepted in between counts in the coordinator. */
const INTERVAL_MS = 2000

/** Says again and again how much room is left on a disk. */
export class DiskWatch {
  readonly #options: Required<DiskWatchOptions>
  readonly #onChecked: (freeBytes: number) => void
  #freeBytes: number | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(options: DiskWatchOptions, onChecked: (freeBytes: number) => void) {
    this.#options = { intervalMs: INTERVAL_MS, ...options }
    this.#onChecked = onChecked
  }

  /** At the last look; nothing before the first. */
  get freeBytes(): number | undefined {
    return this.#freeBytes
  }

  /** Resolves after the first look. */
  async start(): Promise<void> {
    this.#timer = setInterval(() => void this.#check(), this.#options.intervalMs)
    await this.#check()
  }

  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  async #check(): Promise<void> {
    try {
      const { bavail, bsize } = await statfs(this.#options.directory)
      if (this.#timer === undefined) return
      this.#freeBytes = bavail * bsize
      this.#onChecked(this.#freeBytes)
    } catch {
      // A directory that is gone shows at the next flush, which ends the process.
    }
  }
}
