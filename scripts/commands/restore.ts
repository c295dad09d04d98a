/** `ca restore`: asks what a backup cannot know, and says what a person does next. */
import { createReadStream } from 'node:fs'
import type { Command } from 'commander'
import type { BackupNames } from '../../broker/core/backup.ts'
import type { Restored } from '../../broker/restore.ts'
import { count } from '../../shared/core/count.ts'
import { formatHead } from '../../shared/protocol/security-log.ts'
import { headOf } from '../../shared/runtime/sealed-file.ts'
import { fault, usage } from '../fault.ts'
import { placesOf } from '../install/places.ts'
import { inWords } from '../path-faults.ts'
import { type Flags, show } from './command-place.ts'
import { interruptible } from './interruption.ts'
import type { OwnPrograms } from './own-programs.ts'
import { assertHosts, configure, placeOfGateway } from './secure.ts'
import { calledAs, printable, type Streams, span, when } from './streams.ts'
import { ask, isTyped, PASSPHRASE_FILE, passphraseOf } from './typed-input.ts'

export type RestoreFlags = Flags<'passphraseFile' | 'host' | 'data', 'noneRevoked' | 'json'> & {
  readonly revoke?: readonly string[]
}

/** One of 100,000 nodes has a fifth of it. */
const BYTES_MAX = 256 * 1024 * 1024
const NAMES_SHOWN = 20

export async function restore(
  file: string,
  flags: RestoreFlags,
  streams: Streams,
  restoreFleet: OwnPrograms['restore'],
): Promise<number> {
  assertClear(file, flags)
  const { data, isService } = placeOfGateway(flags.data)
  const backup = await bytesOf(file, streams)
  // Before anybody is asked for a passphrase.
  headOf(backup)
  const order = {
    ...{ data, backup },
    passphrase: () => passphraseOf(flags, streams, { isNew: false }),
    revoked: (found: BackupNames, ts: number) => revokedSince(ts, found, flags, streams),
  }
  const restored = await inWords(data, 'changed', () => restoreFleet(order))
  if (isService) configure(placesOf('gateway').configuration, flags)
  const start = startOf({ data, isService }, flags, streams)
  return show({ streams, flags }, restored, textOf(restored, start))
}

/** The options of both. */
export function withRestore(command: Command): Command {
  return command
    .option('--passphrase-file <file>', PASSPHRASE_FILE)
    .option('--revoke <names>', 'who lost his right since: n3,user/ann,recipient/bob', namesIn)
    .option('--none-revoked', 'nobody did')
    .option('--host <address>', 'where the gateway is to listen: 0.0.0.0 for everywhere')
    .option('--data <directory>', 'of a gateway that is no service of this machine')
    .option('--json', 'print JSON')
}

export function startOf(
  { data, isService }: ReturnType<typeof placeOfGateway>,
  { host }: Pick<RestoreFlags, 'host'>,
  streams: Streams,
): string {
  if (isService) return `sudo systemctl start ${placesOf('gateway').unit}`
  return `${calledAs(streams)} gateway --data ${data}${host === undefined ? '' : ` --host ${host}`}`
}

/** What is so, without what is to be done next. */
export function linesOf({ ts, pin, nodes, users, recipients, revoked, log }: Restored): string[] {
  const out = revoked.length === 0 ? '' : `; ${revoked.join(', ')} stay out`
  return [
    `restored as of ${when(ts)}: ${count(nodes, 'node')}, ${count(users, 'user')} and ${count(recipients, 'recipient')}${out}`,
    `pin: ${pin}`,
    'no token is worth anything any more: those of boards and of users are to be made anew',
    `the security log begins anew; that of before ended with ${formatHead(log)}`,
    'a key that was replaced after that is good again, and the new one is unknown: a board with another key needs a token, with --replace, which puts the old key out',
  ]
}

function textOf(restored: Restored, start: string): string {
  return [
    ...linesOf(restored),
    '',
    `start it:   ${start}`,
    'where its ledger is lost, too: obelisk restore, or obelisk gateway recover --nodes <n>, see docs/operations.md',
    'boards come back by themselves under the same name or address; those that are newer than the backup need a token each',
    '',
  ].join('\n')
}

export function assertClear(file: string, flags: RestoreFlags): void {
  const { revoke, noneRevoked, passphraseFile, host } = flags
  assertHosts({ '--host': host })
  if (revoke !== undefined && noneRevoked === true) {
    throw usage('--revoke and --none-revoked: say one of them')
  }
  if (file === '-' && passphraseFile === '-') {
    throw usage('the backup and the passphrase cannot both be the standard input')
  }
}

/** What came later nobody but a person knows: without a word of his, nothing is restored. */
export async function revokedSince(
  ts: number,
  { nodes, users, recipients }: BackupNames,
  { revoke, noneRevoked }: RestoreFlags,
  streams: Streams,
): Promise<readonly string[]> {
  if (revoke !== undefined) return revoke
  if (noneRevoked === true) return []
  const since = when(ts)
  if (!isTyped(streams)) {
    throw usage(
      `the backup is of ${since}: say who was revoked since then, with --revoke n3,user/ann,recipient/bob, or --none-revoked`,
    )
  }
  streams.stderr.write(
    [
      `the backup is of ${since}, ${span(Date.now() - ts)} ago, and has`,
      `  ${count(nodes.length, 'node')}: ${some(nodes)}`,
      `  ${count(users.length, 'user')}: ${some(users)}`,
      `  ${count(recipients.length, 'recipient')}: ${some(recipients)}`,
      'Of what was taken away later it knows nothing: a node that was revoked since then, or whose key was',
      'replaced, and a user who was removed, lost a role or got another password, would be let in as before; and',
      'results would be sealed again to a recipient who was removed.',
      '',
    ].join('\n'),
  )
  const question = `who lost his right since ${since}? (n3,user/ann,recipient/bob; none if nobody did) `
  const line = await interruptible('nothing is restored', (signal) =>
    ask(question, streams, signal, { isNeeded: true }),
  )
  if (line === '') throw usage('nothing is restored: nobody said who was revoked since')
  return line === 'none' ? [] : namesIn(line)
}

/** `n3,user/ann`, with commas or blanks between them; an option that comes again adds to what was before. */
export function namesIn(text: string, before: readonly string[] = []): string[] {
  return [...before, ...text.split(/[,\s]+/).filter((name) => name !== '')]
}

/** The first of them. */
export function some(names: readonly string[]): string {
  const shown = names.slice(0, NAMES_SHOWN).map(printable).join(', ')
  return names.length > NAMES_SHOWN ? `${shown} and ${names.length - NAMES_SHOWN} more` : shown
}

/** Of `-`, the standard input. */
async function bytesOf(path: string, { stdin }: Streams): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  const read = async (): Promise<void> => {
    for await (const chunk of path === '-' ? stdin : createReadStream(path)) {
      chunks.push(Buffer.from(chunk))
      bytes += chunk.length
      if (bytes > BYTES_MAX) return
    }
  }
  await inWords(path, 'looked at', read)
  if (bytes <= BYTES_MAX) return Buffer.concat(chunks)
  const what = path === '-' ? 'the standard input' : path
  const message = `${what} has more than ${BYTES_MAX / 2 ** 20} MiB: this is no backup of the keys of a gateway`
  throw fault('backup-malformed', message)
}
