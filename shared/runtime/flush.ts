import { closeSync, fsyncSync, openSync } from 'node:fs'

/** Returns once a file, or the names in a directory, are on disk (fsync(2)). */
export function flush(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
