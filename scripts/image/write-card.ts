/** Writes an image file to a card, and reads back what the card has, past the memory of this machine. */
import { createHash } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { messageOf } from '../../shared/runtime/errors.ts'
import { fault } from '../fault.ts'
import type { SystemPrograms } from '../install/system-programs.ts'
import type { Progress } from './progress.ts'

const CHUNK_BYTES = 4 * 1024 * 1024
export const UNUSABLE = 'the card is unusable until it is written again'

export interface CardWrite {
  readonly image: string
  readonly device: string
  readonly bytes: number
}

/** Throws AppError; from the first byte on it says that the card is unusable. */
export async function writeCard(
  { image, device, bytes }: CardWrite,
  programs: SystemPrograms,
  progress: { readonly writing: Progress; readonly reading: Progress },
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted()
  // Linux: on a block device O_EXCL fails while anything has it mounted (open(2)).
  const flags = constants.O_WRONLY | constants.O_EXCL
  const handle = await open(device, flags).catch((error: NodeJS.ErrnoException) => {
    const hint = error.code === 'EACCES' ? ' (try with sudo)' : ''
    throw fault('not-permitted', `${device}: ${messageOf(error)}${hint}`)
  })
  const hash = createHash('sha256')
  let written = 0
  try {
    const source = createReadStream(image, { highWaterMark: CHUNK_BYTES, signal })
    for await (const chunk of source as AsyncIterable<Buffer>) {
      hash.update(chunk)
      await handle.writeFile(chunk)
      written += chunk.length
      progress.writing.step(written, bytes)
    }
    await handle.sync()
  } catch (error) {
    throw fault('write-failed', `${device}: ${messageOf(error)}; ${UNUSABLE}`, error)
  } finally {
    await handle.close()
  }
  progress.writing.end()
  const found = await digestOfCard(device, bytes, programs, progress.reading, signal)
  if (found !== hash.digest('hex')) {
    const message = `${device} gives back something else than was written; ${UNUSABLE}. Try another card`
    throw fault('write-failed', message)
  }
}

/** With O_DIRECT, through dd: what a cache says would prove nothing. */
async function digestOfCard(
  device: string,
  bytes: number,
  programs: SystemPrograms,
  progress: Progress,
  signal: AbortSignal,
): Promise<string> {
  const words = [`if=${device}`, 'bs=4M', 'iflag=direct,count_bytes', `count=${bytes}`]
  const { output, ended, stop } = programs.pipe('dd', [...words, 'status=none'])
  signal.addEventListener('abort', stop)
  const hash = createHash('sha256')
  let read = 0
  for await (const chunk of output as AsyncIterable<Buffer>) {
    hash.update(chunk)
    progress.step((read += chunk.length), bytes)
  }
  const { code, stderr } = await ended
  signal.removeEventListener('abort', stop)
  if (code !== 0 || read !== bytes) {
    const said = signal.aborted ? 'interrupted' : stderr || `only ${read} bytes came back`
    throw fault('write-failed', `${device} could not be read back: ${said}; ${UNUSABLE}`)
  }
  progress.end()
  return hash.digest('hex')
}
