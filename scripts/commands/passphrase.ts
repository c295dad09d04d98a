/** The passphrase of a backup: typed, or from a file. */
import { readFileSync } from 'node:fs'
import { PASSPHRASE_BYTES_MIN } from '../../shared/runtime/sealed-file.ts'
import { faultOf } from '../path-faults.ts'
import { isTyped, secretLine } from './secret-input.ts'
import type { Streams } from './streams.ts'
import { usage } from './task-request.ts'

const NEW = `a passphrase for it, of ${PASSPHRASE_BYTES_MIN} bytes at least: `

export async function passphraseOf(
  { passphraseFile }: { readonly passphraseFile?: string },
  streams: Streams,
  { isNew }: { readonly isNew: boolean },
): Promise<string> {
  if (passphraseFile === '-') return await lineOf(streams, '')
  if (passphraseFile !== undefined) return fileLine(passphraseFile)
  if (!isTyped(streams)) {
    throw usage('--passphrase-file: say where the passphrase is, for there is no terminal')
  }
  const first = await lineOf(streams, isNew ? NEW : 'its passphrase: ')
  if (!isNew || first === (await lineOf(streams, 'again: '))) return first
  throw usage('that was not the same passphrase twice')
}

async function lineOf(streams: Streams, question: string): Promise<string> {
  const line = await secretLine(streams, question)
  if (line !== undefined) return line
  throw usage('there is no passphrase: type one, or give it with --passphrase-file')
}

function fileLine(path: string): string {
  try {
    return readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    throw faultOf(error, path, 'looked at')
  }
}
