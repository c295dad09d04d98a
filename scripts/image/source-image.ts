/** Reads an image, packed or not, into a file; both digests are made on the way. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { fault, unreadable } from '../fault.ts'
import type { SystemPrograms } from '../install/system-programs.ts'
import { noRoomOr } from '../path-faults.ts'
import type { Progress } from './progress.ts'

export interface SourceImage {
  readonly path: string
  /** Of the file as it is, or of what is packed in it: publishers give one or the other. */
  readonly sha256?: string | undefined
}

const CHUNK_BYTES = 1024 * 1024

/** Writes the image to `target`, an empty file. Throws AppError. */
export async function unpackImage(
  source: SourceImage,
  target: { readonly path: string; readonly handle: FileHandle },
  programs: SystemPrograms,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  const input = await open(source.path).catch((error) => {
    throw unreadable('--image', error)
  })
  const { size } = await input.stat()
  await input.close()
  const packedHash = createHash('sha256')
  const rawHash = createHash('sha256')
  let read = 0
  const packed = createReadStream(source.path, { highWaterMark: CHUNK_BYTES, signal })
  packed.on('data', (chunk) => {
    packedHash.update(chunk)
    progress.step((read += chunk.length), size)
  })
  const xz = source.path.endsWith('.xz')
    ? programs.pipe('xz', ['-dc'], { input: packed })
    : undefined
  let position = 0
  try {
    for await (const chunk of (xz?.output ?? packed) as AsyncIterable<Buffer>) {
      rawHash.update(chunk)
      // Much of an image is empty; a hole reads as zeros and needs no room.
      if (!isZero(chunk)) await writeAll(target.handle, chunk, position)
      position += chunk.length
    }
    await xz?.ended.then(({ code, stderr }) => {
      if (code === 0) return
      const said = stderr.replaceAll('(stdin)', source.path)
      throw fault('bad-image', said || `xz ended with ${code}`)
    })
    await target.handle.truncate(position)
  } catch (error) {
    throw failureOf(error, source.path, target.path)
  }
  progress.end()
  const digests = [packedHash.digest('hex'), rawHash.digest('hex')]
  const wanted = source.sha256?.toLowerCase()
  if (wanted !== undefined && !digests.includes(wanted)) {
    const message = `${source.path} has the SHA-256 ${digests[0]}, not ${wanted}: fetch it again`
    throw fault('bad-image', message)
  }
}

/** A single write may take less than it was given, without an error (write(2)): near the end of a disk, say. */
async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let from = 0; from < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, from, bytes.length - from, position + from)
    from += bytesWritten
  }
}

function failureOf(error: unknown, path: string, target: string): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EISDIR' || code === 'EIO') return unreadable(`--image ${path}`, error)
  return noRoomOr(error, target)
}

const ZEROS = Buffer.alloc(CHUNK_BYTES)

function isZero(chunk: Buffer): boolean {
  if (chunk.length <= ZEROS.length) return chunk.equals(ZEROS.subarray(0, chunk.length))
  return chunk.every((byte) => byte === 0)
}
