/** What the system says of a path, in words for a person: where, why, and what to do. */
import { readFileSync } from 'node:fs'
import {
  AppError,
  EXIT_NO_ROOM,
  EXIT_NOT_ALLOWED,
  EXIT_UNREADABLE,
  messageOf,
} from '../shared/runtime/errors.ts'

/** What was wished of the path. */
export type Wish = 'looked at' | 'changed'

/** The error in these words, or itself where there are none for it. */
export function faultOf(error: unknown, path: string, wish: Wish): unknown {
  const told = (code: string, message: string, exitCode: number): AppError =>
    new AppError(code, `${path} ${message}`, { cause: error, exitCode })
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EACCES':
    case 'EPERM': {
      const isRoot = process.geteuid!() === 0
      const remedy = isRoot ? ', not even by root' : ': run it as root: sudo obelisk …'
      return told('not-permitted', `may not be ${wish}${remedy}`, EXIT_NOT_ALLOWED)
    }
    case 'EROFS': {
      const message = 'is on a file system that is read-only: mount it for writing'
      return told('not-permitted', message, EXIT_NOT_ALLOWED)
    }
    case 'ENOENT': {
      const message =
        wish === 'looked at' ? 'is not there' : 'has no directory to be in: make it first'
      return told('unreadable', message, EXIT_UNREADABLE)
    }
    case 'EISDIR':
    case 'ERR_FS_EISDIR': {
      const message = 'is a directory, where a file belongs: move it away'
      return told('unreadable', message, EXIT_UNREADABLE)
    }
    case 'ENOTDIR': {
      const message = 'has a file above it, where a directory belongs: move that away'
      return told('unreadable', message, EXIT_UNREADABLE)
    }
    default:
      return noRoomOr(error, path)
  }
}

/** Does something with what is at the path, now or later: what the system says of that is told in these words. */
export function inWords<T>(path: string, wish: Wish, work: () => T): T {
  const fail = (error: unknown): never => {
    throw faultOf(error, path, wish)
  }
  try {
    const made = work()
    return made instanceof Promise ? (made.catch(fail) as T) : made
  } catch (error) {
    return fail(error)
  }
}

/** The text of a file that a person named. */
export function textIn(path: string): string {
  return inWords(path, 'looked at', () => readFileSync(path, 'utf8'))
}

export function noRoomOr(error: unknown, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  return new AppError('no-room', `the disk of ${path} is full`, {
    cause: error,
    exitCode: EXIT_NO_ROOM,
  })
}

/** A path that could not be looked at, so that nothing is known of it. */
export interface Unseen {
  readonly path: string
  readonly fault: AppError
}

/** Looks at paths, and goes on after one that cannot be looked at: it counts as missing, and is kept. */
export class Sight {
  readonly #unseen = new Map<string, Unseen>()

  get unseen(): readonly Unseen[] {
    return [...this.#unseen.values()]
  }

  look<T>(path: string, look: () => T): T | undefined {
    try {
      return look()
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === undefined) throw error
      if (code !== 'ENOENT' && !this.#unseen.has(path)) {
        this.#unseen.set(path, { path, fault: unseenFault(error, path) })
      }
      return undefined
    }
  }
}

function unseenFault(error: unknown, path: string): AppError {
  const fault = faultOf(error, path, 'looked at')
  if (fault instanceof AppError) return fault
  const message = `${path}: ${messageOf(error)}`
  return new AppError('unreadable', message, { cause: error, exitCode: EXIT_UNREADABLE })
}
