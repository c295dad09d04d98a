/** Files and links that are there whole, or as they were before: made beside their place, then renamed. */
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  openSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { flush } from '../shared/runtime/flush.ts'

const PRIVATE = 0o600

/** On disk when this returns. Whatever has the name of the temporary file goes: in a person's own directory, take one that nobody has. */
export function writeWhole(
  path: string,
  content: string | Uint8Array,
  mode: number,
  temporary = partialOf(path),
): void {
  replace(path, temporary, () => {
    const descriptor = openSync(temporary, 'wx', PRIVATE)
    try {
      writeFileSync(descriptor, content, { flush: true })
    } finally {
      closeSync(descriptor)
    }
    // Some file systems have no modes, and refuse to be given one.
    if (mode !== PRIVATE) chmodSync(temporary, mode)
  })
  flush(dirname(path))
}

/**
 * The same of what comes bit by bit, and is looked at before it takes its place. Returns its bytes; where it breaks off,
 * nothing is left of it.
 */
export async function writeWholeFrom(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  mode: number,
  temporary: string,
  look?: () => Promise<void>,
): Promise<number> {
  let bytes = 0
  try {
    const file = await open(temporary, 'wx', PRIVATE)
    try {
      for await (const chunk of chunks) {
        await file.writeFile(chunk)
        bytes += chunk.length
      }
      await file.sync()
    } finally {
      await file.close()
    }
    await look?.()
    if (mode !== PRIVATE) chmodSync(temporary, mode)
    renameSync(temporary, path)
  } catch (error) {
    discard(temporary)
    throw error
  }
  flush(dirname(path))
  return bytes
}

export function linkWhole(path: string, target: string): void {
  const temporary = partialOf(path)
  replace(path, temporary, () => symlinkSync(target, temporary))
  flush(dirname(path))
}

/** Where a file or a tree is made, until it is whole. */
export function partialOf(path: string): string {
  return `${path}.new`
}

/** The same in a person's own directory: a name that no file of anybody has. */
export function privatePartialOf(path: string): string {
  return join(dirname(path), `.obelisk-${randomBytes(8).toString('hex')}`)
}

function replace(path: string, temporary: string, make: () => void): void {
  try {
    rmSync(temporary, { force: true })
    make()
    renameSync(temporary, path)
  } catch (error) {
    discard(temporary)
    throw error
  }
}

/** Of a change that failed, for a reason that matters more than what happens here. */
function discard(temporary: string): void {
  try {
    rmSync(temporary, { force: true })
  } catch {}
}
