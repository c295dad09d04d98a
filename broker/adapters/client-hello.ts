/** Collects the first message of a client of TLS, without looking into it [RFC 8446 §4.1.2, §5.1]. */

/** Of a record: type, version and length. Of a message in it: type and length. */
const RECORD_HEADER_BYTES = 5
const MESSAGE_HEADER_BYTES = 4
const HANDSHAKE = 22
const CLIENT_HELLO = 1
/** With a ticket that holds a certificate and a key exchange after the quantum computer it has some 4 KB. */
const RECORD_BYTES_MAX = 8192
const ROOM_BYTES_MIN = 512

export class ClientHello {
  /** Doubles when it is full: who sends single bytes gets no copy of all for each. */
  #room = Buffer.alloc(0)
  #used = 0

  /** All that came so far. */
  get bytes(): Buffer {
    return this.#room.subarray(0, this.#used)
  }

  /** `whole` once one record has all of the message; `none` if it is no such message, or one in several records. */
  add(chunk: Buffer): 'whole' | 'incomplete' | 'none' {
    this.#keep(chunk)
    const { bytes } = this
    if (bytes.length > 0 && bytes[0] !== HANDSHAKE) return 'none'
    if (bytes.length < RECORD_HEADER_BYTES) return 'incomplete'
    const recordBytes = bytes.readUInt16BE(3)
    if (recordBytes < MESSAGE_HEADER_BYTES || recordBytes > RECORD_BYTES_MAX) return 'none'
    if (bytes.length < RECORD_HEADER_BYTES + MESSAGE_HEADER_BYTES) return 'incomplete'
    const messageBytes = bytes.readUIntBE(RECORD_HEADER_BYTES + 1, 3)
    const isWholeInRecord =
      bytes[RECORD_HEADER_BYTES] === CLIENT_HELLO &&
      messageBytes + MESSAGE_HEADER_BYTES <= recordBytes
    if (!isWholeInRecord) return 'none'
    return bytes.length >= RECORD_HEADER_BYTES + recordBytes ? 'whole' : 'incomplete'
  }

  #keep(chunk: Buffer): void {
    const wanted = this.#used + chunk.length
    if (wanted > this.#room.length) {
      const room = Buffer.alloc(Math.max(ROOM_BYTES_MIN, wanted, 2 * this.#room.length))
      room.set(this.bytes)
      this.#room = room
    }
    this.#room.set(chunk, this.#used)
    this.#used = wanted
  }
}
