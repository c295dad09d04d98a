/**
 * `mkdir -p`. Node's own tries for ever below `/proc`, and wherever else the parent of a directory is there
 * and yet said to be missing: it takes that for a parent to make, and tries again.
 */
import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/** Makes the directory and those above it, each tried once; `mode` is of those that it makes, less the umask. */
export function makeDirectory(path: string, mode = 0o777): void {
  const wanted = [resolve(path)]
  for (let at = dirname(wanted[0]!); !existsSync(at); at = dirname(at)) wanted.push(at)
  for (const at of wanted.toReversed()) makeOne(at, mode)
}

/** It may be there, and somebody else may have made it in between. */
function makeOne(path: string, mode: number): void {
  try {
    mkdirSync(path, mode)
  } catch (error) {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) throw error
  }
}
