/** Where packages go: what keeps them from it is said in words, and nothing half-written is left. */
import { AppError } from '../../shared/runtime/errors.ts'
import { makeDirectory } from '../../shared/runtime/make-directory.ts'
import { unreadable, usage } from '../fault.ts'
import { faultOf } from '../path-faults.ts'
import { writeWhole } from '../whole-file.ts'

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
  return fault instanceof AppError ? fault : unreadable(`--output: ${path}`, error)
}
