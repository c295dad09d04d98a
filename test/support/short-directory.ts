import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The address of a socket holds a path of 107 bytes (unix(7)); some are for the names in the directory. */
const PATH_BYTES_MAX = 60

/** A new directory that may hold sockets, wherever the checkout and `TMPDIR` are. */
export function shortDirectory(): string {
  const path = join(tmpdir(), 'obelisk-test-')
  return mkdtempSync(Buffer.byteLength(path) < PATH_BYTES_MAX ? path : '/tmp/obelisk-test-')
}
