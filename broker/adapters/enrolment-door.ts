/**
 * Where boards get their identity: TLS connections that asked for the enrolment's own protocol. One line each
 * way, bounded in bytes, time and number; a place is taken by a whole line, not by waiting. The proof that a board
 * has its key is made on this connection and holds on no other [RFC 8446 §7.5].
 */
import { verify } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { NodeId } from '../../shared/core/ids.ts'
import {
  decodeRequest,
  type EnrolmentAnswer,
  type EnrolmentRefusal,
  type EnrolmentRequest,
  EXPORTER_BYTES,
  EXPORTER_LABEL,
  encodeAnswer,
  provenBytes,
  REQUEST_BYTES_MAX,
} from '../../shared/protocol/enrolment.ts'
import { fingerprintText, parsePublicKey } from '../../shared/runtime/public-keys.ts'

export interface EnrolmentDoorOptions {
  /** Lines that are worked on at a time. */
  readonly places?: number
  /** Connections, but for those that are worked on; the one that has been silent for longest makes room. */
  readonly waitingMax?: number
  /** For a line, and for the board to take the answer. */
  readonly timeoutMs?: number
}

/** What a line says, and what is true of it. */
export interface Applicant {
  readonly tokenId: string
  readonly secret: Uint8Array
  readonly node: NodeId
  readonly spki: Uint8Array
  /** SHA-256 of the key, hexadecimal; nothing if it is none that we take. */
  readonly key: string | undefined
  readonly isProven: boolean
  readonly board: string | undefined
  readonly version: string
  /** The address that it came from. */
  readonly remote: string
}

export interface EnrolmentDoorPort {
  /** Resolves with the certificate and the authority's, once the right to them is on disk. */
  enrol(
    applicant: Applicant,
  ): Promise<
    Extract<EnrolmentAnswer, { ok: true }> | { readonly ok: false; readonly code: EnrolmentRefusal }
  >
  /** `node` is left out where nobody said a name that is one. */
  refused(code: EnrolmentRefusal, remote: string, node?: NodeId): void
  failed(error: unknown): void
}

interface Waiting {
  /** The address that it came from. */
  readonly remote: string
  /** It has only to take its answer. */
  readonly isAnswered: boolean
}

const PLACES = 4
const WAITING_MAX = 256
const TIMEOUT_MS = 10_000
const LINE_END = 0x0a

const MESSAGES: Readonly<Record<EnrolmentRefusal, string>> = {
  'token-unknown': 'there is no such token',
  'token-expired': 'the token has expired: make another one',
  'token-revoked': 'the token was revoked: make another one',
  'token-other-node': 'the token is for another node',
  'token-used': 'another key has used the token: if that was not you, revoke the node',
  'node-exists': 'the node has a key already: a new card needs a token that replaces it',
  'key-revoked': 'this key was taken out for good: make another one',
  'key-unsuitable': 'the key is none of P-256, or is that of another node',
  'proof-wrong': 'the key was not proven on this connection',
  malformed: 'that is no line of an enrolment',
  busy: 'others enrol at this moment: try again',
}

export class EnrolmentDoor {
  readonly #places: number
  readonly #waitingMax: number
  readonly #timeoutMs: number
  readonly #port: EnrolmentDoorPort
  /** The oldest first. */
  readonly #waiting = new Map<TLSSocket, Waiting>()
  #taken = 0

  constructor(
    { places = PLACES, waitingMax = WAITING_MAX, timeoutMs = TIMEOUT_MS }: EnrolmentDoorOptions,
    port: EnrolmentDoorPort,
  ) {
    this.#places = places
    this.#waitingMax = waitingMax
    this.#timeoutMs = timeoutMs
    this.#port = port
  }

  /** Connections that have not said a line, or not taken their answer. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** Owns the socket from now on; `remote` is the address that it came from. */
  take(socket: TLSSocket, remote: string): void {
    if (this.#waiting.size >= this.#waitingMax) {
      const [oldest] = this.#waiting.keys()
      this.#giveUp(oldest!, 'busy')
    }
    this.#waiting.set(socket, { remote, isAnswered: false })
    const chunks: Buffer[] = []
    let bytes = 0
    // Absolute: a byte now and then does not keep it.
    const timer = setTimeout(() => this.#giveUp(socket, 'malformed'), this.#timeoutMs)
    socket.once('close', () => {
      clearTimeout(timer)
      this.#waiting.delete(socket)
    })
    socket.on('error', () => socket.destroy())
    const onData = (chunk: Buffer): void => {
      const end = chunk.indexOf(LINE_END)
      const part = end < 0 ? chunk : chunk.subarray(0, end)
      bytes += part.length
      if (bytes > REQUEST_BYTES_MAX) {
        socket.off('data', onData)
        this.#refuse(socket, remote, 'malformed')
        return
      }
      chunks.push(part)
      if (end < 0) return
      socket.off('data', onData)
      void this.#answer(socket, remote, Buffer.concat(chunks).toString())
    }
    socket.on('data', onData)
  }

  async #answer(socket: TLSSocket, remote: string, line: string): Promise<void> {
    this.#waiting.delete(socket)
    try {
      const request = decodeRequest(line)
      if (request === undefined) this.#refuse(socket, remote, 'malformed')
      else if (this.#taken >= this.#places) this.#refuse(socket, remote, 'busy', request.node)
      else if (!socket.destroyed) await this.#judge(socket, remote, request)
    } catch (error) {
      socket.destroy()
      this.#port.failed(error)
    }
  }

  async #judge(socket: TLSSocket, remote: string, request: EnrolmentRequest): Promise<void> {
    const { tokenId, secret, node, spki, signature, board, version } = request
    this.#taken += 1
    try {
      const key = parsePublicKey(spki)
      const exported = socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0))
      const proven = provenBytes(exported, node, spki)
      const isProven =
        key !== undefined && verify('sha256', proven, { key, dsaEncoding: 'ieee-p1363' }, signature)
      const sha256 = key && fingerprintText(spki)
      const named = { tokenId, secret, node, spki, board, version, remote }
      const outcome = await this.#port.enrol({ ...named, key: sha256, isProven })
      if (outcome.ok) this.#end(socket, remote, outcome)
      else this.#refuse(socket, remote, outcome.code, node)
    } finally {
      this.#taken -= 1
    }
  }

  #refuse(socket: TLSSocket, remote: string, code: EnrolmentRefusal, node?: NodeId): void {
    this.#port.refused(code, remote, node)
    this.#end(socket, remote, { ok: false, code, message: MESSAGES[code] })
  }

  /** Without an answer: who has said no line does not wait for one. */
  #giveUp(socket: TLSSocket, code: EnrolmentRefusal): void {
    const waiting = this.#waiting.get(socket)
    this.#waiting.delete(socket)
    if (waiting?.isAnswered === false) this.#port.refused(code, waiting.remote)
    socket.destroy()
  }

  /** Who does not take the answer makes room as those do who say nothing. */
  #end(socket: TLSSocket, remote: string, answer: EnrolmentAnswer): void {
    if (socket.destroyed) return
    this.#waiting.set(socket, { remote, isAnswered: true })
    // What still comes is thrown away, so that the end is seen.
    socket.resume()
    socket.end(`${encodeAnswer(answer)}\n`)
  }
}
