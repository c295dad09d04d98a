/** The ways in which making a card fails, each with an exit code of its own. */
import {
  AppError,
  EXIT_BAD_INPUT,
  EXIT_NO_ROOM,
  EXIT_NOT_ALLOWED,
  EXIT_UNREADABLE,
  EXIT_WRITE_FAILED,
  messageOf,
} from '../../shared/runtime/errors.ts'

export function badImage(message: string): AppError {
  return new AppError('bad-image', message, { exitCode: EXIT_BAD_INPUT })
}

export function badPackage(message: string): AppError {
  return new AppError('bad-package', message, { exitCode: EXIT_BAD_INPUT })
}

export function noRoom(message: string, cause?: unknown): AppError {
  return new AppError('no-room', message, { cause, exitCode: EXIT_NO_ROOM })
}

export function deviceRefused(message: string): AppError {
  return new AppError('not-permitted', message, { exitCode: EXIT_NOT_ALLOWED })
}

export function writeFailed(message: string, cause?: unknown): AppError {
  return new AppError('write-failed', message, { cause, exitCode: EXIT_WRITE_FAILED })
}

/** Of a file that the user named. */
export function unreadable(label: string, error: unknown): AppError {
  const message = `${label}: ${messageOf(error)}`
  return new AppError('unreadable', message, { cause: error, exitCode: EXIT_UNREADABLE })
}
