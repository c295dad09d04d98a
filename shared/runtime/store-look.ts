/**
 * A look at a database that was not closed: a child process opens it, reads all that it holds and writes
 * once, and may die of that in our place. How long it takes depends on the size and on the disk, so there
 * is no limit for the whole, only for a time without progress.
 */
import { spawn } from 'node:child_process'
import { AppError, EXIT_SOFTWARE } from './errors.ts'
import { lmdbLibrary } from './lmdb-library.ts'

export interface LookOptions {
  readonly mapSizeBytes: number
  readonly maxDbs: number
  /** Ends a look that gets nowhere for this long, ms. */
  readonly stallMs?: number
  /** Hears how many of the bytes of the file were looked at, at least, as it goes on. */
  readonly onLook?: OnLook | undefined
}

export type OnLook = (lookedBytes: number, fileBytes: number) => void

/** The one key of the root database that names no table: the look writes there. */
export const LOOK_KEY = 0

const STALL_MS = 60_000
const CRASH_SIGNALS: readonly (NodeJS.Signals | null)[] = ['SIGSEGV', 'SIGBUS', 'SIGABRT', 'SIGILL']
export const DAMAGE = /MDB_(CORRUPTED|INVALID|PAGE_NOTFOUND|VERSION_MISMATCH|PANIC|BAD_)/

// In a damaged tree a branch may lead back up: more values than the file has bytes are no end.
const PROGRAM = `
const [, library, path, bytesMax, options] = process.argv
const { writeSync } = require('node:fs')
const { open } = require(library)
const root = open(path, { ...JSON.parse(options), noSubdir: false, encoding: 'binary' })
let bytes = 0
let said = 0
for (const name of Array.from(root.getKeys())) {
  if (typeof name !== 'string') continue
  const table = root.openDB({ name, create: false, encoding: 'binary', keyEncoding: 'binary' })
  for (const { value } of table.getRange()) {
    bytes += value.length
    if (bytes > Number(bytesMax)) throw new Error('MDB_CORRUPTED: it has no end')
    if (bytes - said < 1048576) continue
    said = bytes
    writeSync(1, bytes + '\\n')
  }
}
root.put(${LOOK_KEY}, Buffer.from([1]))
root.flushed.then(() => root.close()).then(() => process.exit(0))
`

/** `fileBytes`: of the file of the database. */
export async function lookAtStore(
  path: string,
  fileBytes: number,
  { mapSizeBytes, maxDbs, stallMs = STALL_MS, onLook }: LookOptions,
): Promise<'sound' | 'broken'> {
  const open = JSON.stringify({ mapSize: mapSizeBytes, maxDbs })
  const argv = ['-e', PROGRAM, lmdbLibrary(), path, String(fileBytes), open]
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] })
  let isStalled = false
  const timer = setTimeout(() => {
    isStalled = true
    child.kill('SIGKILL')
  }, stallMs)
  onLook?.(0, fileBytes)
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    timer.refresh()
    onLook?.(Number(text.trim().split('\n').at(-1)), fileBytes)
  })
  let complaint = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-4096)
  })
  const { code, signal } = await new Promise<{
    code: number | null
    signal: NodeJS.Signals | null
  }>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  }).finally(() => clearTimeout(timer))
  if (code === 0) return 'sound'
  if (CRASH_SIGNALS.includes(signal) || DAMAGE.test(complaint)) return 'broken'
  // Node shows the line of code first, which in a package is the whole program.
  const said = /^\w*Error.*$/m.exec(complaint)?.[0] ?? complaint.trim().slice(0, 500)
  const what = isStalled
    ? `it got nowhere for ${Math.round(stallMs / 1000)} s`
    : `${signal ?? `exit code ${code}`} ${said}`
  throw new AppError('store-probe-failed', `could not try out ${path}: ${what}`, {
    exitCode: EXIT_SOFTWARE,
  })
}
