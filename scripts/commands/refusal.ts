/** What the client library says has gone wrong, in a command's words and as its exit code. */
import type { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { own } from '../../shared/core/own.ts'
import {
  EXIT_BAD_INPUT,
  EXIT_CONFIG,
  EXIT_FAILED,
  EXIT_NOT_ALLOWED,
  EXIT_TIMED_OUT,
  EXIT_UNAVAILABLE,
} from '../../shared/runtime/errors.ts'

/** Refusals that are over by themselves, and say when. */
const PASSING = ['locked', 'rate-limited']

export function wordsOf({ code, status, message, retryAfterMs }: ObeliskError): string {
  if (code === 'unreachable')
    return `${message}; is it running? --http says where, or obelisk login`
  if (status === undefined) return message
  const isPassing = PASSING.includes(code) && retryAfterMs !== undefined
  return `${code}: ${message}${isPassing ? `; again in ${retryAfterMs / 1000} s` : ''}`
}

/** Of refusals that say it by no status. */
const EXITS: Readonly<Record<string, number>> = {
  'file-unsuitable': EXIT_BAD_INPUT,
  'gateway-not-pinned': EXIT_CONFIG,
  'https-only': EXIT_CONFIG,
  locked: EXIT_NOT_ALLOWED,
  'login-refused': EXIT_NOT_ALLOWED,
  'not-a-gateway': EXIT_UNAVAILABLE,
  'not-permitted': EXIT_NOT_ALLOWED,
  'package-untrusted': EXIT_BAD_INPUT,
  'timed-out': EXIT_TIMED_OUT,
  unreachable: EXIT_UNAVAILABLE,
  'url-not-secure': EXIT_CONFIG,
}

export function exitCodeOf({ code, status }: ObeliskError): number {
  if (status === 401 || status === 403) return EXIT_NOT_ALLOWED
  if (status === 408 || status === 504) return EXIT_TIMED_OUT
  return own(EXITS, code) ?? EXIT_FAILED
}
