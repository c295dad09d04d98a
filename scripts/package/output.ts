/** Where packages go: what keeps them from it is said in words, and nothing half-written is left. */
import { AppError, EXIT_UNREADABLE, messageOf } from '../../shared/runtime/errors.ts'
import { makeDirectory } from '../../shared/runtime/make-directory.ts'
import { faultOf } from '../path-faults.ts'
import { writeWhole } from '../whole-file.ts'
import { usage } from './packaging-error.ts'

export function makeOutput(directory: string): void {
  try {
    makeDirectory(directory)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') throw usage(`--output: ${directory} is not a directory`)
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

function outputFailure(error: unknown, path: string): AppError {
  const fault = faultOf(error, path, 'changed')
  if (fault instanceof AppError) return fault
  const options = { cause: error, exitCode: EXIT_UNREADABLE }
  return new AppError('unreadable', `--output: ${path}: ${messageOf(error)}`, options)
}
