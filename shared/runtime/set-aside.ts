/**
 * Stores that could not be used any more: each lies beside the one that took its place, as `<path>.broken-<n>`, for
 * who wants to look at it, as long as the disk has room for both.
 */
import { readdirSync, renameSync, rmSync, statfsSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { flush } from './flush.ts'

/** Moves a store out of the way, and says where it is now. The newest `kept` stay. */
export function putAside(path: string, kept = Number.POSITIVE_INFINITY): string {
  const numbers = numbersBeside(path)
  const target = broken(path, (numbers[0] ?? 0) + 1)
  renameSync(path, target)
  flush(dirname(path))
  for (const number of numbers.slice(Math.max(0, kept - 1))) remove(path, number)
  return target
}

/** Removes the oldest until the file of a store can grow to so many bytes, or none is left. */
export function makeRoom(path: string, file: string, bytesMax: number): void {
  const bytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  for (const number of numbersBeside(path).reverse()) {
    const { bavail, bsize } = statfsSync(dirname(path))
    if (bytes + bavail * bsize >= bytesMax) return
    remove(path, number)
  }
}

/** Newest first. */
function numbersBeside(path: string): number[] {
  const prefix = `${basename(path)}.broken-`
  return readdirSync(dirname(path))
    .filter((name) => name.startsWith(prefix))
    .map((name) => Number(name.slice(prefix.length)))
    .filter(Number.isInteger)
    .sort((left, right) => right - left)
}

function broken(path: string, number: number): string {
  return `${path}.broken-${number}`
}

function remove(path: string, number: number): void {
  rmSync(broken(path, number), { recursive: true, force: true })
}
