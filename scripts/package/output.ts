/** Where packages go: what keeps them from it is said in words, and nothing half-written is left. */
import { closeSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { messageOf } from '../../shared/runtime/errors.ts'
import { noRoomOr } from '../path-faults.ts'
import { PackagingError } from './packaging-error.ts'

export function makeOutput(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') throw new PackagingError(`--output: ${directory} is not a directory`)
    throw outputFailure(error, directory)
  }
}

export function writeOutput(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.new`
  try {
    const descriptor = openSync(temporary, 'w')
    try {
      writeAndClose(descriptor, bytes)
      renameSync(temporary, path)
    } catch (error) {
      rmSync(temporary, { force: true })
      throw error
    }
  } catch (error) {
    throw outputFailure(error, path)
  }
}

function writeAndClose(descriptor: number, bytes: Uint8Array): void {
  try {
    writeFileSync(descriptor, bytes)
  } finally {
    closeSync(descriptor)
  }
}

/** AppError for a full disk, else PackagingError. */
function outputFailure(error: unknown, path: string): unknown {
  const failure = noRoomOr(error, path)
  return failure === error ? new PackagingError(`--output: ${path}: ${messageOf(error)}`) : failure
}
