/** What a command is given in a file, or on its standard input. */
import { readFile } from 'node:fs/promises'
import { faultOf } from '../path-faults.ts'
import type { Streams } from './streams.ts'

/** Of `-`, the standard input. */
export async function inputOf(path: string, streams: Streams): Promise<Buffer> {
  try {
    if (path !== '-') return await readFile(path)
    const chunks: Buffer[] = []
    for await (const chunk of streams.stdin) chunks.push(Buffer.from(chunk))
    return Buffer.concat(chunks)
  } catch (error) {
    throw faultOf(error, path, 'looked at')
  }
}
