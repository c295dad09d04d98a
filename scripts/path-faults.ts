/** What the system says of a path, in words for a person: where, why, and what to do. */
import { readFileSync } from 'node:fs'
import { AppError } from '../shared/runtime/errors.ts'
import { fault, unreadable } from './fault.ts'

/** What was wished of the path. */
export type Wish = 'looked at' | 'changed'

/** The error in these words, or itself where there are none for it. */
export function faultOf(error: unknown, path: string, wish: Wish): unknown {
  const told = (code: 'not-permitted' | 'unreadable', message: string): AppError =>
    fault(code, `${path} ${message}`, error)
  switch ((error as NodeJS.ErrnoException).code) {
    case 'EACCES':
    case 'EPERM': {
      const isRoot = process.geteuid!() === 0
      const remedy = isRoot ? ', not even by root' : ': run it as root: sudo obelisk …'
      return told('not-permitted', `may not be ${wish}${remedy}`)
    }
    case 'EROFS':
      return told('not-permitted', 'is on a file system that is read-only: mount it for writing')
    case 'ENOENT':
      if (wish === 'looked at') return told('unreadable', 'is not there')
      return told('unreadable', 'has no directory to be in: make it first')
    case 'EISDIR':
    case 'ERR_FS_EISDIR':
      return told('unreadable', 'is a directory, where a file belongs: move it away')
    case 'ENOTDIR':
      return told('unreadable', 'has a file above it, where a directory belongs: move that away')
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
  return fault('no-room', `the disk of ${path} is full`, error)
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
  const told = faultOf(error, path, 'looked at')
  return told instanceof AppError ? told : unreadable(path, error)
}
