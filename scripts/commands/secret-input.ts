/** Secrets that are typed, or come through a pipe. */
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { fault } from '../fault.ts'
import type { Streams } from './streams.ts'

export function isTyped({ stdin }: Streams): boolean {
  return (stdin as { readonly isTTY?: boolean }).isTTY === true
}

/** A line that is not shown while it is typed; nothing if there is none. */
export async function secretLine(streams: Streams, question: string): Promise<string | undefined> {
  streams.stderr.write(question)
  const input = streams.stdin as NodeJS.ReadStream
  const nowhere = new Writable({ write: (_chunk, _encoding, written) => written() })
  const lines = createInterface({ input, output: nowhere, terminal: input.isTTY === true })
  // A terminal that shows nothing gives no signal for Ctrl-C, only the character.
  let isInterrupted = false
  lines.once('SIGINT', () => {
    isInterrupted = true
    lines.close()
  })
  try {
    for await (const line of lines) return line
  } finally {
    lines.close()
    if (question !== '') streams.stderr.write('\n')
  }
  if (!isInterrupted) return undefined
  throw fault('interrupted', 'nothing was typed')
}
