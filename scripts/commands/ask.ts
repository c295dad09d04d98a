/** A question before something is lost for good. */
import { createInterface } from 'node:readline/promises'
import type { Streams } from './streams.ts'

/** The line that is typed, without blanks around it; an empty one if the input ends. Empty ones may be no answer. */
export async function ask(
  question: string,
  streams: Streams,
  signal: AbortSignal,
  { isNeeded = false }: { readonly isNeeded?: boolean } = {},
): Promise<string> {
  streams.stderr.write(question)
  // Itself: what is wrapped around it would fail when the program closes it at its end.
  const input = streams.stdin as NodeJS.ReadStream
  const lines = createInterface({ input, terminal: false, signal })
  try {
    for await (const line of lines) {
      if (!isNeeded || line.trim() !== '') return line.trim()
    }
  } finally {
    lines.close()
  }
  signal.throwIfAborted()
  return ''
}
