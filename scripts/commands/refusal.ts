/** What the client library says has gone wrong, in a command's words and as its exit code. */
import type { ObeliskError } from '../../shared/client/obelisk-error.ts'
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

export function exitCodeOf({ code, status }: ObeliskError): number {
  if (status === 401 || status === 403) return EXIT_NOT_ALLOWED
  if (status === 408 || status === 504) return EXIT_TIMED_OUT
  switch (code) {
    case 'locked':
    case 'login-refused':
    case 'not-permitted':
      return EXIT_NOT_ALLOWED
    case 'file-unsuitable':
    case 'package-untrusted':
      return EXIT_BAD_INPUT
    case 'timed-out':
      return EXIT_TIMED_OUT
    case 'unreachable':
    case 'not-a-gateway':
      return EXIT_UNAVAILABLE
    case 'gateway-not-pinned':
    case 'url-not-secure':
    case 'https-only':
      return EXIT_CONFIG
    default:
      return EXIT_FAILED
  }
}
