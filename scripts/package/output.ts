/** Where packages go: what keeps them from it is said in words, and nothing half-written is left. */
import { mkdirSync } from 'node:fs'
import { messageOf } from '../../shared/runtime/errors.ts'
import { noRoomOr } from '../path-faults.ts'
import { writeWhole } from '../whole-file.ts'
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
  try {
    writeWhole(path, bytes, 0o644)
  } catch (error) {
    throw outputFailure(error, path)
  }
}

/** AppError for a full disk, else PackagingError. */
function outputFailure(error: unknown, path: string): unknown {
  const failure = noRoomOr(error, path)
  return failure === error ? new PackagingError(`--output: ${path}: ${messageOf(error)}`) : failure
}
