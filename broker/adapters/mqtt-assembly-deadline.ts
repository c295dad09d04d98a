/** Each packet has a while to arrive in, from its first byte to its last; between packets none. */
import type { FrameReader } from './mqtt-frames.ts'

export interface AssemblyPort {
  /** While we do not read, it is not the peer that is late. */
  isReading(): boolean
  late(): void
}

export class AssemblyDeadline {
  readonly #frames: FrameReader
  readonly #timeoutMs: number
  readonly #port: AssemblyPort
  /** Which packet is watched, and since when. */
  #watched = { stage: -1, sinceMs: 0 }
  #timer: NodeJS.Timeout | undefined

  constructor(frames: FrameReader, timeoutMs: number, port: AssemblyPort) {
    this.#frames = frames
    this.#timeoutMs = timeoutMs
    this.#port = port
  }

  /** To be called after bytes came in. The timer is left running: most packets are not late. */
  look(): void {
    if (!this.#frames.isPartial) return
    if (this.#watched.stage !== this.#frames.stage) this.#restart()
    this.#timer ??= setTimeout(() => this.#check(), this.#timeoutMs)
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  #restart(): void {
    this.#watched = { stage: this.#frames.stage, sinceMs: performance.now() }
  }

  #check(): void {
    this.#timer = undefined
    if (!this.#frames.isPartial) return
    if (this.#watched.stage !== this.#frames.stage || !this.#port.isReading()) this.#restart()
    const leftMs = this.#watched.sinceMs + this.#timeoutMs - performance.now()
    if (leftMs <= 0) this.#port.late()
    else this.#timer = setTimeout(() => this.#check(), leftMs)
  }
}
