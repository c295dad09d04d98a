/** What a person types, or gives in a file or through a pipe: answers, secrets, and what a command works on. */
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { PASSPHRASE_BYTES_MIN } from '../../shared/runtime/sealed-file.ts'
import { fault, usage } from '../fault.ts'
import { inWords, textIn } from '../path-faults.ts'
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

const NEW = `a passphrase for it, of ${PASSPHRASE_BYTES_MIN} bytes at least: `

export const PASSPHRASE_FILE = 'where the passphrase is; - is the standard input'

export async function passphraseOf(
  { passphraseFile: file }: { readonly passphraseFile?: string },
  streams: Streams,
  { isNew }: { readonly isNew: boolean },
): Promise<string> {
  if (file === undefined && !isTyped(streams)) {
    throw usage('--passphrase-file: say where the passphrase is, for there is no terminal')
  }
  return await typedOr(file, streams, {
    ...{ noun: 'passphrase', isNew },
    question: isNew ? NEW : 'its passphrase: ',
  })
}

interface Typed {
  readonly noun: string
  readonly question: string
  /** Asked for twice. */
  readonly isNew: boolean
}

/** Of a file, whose `-` is the standard input; without one it is asked for. */
export async function typedOr(
  file: string | undefined,
  streams: Streams,
  { noun, question, isNew }: Typed,
): Promise<string> {
  if (file !== undefined && file !== '-') return textIn(file).replace(/\r?\n$/, '')
  const lineOf = async (asked: string): Promise<string> => {
    const line = await secretLine(streams, asked)
    if (line !== undefined) return line
    throw usage(`there is no ${noun}: type one, or give it with --${noun}-file`)
  }
  if (file !== undefined || !isTyped(streams)) return await lineOf('')
  const first = await lineOf(question)
  if (!isNew || first === (await lineOf('again: '))) return first
  throw usage(`that was not the same ${noun} twice`)
}

/** Of `-`, the standard input. */
export async function inputOf(path: string, { stdin }: Streams): Promise<Buffer> {
  return await inWords(path, 'looked at', () => (path === '-' ? buffer(stdin) : readFile(path)))
}
