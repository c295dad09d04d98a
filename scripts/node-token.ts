/** The token for a board, as a person hands it on: in a file, or through a pipe. */
import { readFileSync } from 'node:fs'
import { nodeTokenIn } from '../firmware-agent/adapters/enrolment.ts'
import { AppError, EXIT_UNREADABLE, messageOf } from '../shared/runtime/errors.ts'

export type TokenInput = AsyncIterable<Uint8Array | string>

const FLAG = '--token-file'
/** A token has 93 characters. */
const BYTES_MAX = 4096

/** `path` is `-` for the standard input. Throws AppError: unreadable, or not a node's token. */
export async function readNodeToken(path: string, input: TokenInput): Promise<string> {
  const text = (path === '-' ? await textOf(input) : fileText(path)).trim()
  if (text === '') throw unreadable(`${path === '-' ? 'the standard input' : path} is empty`)
  nodeTokenIn(text)
  return text
}

async function textOf(input: TokenInput): Promise<string> {
  let text = ''
  for await (const chunk of input) {
    text += Buffer.from(chunk).toString()
    if (text.length > BYTES_MAX) break
  }
  return text
}

function fileText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw unreadable(messageOf(error), error)
  }
}

function unreadable(message: string, cause?: unknown): AppError {
  return new AppError('unreadable', `${FLAG}: ${message}`, { cause, exitCode: EXIT_UNREADABLE })
}
