/** What a command is given in a file, or on its standard input. */
import { readFile } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { inWords } from '../path-faults.ts'
import type { Streams } from './streams.ts'

/** Of `-`, the standard input. */
export async function inputOf(path: string, { stdin }: Streams): Promise<Buffer> {
  return await inWords(path, 'looked at', () => (path === '-' ? buffer(stdin) : readFile(path)))
}
