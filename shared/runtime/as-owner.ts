/**
 * What root does in a directory of somebody else, who may have put anything there, and may do so at any moment: it is
 * done as that somebody, so that a link leads no further than he could go himself, and all that is made is his.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { makeDirectory } from './make-directory.ts'

const { O_RDONLY, O_DIRECTORY } = constants

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
  makeDirectory(directory)
  const held = openSync(directory, O_RDONLY | O_DIRECTORY)
  try {
    const { uid, gid } = fstatSync(held)
    if (uid === 0) return await work(path)
    return await as({ uid, gid }, async () => await work(`/proc/self/fd/${held}/${name}`))
  } catch (error) {
    if (error instanceof Error) {
      error.message = error.message.replaceAll(`/proc/self/fd/${held}`, directory)
    }
    throw error
  } finally {
    closeSync(held)
  }
}

async function as<T>(
  { uid, gid }: { readonly uid: number; readonly gid: number },
  work: () => Promise<T>,
): Promise<T> {
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
