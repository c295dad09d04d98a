import { statfsSync } from 'node:fs'
import { AppError, EXIT_NO_ROOM } from '../shared/runtime/errors.ts'

/** LMDB makes two for a store, and dies where it cannot. */
const FILES = 8

/** Throws `no-room` where a file system has less room than a copy of a ledger needs. */
export function assertRoom(directory: string, neededBytes: number): void {
  const { bavail, bsize, files, ffree } = statfsSync(directory)
  const freeBytes = bavail * bsize
  if (freeBytes < neededBytes) {
    throw noRoom(
      `the disk of ${directory} has ${freeBytes} bytes free, and ${neededBytes} are needed`,
    )
  }
  // Some file systems do not count them.
  if (files > 0 && ffree < FILES) {
    throw noRoom(`the disk of ${directory} takes ${ffree} files more, and ${FILES} are needed`)
  }
}

function noRoom(message: string): AppError {
  return new AppError('no-room', message, { exitCode: EXIT_NO_ROOM })
}
