/**
 * A directory in memory, where the machine has such: for tests that make and remove small trees many hundred times,
 * and not of what a disk does with them.
 */
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'

const MEMORY = '/dev/shm'

export function memoryDirectory(t: Test): string {
  try {
    accessSync(MEMORY, constants.W_OK | constants.X_OK)
  } catch {
    return t.testdir()
  }
  const directory = mkdtempSync(join(MEMORY, 'obelisk-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}
