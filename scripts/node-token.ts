import { nodeTokenIn } from '../firmware-agent/adapters/enrolment.ts'
import { fault, namedText } from './fault.ts'

export type TokenInput = AsyncIterable<Uint8Array | string>

const FLAG = '--token-file'
/** A token has 93 characters. */
const BYTES_MAX = 4096

/** `path` is `-` for the standard input. Throws AppError: unreadable, or not a node's token. */
export async function readNodeToken(path: string, input: TokenInput): Promise<string> {
  const text = (path === '-' ? await textOf(input) : namedText(FLAG, path)).trim()
  if (text === '')
    throw fault('unreadable', `${FLAG}: ${path === '-' ? 'the standard input' : path} is empty`)
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
