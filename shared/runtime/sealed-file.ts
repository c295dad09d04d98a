/**
 * A file that a passphrase opens: a line that says in clear what it is, 32 bytes by which a wrong passphrase is told from
 * a file that was changed, and the content in pieces. The key is made by scrypt [RFC 7914] for this file alone. Each
 * piece is sealed by AES-256-GCM, with its number and whether it is the last in the nonce, as STREAM does it [Hoang et
 * al., Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance]: none can be changed, moved or left out,
 * and no end cut off, without the file being refused.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  randomBytes,
  scrypt,
  timingSafeEqual,
} from 'node:crypto'
import { AppError, EXIT_BAD_INPUT, EXIT_NOT_ALLOWED } from './errors.ts'

/** What stands in clear. */
export interface SealedHead {
  /** When it was made, Unix ms. */
  readonly ts: number
  /** Of the authority that is in it, base 32. */
  readonly pin: string
}

/** 64 bytes. */
export type Derive = (passphrase: string, salt: Uint8Array) => Promise<Buffer>

export const PASSPHRASE_BYTES_MIN = 12
const PASSPHRASE_BYTES_MAX = 1024
const KIND = 'ca-backup'
const VERSION = 1
/** 64 MiB and half a second: whoever has the file may guess for as long as he likes. */
const COST = { N: 2 ** 16, r: 8, p: 2, maxmem: 2 ** 27 }
const SALT_BYTES = 16
const KEY_BYTES = 32
const CHECK_BYTES = 32
const TAG_BYTES = 16
const NONCE_BYTES = 12
const PIECE_BYTES = 64 * 1024
const HEAD_BYTES_MAX = 1024
const CIPHER = 'aes-256-gcm'
const LINE_END = 0x0a

/** Says what is wrong with a passphrase for a new file; nothing if it will do. */
export function passphraseFault(passphrase: string): string | undefined {
  const bytes = Buffer.byteLength(passphrase)
  if (bytes >= PASSPHRASE_BYTES_MIN && bytes <= PASSPHRASE_BYTES_MAX) return undefined
  return `a passphrase has ${PASSPHRASE_BYTES_MIN} to ${PASSPHRASE_BYTES_MAX} bytes`
}

/** The whole file. */
export async function sealFile(
  { ts, pin }: SealedHead,
  passphrase: string,
  content: Iterable<Uint8Array>,
  derive: Derive = byScrypt,
): Promise<Buffer> {
  const salt = randomBytes(SALT_BYTES)
  const head = { obelisk: KIND, v: VERSION, ts, pin, salt: salt.toString('base64') }
  const line = Buffer.from(`${JSON.stringify(head)}\n`)
  const { key, check } = keysOf(await derive(passphrase, salt), line)
  const file: Uint8Array[] = [line, check]
  let number = 0
  let before: Buffer | undefined
  for (const piece of piecesOf(content)) {
    if (before !== undefined) file.push(...sealPiece(key, nonceOf(number++, false), before))
    before = piece
    // Whatever else this process does goes on.
    await new Promise((resolve) => setImmediate(resolve))
  }
  file.push(...sealPiece(key, nonceOf(number, true), before ?? Buffer.alloc(0)))
  return Buffer.concat(file)
}

/** What a file says of itself, which nobody has vouched for. Fails with `backup-malformed` or `backup-newer`. */
export function headOf(file: Uint8Array): SealedHead {
  const { ts, pin } = parse(file)
  return { ts, pin }
}

/** The content. Fails with `backup-passphrase` or `backup-damaged`, too; then nothing of it is handed on. */
export async function openSealed(
  file: Uint8Array,
  passphrase: string,
  derive: Derive = byScrypt,
): Promise<{ readonly head: SealedHead; readonly content: Buffer }> {
  const { ts, pin, salt, line } = parse(file)
  const shown = file.subarray(line.length, line.length + CHECK_BYTES)
  if (shown.length < CHECK_BYTES) throw damaged('it is cut off')
  const { key, check } = keysOf(await derive(passphrase, salt), line)
  if (!timingSafeEqual(check, shown)) {
    const message = 'this is not the passphrase of the backup, or its beginning was changed'
    throw new AppError('backup-passphrase', message, { exitCode: EXIT_NOT_ALLOWED })
  }
  const body = file.subarray(line.length + CHECK_BYTES)
  const pieces: Buffer[] = []
  for (let at = 0; at < body.length || at === 0; at += PIECE_BYTES + TAG_BYTES) {
    const end = at + PIECE_BYTES + TAG_BYTES
    const nonce = nonceOf(pieces.length, end >= body.length)
    const piece = openPiece(key, nonce, body.subarray(at, end))
    if (piece === undefined) throw damaged('it was changed, or is cut off')
    pieces.push(piece)
  }
  return { head: { ts, pin }, content: Buffer.concat(pieces) }
}

interface Parsed extends SealedHead {
  readonly salt: Buffer
  readonly line: Uint8Array
}

function parse(file: Uint8Array): Parsed {
  const end = file.subarray(0, HEAD_BYTES_MAX).indexOf(LINE_END) + 1
  const line = file.subarray(0, end)
  const { obelisk, v, ts, pin, salt } = objectIn(line)
  if (obelisk !== KIND || !Number.isSafeInteger(v) || Number(v) < VERSION) {
    throw new AppError('backup-malformed', 'this is no backup of the keys of a gateway', {
      exitCode: EXIT_BAD_INPUT,
    })
  }
  if (v !== VERSION) throw newer()
  const isWhole = Number.isSafeInteger(ts) && typeof pin === 'string' && /^[a-z2-7]{52}$/.test(pin)
  const bytes = Buffer.from(typeof salt === 'string' ? salt : '', 'base64')
  if (!isWhole || bytes.length !== SALT_BYTES) throw damaged('its first line was changed')
  return { ts: ts as number, pin: pin as string, salt: bytes, line }
}

function objectIn(line: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(line).toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** Of a backup that has what this version knows nothing of: a part of it is not restored. */
export function newer(): AppError {
  const message = 'a later version of Obelisk made this backup: restore it with that one'
  return new AppError('backup-newer', message, { exitCode: EXIT_BAD_INPUT })
}

export function damaged(why: string): AppError {
  const message = `the backup is damaged, and nothing of it is used: ${why}`
  return new AppError('backup-damaged', message, { exitCode: EXIT_BAD_INPUT })
}

function byScrypt(passphrase: string, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // Systems compose the same letters in other ways [RFC 8265 §4.2].
    const typed = passphrase.normalize('NFC')
    scrypt(typed, salt, KEY_BYTES + CHECK_BYTES, COST, (error, derived) => {
      if (error === null) resolve(derived)
      else reject(error)
    })
  })
}

/** The check vouches for the line, too. */
function keysOf(derived: Buffer, line: Uint8Array): { key: Buffer; check: Buffer } {
  const key = derived.subarray(0, KEY_BYTES)
  return { key, check: createHmac('sha256', derived.subarray(KEY_BYTES)).update(line).digest() }
}

/** All but the last are full. */
function* piecesOf(content: Iterable<Uint8Array>): Generator<Buffer> {
  let parts: Uint8Array[] = []
  let bytes = 0
  for (const part of content) {
    parts.push(part)
    bytes += part.length
    if (bytes < PIECE_BYTES) continue
    const joined = Buffer.concat(parts)
    let at = 0
    for (; at + PIECE_BYTES <= bytes; at += PIECE_BYTES) yield joined.subarray(at, at + PIECE_BYTES)
    parts = [joined.subarray(at)]
    bytes -= at
  }
  if (bytes > 0) yield Buffer.concat(parts)
}

function nonceOf(number: number, isLast: boolean): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES)
  nonce.writeUInt32BE(number, NONCE_BYTES - 5)
  nonce[NONCE_BYTES - 1] = isLast ? 1 : 0
  return nonce
}

function sealPiece(key: Buffer, nonce: Buffer, piece: Buffer): Buffer[] {
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
  return [cipher.update(piece), cipher.final(), cipher.getAuthTag()]
}

function openPiece(key: Buffer, nonce: Buffer, sealed: Uint8Array): Buffer | undefined {
  if (sealed.length < TAG_BYTES) return undefined
  const cipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAuthTag(sealed.subarray(-TAG_BYTES))
  const piece = cipher.update(sealed.subarray(0, -TAG_BYTES))
  try {
    return Buffer.concat([piece, cipher.final()])
  } catch {
    return undefined
  }
}
