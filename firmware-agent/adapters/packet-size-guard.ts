/**
 * Follows the framing of incoming MQTT packets (MQTT 3.1.1, 2.2) and says when one announces more
 * bytes than are taken. mqtt.js has no such bound: it would collect up to 256 MB.
 */
export class PacketSizeGuard {
  readonly #bytesMax: number
  /** Bytes of the current packet's body that are still to come. */
  #bodyLeft = 0
  #isInLength = false
  #length = 0
  #shift = 0

  constructor(options: { bytesMax: number }) {
    this.#bytesMax = options.bytesMax
  }

  /** Whether all packets that begin in or before `chunk` are small enough. */
  accepts(chunk: Uint8Array): boolean {
    let at = 0
    while (at < chunk.length) {
      if (this.#bodyLeft > 0) {
        const skipped = Math.min(this.#bodyLeft, chunk.length - at)
        this.#bodyLeft -= skipped
        at += skipped
      } else if (!this.#isInLength) {
        this.#isInLength = true
        this.#length = 0
        this.#shift = 0
        at += 1
      } else if (!this.#takeLengthByte(chunk[at++]!)) {
        return false
      }
    }
    return true
  }

  /** One byte of the remaining length, seven bits each, lowest first [MQTT-2.2.3]. */
  #takeLengthByte(byte: number): boolean {
    this.#length += (byte & 0x7f) * 2 ** this.#shift
    this.#shift += 7
    if (this.#length > this.#bytesMax || this.#shift > 28) return false
    if ((byte & 0x80) === 0) {
      this.#isInLength = false
      this.#bodyLeft = this.#length
    }
    return true
  }
}
