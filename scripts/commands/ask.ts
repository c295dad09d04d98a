/** A question before something is lost for good. */
import { createInterface } from 'node:readline/promises'
import { Readable } from 'node:stream'
import type { Streams } from './streams.ts'

/** The line that is typed, without blanks around it; an empty one if the input ends. */
export async function ask(
  question: string,
  streams: Streams,
  signal: AbortSignal,
): Promise<string> {
  streams.stderr.write(question)
  const input = Readable.from(streams.stdin)
  // It may be ended while we ask.
  input.on('error', () => {})
  const lines = createInterface({ input, signal })
  for await (const line of lines) return line.trim()
  signal.throwIfAborted()
  return ''
}
