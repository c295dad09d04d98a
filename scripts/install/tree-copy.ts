/**
 * Copies of trees that somebody else can still write to. Only what is in the copy counts from then on. tar(1) reads: it
 * opens each file in the directory that it holds open, follows no link, and opens nothing but files and directories. What
 * it tells is unpacked as an archive of a stranger.
 */
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { messageOf } from '../../shared/runtime/errors.ts'
import { fault, unreadable } from '../fault.ts'
import { bounded, unpackPackage } from '../package/untar.ts'
import { inWords, noRoomOr } from '../path-faults.ts'
import type { SystemPrograms } from './system-programs.ts'

/** Makes `to`, for its owner alone, with every file of `from`. Throws AppError where there is anything else, or too much. */
export async function copyTree(from: string, to: string, programs: SystemPrograms): Promise<void> {
  const archive = `${to}.tar.gz`
  const { output, ended } = programs.pipe('tar', [
    ...['--create', '--format=ustar', '--hard-dereference', '--owner=0', '--group=0'],
    ...['--transform=s,^[.],tree,', '--directory', resolve(from), '.'],
  ])
  try {
    const file = createWriteStream(archive, { flags: 'wx', mode: 0o600 })
    await pipeline(bounded(output), createGzip({ level: 1 }), file)
    const { code, stderr } = await ended
    if (code !== 0) throw unreadable(from, new Error(stderr))
    await unpackPackage(archive, to)
  } catch (error) {
    const isTold = (error as NodeJS.ErrnoException).code !== undefined
    throw isTold
      ? error
      : fault('bad-package', `${from} is not a package: ${messageOf(error)}`, error)
  } finally {
    rmSync(archive, { force: true })
  }
}

/** A copy that nobody else can change, for as long as an installation takes. */
export class PrivateCopy {
  /** The tree that it was made of. */
  readonly original: string
  readonly path: string
  readonly #directory: string

  /** Throws AppError when there is no room, or something may not be read. */
  static async of(original: string, programs: SystemPrograms): Promise<PrivateCopy> {
    const place = tmpdir()
    const directory = inWords(place, 'changed', () => mkdtempSync(join(place, 'obelisk-tree-')))
    const copy = new PrivateCopy(resolve(original), directory)
    try {
      await copyTree(original, copy.path, programs)
    } catch (error) {
      copy.remove()
      throw noRoomOr(error, directory)
    }
    return copy
  }

  private constructor(original: string, directory: string) {
    this.original = original
    this.#directory = directory
    this.path = join(directory, 'tree')
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}
