import { type SpawnSyncOptions, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startFailure } from '../install/system-programs.ts'
import { CHECKOUT } from './checkout.ts'
import { PackagingError } from './packaging-error.ts'

/** Runs a tool, in the checkout if nothing else is said, and gives what it prints. */
export function runTool(
  tool: string,
  argv: readonly string[],
  options: SpawnSyncOptions = {},
): Buffer {
  const { status, stdout, stderr, error } = spawnSync(tool, [...argv], {
    ...{ cwd: CHECKOUT, maxBuffer: Number.POSITIVE_INFINITY, ...options },
    encoding: 'buffer',
  })
  if (error !== undefined) throw startFailure(tool, error)
  if (status !== 0) throw new PackagingError(`${tool} ${argv.at(-1)}: ${`${stderr}`.trim()}`)
  return stdout
}

/** A directory for as long as something is made in it. */
export function inTemporary<T>(work: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'obelisk-package-'))
  try {
    return work(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
