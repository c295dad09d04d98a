import { AppError, EXIT_USAGE } from '../../shared/runtime/errors.ts'

/** Why a package cannot be made here, in words for whoever asked for it. */
export class PackagingError extends Error {}

/** What was asked for makes no sense. */
export function usage(message: string): AppError {
  return new AppError('usage', message, { exitCode: EXIT_USAGE })
}
