/**
 * A folder of secrets that is whole or not there: it is made beside its place, flushed, and renamed. Files in it are
 * their owner's alone, and are refused when they are read if that has changed.
 */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { AppError, EXIT_CONFIG } from './errors.ts'
import { flush } from './flush.ts'
import { makeDirectory } from './make-directory.ts'

const OTHERS = 0o077
/** Keys, certificates and tokens are far smaller. */
const FILE_BYTES_MAX = 64 * 1024

/** Where a folder is made before it has its place. */
export function unfinished(path: string): string {
  return `${path}.new`
}

/** Where what had the place before stays until the new one has shown that it works. */
export function formerOf(path: string): string {
  return `${path}.old`
}

/** Whether there is anything of this name: an error that hides it is no sign that there is not. */
export function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

/** Makes the unfinished folder if there is none; what is in it from before stays, and is on disk. */
export function beginFolder(path: string): void {
  makeDirectory(dirname(path))
  try {
    mkdirSync(unfinished(path), { mode: 0o700 })
  } catch (error) {
    // A link to one is none.
    if (lstatSync(unfinished(path), { throwIfNoEntry: false })?.isDirectory() !== true) throw error
  }
  flush(unfinished(path))
  flush(dirname(path))
}

/** Returns once the file is on disk, in the unfinished folder, whole or not at all. */
export function putPrivate(path: string, name: string, content: string | Uint8Array): void {
  replacePrivate(unfinished(path), name, content)
}

/** Returns once the file is on disk, whole; if it does not, what was there is there. */
export function replacePrivate(folder: string, name: string, content: string | Uint8Array): void {
  const temporary = join(folder, `.${name}`)
  rmSync(temporary, { force: true })
  const file = openSync(temporary, 'wx', 0o600)
  try {
    writeFileSync(file, content)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, join(folder, name))
  flush(folder)
}

/** Gives the unfinished folder its place. There must be none, or an empty one. */
export function finishFolder(path: string): void {
  giveToOwnerOfPlace(path)
  renameSync(unfinished(path), path)
  flush(dirname(path))
}

/** Where root made it: whoever the directory around it belongs to has to read it from the moment in which it is there. */
function giveToOwnerOfPlace(path: string): void {
  if (process.geteuid?.() !== 0) return
  const { uid, gid } = statSync(dirname(path))
  const folder = unfinished(path)
  for (const name of readdirSync(folder, { recursive: true }) as string[]) {
    lchownSync(join(folder, name), uid, gid)
  }
  lchownSync(folder, uid, gid)
  flush(folder)
}

/**
 * Gives the unfinished folder the place of another one, which is kept beside it. Where one is kept already, that
 * one stays: what comes after it has not shown that it works.
 */
export function replaceFolder(path: string): void {
  if (isThere(path)) {
    if (isThere(formerOf(path))) rmSync(path, { recursive: true })
    else renameSync(path, formerOf(path))
    flush(dirname(path))
  }
  finishFolder(path)
}

/** What had the place before is there no more. */
export function forgetFormer(path: string): void {
  if (!isThere(formerOf(path))) return
  rmSync(formerOf(path), { recursive: true })
  flush(dirname(path))
}

/** What had the place before has it again. */
export function bringBackFormer(path: string): void {
  rmSync(path, { recursive: true, force: true })
  renameSync(formerOf(path), path)
  flush(dirname(path))
}

/** What was begun is given up. */
export function forgetUnfinished(path: string): void {
  if (!isThere(unfinished(path))) return
  rmSync(unfinished(path), { recursive: true })
  flush(dirname(path))
}

/** The file's content; nothing if there is none. `key-exposed` if others can read it, or it is somebody else's. */
export function readPrivate(path: string): string | undefined {
  return readPrivateBytes(path)?.toString('utf8')
}

export function readPrivateBytes(path: string): Buffer | undefined {
  let file: number
  try {
    // Whoever made a pipe of this name is not waited for.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const found = fstatSync(file)
    const { mode, uid, size } = found
    if (!found.isFile()) throw exposed(path, 'it is no file')
    const user = process.geteuid?.()
    if ((mode & OTHERS) !== 0) throw exposed(path, `others can read it: chmod 600 ${path}`)
    // Root may be asked about what a service owns.
    if (user !== undefined && user !== 0 && uid !== user) {
      throw exposed(path, `user ${uid} owns it, and this process is user ${user}`)
    }
    if (size > FILE_BYTES_MAX) throw exposed(path, `it has ${size} bytes, and is no key of ours`)
    return readFileSync(file)
  } finally {
    closeSync(file)
  }
}

function exposed(path: string, why: string): AppError {
  return new AppError('key-exposed', `${path}: ${why}`, { exitCode: EXIT_CONFIG })
}
