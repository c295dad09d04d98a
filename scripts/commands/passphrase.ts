/** What somebody types, or has in a file: the passphrase of a backup, the password of a user. */
import { PASSPHRASE_BYTES_MIN } from '../../shared/runtime/sealed-file.ts'
import { usage } from '../fault.ts'
import { textIn } from '../path-faults.ts'
import { isTyped, secretLine } from './secret-input.ts'
import type { Streams } from './streams.ts'

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
