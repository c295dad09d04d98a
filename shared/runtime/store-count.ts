/**
 * A copy of a database is opened and counted by a process of its own, which may die of damage in our place, and
 * changes nothing. It reads every value, so that what it has counted can be read.
 */
import { spawn } from 'node:child_process'
import { closeSync, constants, openSync } from 'node:fs'
import { lmdbLibrary } from './lmdb-library.ts'

export interface StoreCount {
  /** Of each table. */
  readonly records: Readonly<Record<string, number>>
  /** Of the file, hexadecimal. */
  readonly sha256: string
  readonly bytes: number
  /** Of the one record that was asked for. */
  readonly record: Uint8Array | undefined
}

export interface CountOptions {
  readonly maxDbs: number
  /** A record that is to be told. */
  readonly record: { readonly table: string; readonly key: string }
  /** Ends a count that gets nowhere for this long, ms. */
  readonly stallMs?: number
}

const STALL_MS = 60_000
const DIRECTORY = 3
const COMPLAINT_BYTES = 2048

// In a damaged tree a branch may lead back up: more values than the file has bytes are no end.
const PROGRAM = `
const [, library, options] = process.argv
const { createHash } = require('node:crypto')
const { openSync, readSync, writeSync } = require('node:fs')
const { open } = require(library)
const path = '/proc/self/fd/${DIRECTORY}'
const { maxDbs, record } = JSON.parse(options)
const hash = createHash('sha256')
const file = openSync(path + '/data.mdb', 'r')
const piece = Buffer.alloc(1048576)
let bytes = 0
for (let read; (read = readSync(file, piece)) > 0; bytes += read) {
  hash.update(piece.subarray(0, read))
  writeSync(1, '\\n')
}
const root = open(path, { noSubdir: false, encoding: 'binary', readOnly: true, maxDbs })
const records = {}
let seen = 0
let said = 0
for (const name of Array.from(root.getKeys())) {
  if (typeof name !== 'string') continue
  const table = root.openDB({ name, create: false, encoding: 'binary', keyEncoding: 'binary' })
  records[name] = 0
  for (const { value } of table.getRange()) {
    records[name] += 1
    seen += value.length
    if (seen > bytes) throw new Error('it has no end')
    if (seen - said < 1048576) continue
    said = seen
    writeSync(1, '\\n')
  }
}
const table = root.openDB({ name: record.table, create: false, encoding: 'binary' })
const found = table && table.getBinary(record.key)
const told = { records, bytes, sha256: hash.digest('hex'), record: found && found.toString('base64') }
writeSync(1, JSON.stringify(told))
process.exit(0)
`

/** Nothing if the database in `directory` is damaged, or none. */
export async function countStore(
  directory: string,
  { maxDbs, record, stallMs = STALL_MS }: CountOptions,
): Promise<StoreCount | { readonly problem: string }> {
  // Where root works for somebody else the path leads through a descriptor of ours.
  const held = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    const argv = ['-e', PROGRAM, lmdbLibrary(), JSON.stringify({ maxDbs, record })]
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe', held] })
    const timer = setTimeout(() => child.kill('SIGKILL'), stallMs)
    let [told, complaint] = ['', '']
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      timer.refresh()
      told += text.trimStart()
    })
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-COMPLAINT_BYTES)
    })
    const ended = await new Promise<string>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => resolve(signal ?? `exit code ${code}`))
    }).finally(() => clearTimeout(timer))
    if (ended !== 'exit code 0') {
      const said = /^\w*Error.*$/m.exec(complaint)?.[0] ?? ''
      return { problem: `${ended} ${said}`.trim() }
    }
    const count = JSON.parse(told) as Omit<StoreCount, 'record'> & { readonly record?: string }
    return { ...count, record: count.record && Buffer.from(count.record, 'base64') } as StoreCount
  } finally {
    closeSync(held)
  }
}
