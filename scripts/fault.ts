/** What goes wrong in a command, by its stable code, and the exit code that each means. */
import { readFileSync } from 'node:fs'
import {
  AppError,
  EXIT_BAD_INPUT,
  EXIT_CONFIG,
  EXIT_FAILED,
  EXIT_INTERRUPTED,
  EXIT_NO_ROOM,
  EXIT_NOT_ALLOWED,
  EXIT_PROGRAM_MISSING,
  EXIT_SOFTWARE,
  EXIT_TIMED_OUT,
  EXIT_UNAVAILABLE,
  EXIT_UNREADABLE,
  EXIT_UNSUITABLE,
  EXIT_USAGE,
  EXIT_WENT_BACK,
  EXIT_WRITE_FAILED,
  messageOf,
} from '../shared/runtime/errors.ts'

const EXITS = {
  'backup-damaged': EXIT_FAILED,
  'backup-malformed': EXIT_BAD_INPUT,
  'bad-image': EXIT_BAD_INPUT,
  'bad-key': EXIT_BAD_INPUT,
  'bad-package': EXIT_BAD_INPUT,
  'context-broken': EXIT_CONFIG,
  'drain-undone': EXIT_FAILED,
  'file-exists': EXIT_NOT_ALLOWED,
  'file-unsuitable': EXIT_BAD_INPUT,
  'folder-unusable': EXIT_FAILED,
  'gateway-not-pinned': EXIT_CONFIG,
  interrupted: EXIT_INTERRUPTED,
  'key-unsuitable': EXIT_BAD_INPUT,
  'no-home': EXIT_CONFIG,
  'no-package-file': EXIT_BAD_INPUT,
  'no-room': EXIT_NO_ROOM,
  'not-a-file': EXIT_NOT_ALLOWED,
  'not-enrolled': EXIT_CONFIG,
  'not-installed': EXIT_FAILED,
  'not-permitted': EXIT_NOT_ALLOWED,
  'not-secured': EXIT_CONFIG,
  'output-failed': EXIT_FAILED,
  'package-older': EXIT_BAD_INPUT,
  'package-untrusted': EXIT_BAD_INPUT,
  'program-missing': EXIT_PROGRAM_MISSING,
  'restart-failed': EXIT_SOFTWARE,
  'seal-broken': EXIT_BAD_INPUT,
  'timed-out': EXIT_TIMED_OUT,
  'token-malformed': EXIT_BAD_INPUT,
  unreachable: EXIT_UNAVAILABLE,
  unreadable: EXIT_UNREADABLE,
  unsuitable: EXIT_UNSUITABLE,
  'upgrade-replaced': EXIT_FAILED,
  'url-not-secure': EXIT_CONFIG,
  usage: EXIT_USAGE,
  'went-back': EXIT_WENT_BACK,
  'write-failed': EXIT_WRITE_FAILED,
} as const

export function fault(code: keyof typeof EXITS, message: string, cause?: unknown): AppError {
  return new AppError(code, message, { cause, exitCode: EXITS[code] })
}

export function usage(message: string): AppError {
  return fault('usage', message)
}

/** Of a file that a person named, by what he named it with. */
export function unreadable(label: string, error: unknown): AppError {
  return fault('unreadable', `${label}: ${messageOf(error)}`, error)
}

/** What is in a file that a person named. */
export function namedText(label: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    // Of a directory the message has no path.
    throw unreadable(messageOf(error).includes(path) ? label : `${label}: ${path}`, error)
  }
}
