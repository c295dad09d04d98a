/**
 * How a board asks the gateway for its identity. It says nothing until it knows who is there: the first
 * connection only fetches the certificate of the authority, whose key has to be the token's pin, and the second
 * one is verified against that certificate alone. The secret of the token leaves the board on that one.
 */
import { sign } from 'node:crypto'
import { once } from 'node:events'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import type { NodeId } from '../../shared/core/ids.ts'
import { own } from '../../shared/core/own.ts'
import {
  ANSWER_BYTES_MAX,
  decodeAnswer,
  ENROLMENT_PROTOCOL,
  EXPORTER_BYTES,
  EXPORTER_LABEL,
  encodeRequest,
  GATEWAY_SERVER_NAME,
  provenBytes,
} from '../../shared/protocol/enrolment.ts'
import type { Token } from '../../shared/protocol/tokens.ts'
import { isOfTrust, linkWords } from '../../shared/runtime/address-hint.ts'
import {
  AppError,
  EXIT_CONFIG,
  EXIT_SOFTWARE,
  EXIT_UNAVAILABLE,
} from '../../shared/runtime/errors.ts'
import { fingerprint, type KeyPair, pemOf, spkiOf } from '../../shared/runtime/public-keys.ts'
import { type Enrolled, faultOf } from './identity-files.ts'

export interface EnrolmentOptions {
  readonly host: string
  readonly port: number
  readonly node: NodeId
  readonly version: string
  /** SHA-256 of the board's serial number, hexadecimal. */
  readonly board?: string
  /** For each of the two connections. */
  readonly timeoutMs?: number
}

const TIMEOUT_MS = 20_000
/** The gateway's certificate and the authority's; a longer chain is not ours. */
const CHAIN_MAX = 2
/** What other refusals mean is that another token is needed. */
const EXIT_CODES: Readonly<Record<string, number>> = {
  busy: EXIT_UNAVAILABLE,
  ...{ 'proof-wrong': EXIT_SOFTWARE, 'key-unsuitable': EXIT_SOFTWARE, malformed: EXIT_SOFTWARE },
}

/**
 * Asks once. Fails with `gateway-unreachable` or `busy`, after which it may be asked again, with
 * `gateway-not-pinned` when nothing was said, or with the gateway's own code.
 */
export async function enrol(
  options: EnrolmentOptions,
  token: Token,
  pair: KeyPair,
): Promise<Enrolled> {
  const ca = await pinnedAuthority(options, token)
  const line = await converse(options, { ca }, async (socket) => {
    const { node, version, board } = options
    const spki = spkiOf(pair.publicKey)
    const exported = socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0))
    const key = { key: pair.privateKey, dsaEncoding: 'ieee-p1363' } as const
    const signature = sign('sha256', provenBytes(exported, node, spki), key)
    const named = { tokenId: token.id, secret: token.secret, node, spki, signature, version }
    socket.write(`${encodeRequest(board === undefined ? named : { ...named, board })}\n`)
    return await lineOf(socket)
  })
  const answer = decodeAnswer(line)
  if (answer === undefined) throw unreachable('its answer is none of an enrolment')
  if (!answer.ok) {
    const exitCode = own(EXIT_CODES, answer.code) ?? EXIT_CONFIG
    throw new AppError(answer.code, `the gateway refuses: ${answer.message}`, { exitCode })
  }
  const enrolled = { certificate: answer.certificate, ca }
  // Else we would keep something that opens nothing.
  const fault = faultOf(enrolled, pemOf(pair), options.node)
  if (fault !== undefined) throw unreachable(`what it gave is not ours: ${fault}`)
  return enrolled
}

/** The certificate of the authority, PEM, whose key the token names. Nothing is said. */
async function pinnedAuthority(options: EnrolmentOptions, token: Token): Promise<string> {
  return await converse(options, { rejectUnauthorized: false }, async (socket) => {
    let top = socket.getPeerX509Certificate()
    for (let length = 1; length < CHAIN_MAX; length++) top = top?.issuerCertificate ?? top
    const found = top === undefined ? new Uint8Array(0) : fingerprint(spkiOf(top.publicKey))
    const isPinned = Buffer.from(found).equals(token.pin)
    // TLS takes a trusted certificate at its word: somebody in the middle could give the key another end.
    // Not before the key is known: Node does not outlive the question of some keys.
    const isOwn = isPinned && top?.checkIssued(top) && top.verify(top.publicKey)
    if (top === undefined || !isOwn) throw notPinned()
    return top.toString()
  })
}

async function converse<T>(
  { host, port, timeoutMs = TIMEOUT_MS }: EnrolmentOptions,
  more: ConnectionOptions,
  talk: (socket: TLSSocket) => Promise<T>,
): Promise<T> {
  const socket = connect({
    ...{ host, port, servername: GATEWAY_SERVER_NAME, ALPNProtocols: [ENROLMENT_PROTOCOL] },
    ...{ minVersion: 'TLSv1.3', ...more },
  })
  // Whoever waits hears of it: each of these is awaited below.
  socket.on('error', () => {})
  const late = setTimeout(() => socket.destroy(new Error('it took too long')), timeoutMs)
  try {
    await once(socket, 'secureConnect')
    return await talk(socket)
  } catch (error) {
    if (error instanceof AppError) throw error
    throw isOfTrust(error) ? notPinned(error) : unreachable(linkWords(error), error)
  } finally {
    clearTimeout(late)
    socket.destroy()
  }
}

async function lineOf(socket: TLSSocket): Promise<string> {
  let text = ''
  for await (const chunk of socket.setEncoding('utf8')) {
    text += chunk
    const end = text.indexOf('\n')
    if (end >= 0) return text.slice(0, end)
    if (text.length > ANSWER_BYTES_MAX) throw unreachable('its answer has no end')
  }
  throw unreachable('it closed the connection without an answer')
}

function notPinned(cause?: unknown): AppError {
  const message = 'the gateway is not the one of this token; nothing was said to it'
  return new AppError('gateway-not-pinned', message, { cause, exitCode: EXIT_CONFIG })
}

function unreachable(why: string, cause?: unknown): AppError {
  const message = `the gateway cannot be reached: ${why}`
  return new AppError('gateway-unreachable', message, { cause, exitCode: EXIT_UNAVAILABLE })
}
