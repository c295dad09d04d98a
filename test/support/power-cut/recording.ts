/** What the preloaded library wrote down of one process, in order; shim.c has the format. */
import { readFileSync } from 'node:fs'

export type DiskRecord =
  | {
      readonly kind: 'written'
      readonly offset: number
      readonly bytes: Uint8Array
      /** On disk when the call returned (O_DSYNC). */
      readonly isDirect: boolean
    }
  | { readonly kind: 'truncated'; readonly size: number }
  | { readonly kind: 'flush-begun'; readonly flush: number; readonly path: string }
  | { readonly kind: 'flushed'; readonly flush: number }
  | { readonly kind: 'created'; readonly path: string }
  | { readonly kind: 'unlinked'; readonly path: string }
  | { readonly kind: 'renamed'; readonly from: string; readonly to: string }
  /** Lines that the process wrote down itself: what it began, and what was acknowledged to it. */
  | { readonly kind: 'said'; readonly lines: readonly string[] }

const HEAD_BYTES = 16

export function readRecording(path: string): DiskRecord[] {
  const bytes = readFileSync(path)
  const records: DiskRecord[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at + 4)
    const body = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length)
    const offset = Number(bytes.readBigUInt64LE(at + 8))
    records.push(toRecord(String.fromCharCode(bytes[at]!), offset, body, bytes[at + 1] === 1))
    at += HEAD_BYTES + length
  }
  return records
}

function toRecord(kind: string, offset: number, body: Buffer, isDirect: boolean): DiskRecord {
  const text = (): string => body.toString('utf8')
  switch (kind) {
    case 'W':
      return { kind: 'written', offset, bytes: body, isDirect }
    case 'T':
      return { kind: 'truncated', size: offset }
    case 's':
      return { kind: 'flush-begun', flush: offset, path: text() }
    case 'S':
      return { kind: 'flushed', flush: offset }
    case 'C':
      return { kind: 'created', path: text() }
    case 'U':
      return { kind: 'unlinked', path: text() }
    case 'R': {
      const [from, to] = text().split('\0') as [string, string]
      return { kind: 'renamed', from, to }
    }
    case 'A':
      return { kind: 'said', lines: text().trimEnd().split('\n') }
  }
  throw new Error(`a record of kind "${kind}"`)
}
