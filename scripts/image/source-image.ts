/** Reads an image, packed or not, into a file; both digests are made on the way. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { fault, unreadable } from '../fault.ts'
import { type SystemPrograms, startFailure } from '../install/system-programs.ts'
import { noRoomOr } from '../path-faults.ts'
import type { Progress } from './progress.ts'
import { writeAll } from './write-all.ts'

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
  const isXz = source.path.endsWith('.xz')
  const raw = isXz
    ? unxz(packed, source.path, programs)
    : { output: packed, ended: Promise.resolve() }
  let position = 0
  try {
    for await (const chunk of raw.output as AsyncIterable<Buffer>) {
      rawHash.update(chunk)
      // Much of an image is empty; a hole reads as zeros and needs no room.
      if (!isZero(chunk)) await writeAll(target.handle, chunk, position)
      position += chunk.length
    }
    await raw.ended
    await target.handle.truncate(position)
  } catch (error) {
    throw failureOf(error, source.path, target.path)
  }
  progress.end()
  const digests = [packedHash.digest('hex'), rawHash.digest('hex')]
  const wanted = source.sha256?.toLowerCase()
  if (wanted !== undefined && !digests.includes(wanted)) {
    throw fault(
      'bad-image',
      `${source.path} has the SHA-256 ${digests[0]}, not ${wanted}: fetch it again`,
    )
  }
}

function unxz(packed: NodeJS.ReadableStream, path: string, programs: SystemPrograms) {
  const child = programs.start('xz', ['-dc'], { stdio: ['pipe', 'pipe', 'pipe'] })
  let complaint = ''
  child.stderr!.on('data', (text) => {
    complaint += text
  })
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', (error) => reject(startFailure('xz', error)))
    packed.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve()
      else
        reject(
          fault(
            'bad-image',
            complaint.trim().replaceAll('(stdin)', path) || `xz ended with ${code}`,
          ),
        )
    })
  })
  // Whoever reads the output is told the reason, and not only that it is cut off.
  ended.catch((error) => {
    child.stdout!.destroy(error)
    child.kill()
  })
  // xz says itself why it closed its input.
  child.stdin!.on('error', () => {})
  packed.pipe(child.stdin!)
  return { output: child.stdout!, ended }
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
