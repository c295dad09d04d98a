/**
 * Fetches a package from the gateway, to a file that grows: what is there already is not fetched again, and nothing of it
 * is in memory but what the network gives at a time. The name of a package is its digest; who has another content fetches anew.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, rename, rm, statfs } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { dirname } from 'node:path'
import { TLSSocket } from 'node:tls'
import {
  decodeFetchAnswer,
  encodeFetchLine,
  FETCH_LINE_BYTES_MAX,
  FETCH_PROTOCOL,
  PACKAGE_BYTES_MAX,
} from '../../shared/protocol/fetch.ts'
import { AppError, messageOf } from '../../shared/runtime/errors.ts'
import { flush } from '../../shared/runtime/flush.ts'
import { openSocket } from './gateway-socket.ts'
import type { Identity } from './identity-files.ts'

export interface FetchFrom {
  /** `mqtt://host:port` or `mqtts://host:port`. */
  readonly url: string
  readonly identity?: () => Identity
  /** Without a byte. */
  readonly timeoutMs?: number
}

export interface FetchWish {
  readonly sha256: string
  readonly bytes: number
  /** Where the whole package lies in the end. */
  readonly path: string
}

const TIMEOUT_MS = 30_000
/** That much stays free besides: for the store, and for what root unpacks. */
const ROOM_BYTES = 16 * 1024 * 1024
const LINE_END = 0x0a

/**
 * Resolves once the package is whole and on disk. Fails with `fetch-broken` or `busy`, after which it goes on when it is asked
 * again; with `no-room`, `unknown-package` or `package-damaged` it does not.
 */
export async function fetchPackage(from: FetchFrom, wish: FetchWish): Promise<void> {
  const { bytes, path, sha256 } = wish
  if (bytes > PACKAGE_BYTES_MAX) {
    throw new AppError('too-large', `a package has at most ${PACKAGE_BYTES_MAX} bytes`)
  }
  if ((await digestOf(path)) === sha256) return
  const partial = `${path}.part`
  const file = await open(partial, 'a+', 0o600)
  try {
    const { size } = await file.stat()
    if (size > bytes) await file.truncate(0)
    const at = size > bytes ? 0 : size
    await checkRoom(dirname(path), bytes - at)
    if (at < bytes) await fetchRest(from, wish, { file, at })
    await file.sync()
  } finally {
    await file.close()
  }
  if ((await digestOf(partial)) !== sha256) {
    await rm(partial, { force: true })
    throw new AppError('package-damaged', 'what came is not what its name says')
  }
  await rename(partial, path)
  flush(dirname(path))
}

async function checkRoom(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory)
  const missing = bytes + ROOM_BYTES - bavail * bsize
  if (missing <= 0) return
  throw new AppError('no-room', `the disk of ${directory} lacks ${missing} bytes`)
}

async function fetchRest(
  from: FetchFrom,
  { sha256, bytes }: FetchWish,
  { file, at }: { readonly file: FileHandle; at: number },
): Promise<void> {
  const socket = await dial(from)
  try {
    socket.write(encodeFetchLine({ sha256, from: at }))
    let head: Buffer | undefined = Buffer.alloc(0)
    let position = at
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      let body = chunk
      if (head !== undefined) {
        head = Buffer.concat([head, chunk])
        const end = head.indexOf(LINE_END)
        if (end < 0 && head.length > FETCH_LINE_BYTES_MAX) throw broken('it says something else')
        if (end < 0) continue
        checkAnswer(head.toString('utf8', 0, end), bytes)
        body = head.subarray(end + 1)
        head = undefined
      }
      position += body.length
      if (position > bytes) throw broken('more comes than the package has')
      if (body.length > 0) await file.write(body)
    }
    if (position < bytes) throw broken('the connection ended')
  } catch (error) {
    throw error instanceof AppError ? error : broken(messageOf(error), error)
  } finally {
    socket.destroy()
  }
}

function checkAnswer(line: string, bytes: number): void {
  const answer = decodeFetchAnswer(line)
  if (answer === undefined) throw broken('it says something else')
  if ('error' in answer)
    throw new AppError(answer.error, `the gateway does not give it: ${answer.error}`)
  if (answer.bytes !== bytes) throw new AppError('package-damaged', 'it has another size')
}

async function dial({ url, identity, timeoutMs = TIMEOUT_MS }: FetchFrom): Promise<Socket> {
  const socket = openSocket(url, { identity: identity?.(), protocol: FETCH_PROTOCOL })
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error('it took too long')))
  try {
    await once(socket, socket instanceof TLSSocket ? 'secureConnect' : 'connect')
  } catch (error) {
    socket.destroy()
    throw broken(messageOf(error), error)
  }
  return socket
}

/** Nothing if there is no such file. */
async function digestOf(path: string): Promise<string | undefined> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  return hash.digest('hex')
}

function broken(why: string, cause?: unknown): AppError {
  return new AppError('fetch-broken', `the package does not come: ${why}`, { cause })
}
