/**
 * What root does in a directory of somebody else, who may have put anything there, and may do so at any moment: it is
 * done as that somebody, so that a link leads no further than he could go himself, and all that is made is his.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  type Stats,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { AppError, EXIT_NOT_ALLOWED } from './errors.ts'
import { formerOf, unfinished } from './private-folder.ts'

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants
/** As many as the kernel follows. */
const LINKS_MAX = 40
const OTHERS_WRITE = 0o022

/**
 * Has the work done that has to do with `path`, by the owner of the directory that it is in. The work gets a path that leads
 * to it whoever moves that directory, and although those above may be closed to him; what it needs of
 * other places is read before.
 */
export async function asOwnerOfPlace<T>(
  path: string,
  work: (path: string) => T | Promise<T>,
): Promise<T> {
  if (process.geteuid!() !== 0) return await work(path)
  const [directory, name] = [dirname(path), basename(path)]
  const held = openPlace(directory)
  try {
    const { uid, gid } = fstatSync(held)
    const at = `${below(held)}/${name}`
    if (uid === 0) return await work(at)
    if (maySwitch()) return await as({ uid, gid }, async () => await work(at))
    return await giving({ uid, gid, directory }, at, async () => await work(at))
  } catch (error) {
    if (error instanceof Error) {
      error.message = error.message.replaceAll(below(held), directory)
    }
    throw error
  } finally {
    closeSync(held)
  }
}

function below(directory: number): string {
  return `/proc/self/fd/${directory}`
}

/**
 * Opens a directory for root, which makes it where there is none, one part of its path after the other: what is on the way
 * is held, so that nobody can put another thing in its place, and only links of root's own are followed.
 */
function openPlace(path: string): number {
  const names = partsOf(resolve(path))
  let [held, shown] = [openSync('/', O_RDONLY | O_DIRECTORY), '/']
  try {
    for (let links = 0; names.length > 0; ) {
      const name = names.shift()!
      const here = fstatSync(held)
      const at = `${below(held)}/${name}`
      const target = linkAt(at)
      if (target === undefined) {
        const next = openOrMake(at)
        closeSync(held)
        ;[held, shown] = [next, join(shown, name)]
        const { uid } = fstatSync(held)
        const isForeign = uid !== 0 && here.uid !== 0 && uid !== here.uid
        if (isForeign) throw led(`${shown} of user ${uid} is in the directory of user ${here.uid}`)
        continue
      }
      const isOfRoot = target.uid === 0 && here.uid === 0 && (here.mode & OTHERS_WRITE) === 0
      links += 1
      if (!isOfRoot || links > LINKS_MAX) throw led(`${join(shown, name)} is a link`)
      names.unshift(...partsOf(target.to))
      if (!target.to.startsWith('/')) continue
      closeSync(held)
      ;[held, shown] = [openSync('/', O_RDONLY | O_DIRECTORY), '/']
    }
    return held
  } catch (error) {
    closeSync(held)
    if (error instanceof Error) error.message = error.message.replaceAll(below(held), shown)
    throw error
  }
}

function partsOf(path: string): string[] {
  return path.split('/').filter((name) => name !== '')
}

function linkAt(path: string): { readonly to: string; readonly uid: number } | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats?.isSymbolicLink() ? { to: readlinkSync(path), uid: stats.uid } : undefined
}

function openOrMake(path: string): number {
  const open = (): number => openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
  try {
    return open()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    mkdirSync(path)
    return open()
  }
}

function led(what: string): AppError {
  const message = `${what}, where root is to write: name the directory itself, or do it as the user whose it is`
  return new AppError('not-permitted', message, { exitCode: EXIT_NOT_ALLOWED })
}

interface Owner {
  readonly uid: number
  readonly gid: number
}

/** The Node of Debian 13 lets no process change its user, since io_uring could outlive that (CVE-2024-22017). */
function maySwitch(): boolean {
  try {
    process.seteuid!(0)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_INVALID_STATE') return false
    throw error
  }
}

async function as<T>({ uid, gid }: Owner, work: () => Promise<T>): Promise<T> {
  const [ownGid, groups] = [process.getegid!(), process.getgroups!()]
  process.setgroups!([gid])
  process.setegid!(gid)
  process.seteuid!(uid)
  try {
    return await work()
  } finally {
    process.seteuid!(0)
    process.setegid!(ownGid)
    process.setgroups!(groups)
  }
}

/**
 * Where root has to do it: while the owner has no process that could put a link in the way, past the links that
 * are there, and giving him what was made.
 */
async function giving<T>(
  owner: Owner & { readonly directory: string },
  path: string,
  work: () => Promise<T>,
): Promise<T> {
  const { uid, directory } = owner
  if (hasProcess(uid)) {
    const message = `user ${uid}, to whom ${directory} belongs, has processes: stop the service that uses it first`
    throw new AppError('owner-busy', message, { exitCode: EXIT_NOT_ALLOWED })
  }
  const trees = [path, unfinished(path), formerOf(path)]
  for (const tree of trees) refuseLinks(tree)
  try {
    return await work()
  } finally {
    for (const tree of trees) giveTree(tree, owner)
  }
}

function hasProcess(uid: number): boolean {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .some((name) => isOf(name, uid))
}

/** By any of its four ids; the directory in /proc is root's, where a process is not to be looked at. */
function isOf(pid: string, uid: number): boolean {
  try {
    const [, ids = ''] = /^Uid:\t(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return ids.split('\t').includes(`${uid}`)
  } catch {
    // It has ended meanwhile.
    return false
  }
}

function refuseLinks(path: string): void {
  for (const { at, stats } of treeOf(path)) {
    const isOne = stats.isDirectory() || ((stats.isFile() || stats.isSocket()) && stats.nlink === 1)
    if (isOne) continue
    const message = `${at} is a link, or no file at all, where root is to write: take it away`
    throw new AppError('not-permitted', message, { exitCode: EXIT_NOT_ALLOWED })
  }
}

function giveTree(path: string, { uid, gid }: Owner): void {
  for (const { at, stats } of treeOf(path)) if (stats.uid === 0) lchownSync(at, uid, gid)
}

/** What is there, without following a link. */
function* treeOf(path: string): Generator<{ readonly at: string; readonly stats: Stats }> {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return
  if (stats.isDirectory()) for (const name of readdirSync(path)) yield* treeOf(join(path, name))
  yield { at: path, stats }
}
