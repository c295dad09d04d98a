/** The authority of a secured fleet: a look at it, its certificate, and a backup of what cannot be made anew. */
import { accessSync, constants, lstatSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { AuthorityView } from '../../broker/adapters/http-port.ts'
import type { GatewayClient } from '../../shared/client/http.ts'
import { EXIT_DONE, messageOf } from '../../shared/runtime/errors.ts'
import { type Derive, openSealed, passphraseFault } from '../../shared/runtime/sealed-file.ts'
import { assertHidden } from '../client/node-carrier.ts'
import { fault, usage } from '../fault.ts'
import { faultOf, inWords } from '../path-faults.ts'
import { privatePartialOf, writeWhole } from '../whole-file.ts'
import { type Asked, type AskedHere, type CommandGroup, type Flags, show } from './command-place.ts'
import type { OwnPrograms } from './own-programs.ts'
import { type RestoreFlags, restore, withRestore } from './restore.ts'
import { day, printable, type Row, rowLines, type Streams, when } from './streams.ts'
import { PASSPHRASE_FILE, passphraseOf } from './typed-input.ts'

type BackupFlags = Flags<'passphraseFile', 'force'>

const PRIVATE = 0o600
/** The key is made from the passphrase at a price. */
const TIMEOUT_MS = 120_000

export function addCaCommands(
  obelisk: CommandGroup,
  { restore: restoreFleet }: Pick<OwnPrograms, 'restore'>,
): void {
  const ca = obelisk.group('ca', "the fleet's authority, and a backup of its keys and identities")
  ca.asks('show', showAuthority).description(
    'show its pin, the certificates of the gateway, and when the last backup was kept',
  )
  ca.asks('export', exportCertificate).description(
    'print its certificate, for clients that are to trust it',
  )
  ca.asks('backup <file>', backup)
    .description('write keys and identities into a file that a passphrase opens; - prints it')
    .option('--passphrase-file <file>', PASSPHRASE_FILE)
    .option('--force', 'over a file that is there')
  const give = ca.does('restore <file>', (asked: AskedHere<RestoreFlags>, file: string) =>
    restore(file, asked.flags, asked.streams, restoreFleet),
  )
  withRestore(give).description(
    'give a new gateway, which does not run, the keys and identities of a backup',
  )
}

async function showAuthority(asked: Asked): Promise<number> {
  const view = await asked.gateway.json<AuthorityView>({ path: '/api/security/ca' })
  const bounds = (fromTs: number, untilTs: number): string => `${day(fromTs)} to ${day(untilTs)}`
  const rows: readonly Row[] = [
    ['pin', view.pin],
    ['authority', `${view.subject}, ${bounds(view.fromTs, view.untilTs)}`],
    ...view.leaves.map(
      ({ of, names, fromTs, untilTs }) =>
        [`for ${of}`, `${names.join(', ')}, ${bounds(fromTs, untilTs)}`] as const,
    ),
    ['backup', view.backupTs === undefined ? 'none: obelisk ca backup' : when(view.backupTs)],
  ]
  return show(asked, view, rowLines(12, rows))
}

async function exportCertificate(asked: Asked): Promise<number> {
  const certificate = await asked.gateway.text({ path: '/ca.crt' })
  return show(asked, { certificate }, certificate)
}

export async function backup(
  { gateway, streams, flags }: Asked<BackupFlags>,
  file: string,
  derive?: Derive,
): Promise<number> {
  const isPiped = file === '-'
  if (isPiped && streams.stdout.isTTY) {
    throw usage('a backup is no text: send it somewhere, or name a file')
  }
  if (!isPiped) assertFree(file, flags.force === true)
  assertHidden(gateway)
  const passphrase = await newPassphrase(flags, streams)
  const { body } = await gateway.request({
    method: 'POST',
    path: '/api/security/backup',
    body: { passphrase },
    timeoutMs: TIMEOUT_MS,
  })
  // One that does not open is none, and this is the last moment at which that helps.
  const { head } = await openSealed(body, passphrase, derive)
  if (isPiped) streams.stdout.write(body)
  else inWords(file, 'changed', () => writeWhole(file, body, PRIVATE, privatePartialOf(file)))
  await sayKept(gateway, head.ts, streams)
  const said = flags.json
    ? JSON.stringify({ ...(isPiped ? {} : { file: resolve(file) }), bytes: body.length, ...head })
    : `keys and identities of the fleet with pin ${head.pin}: ${body.length} bytes, and nobody reads them without the passphrase\nkeep both away from this machine, and from each other`
  const out = isPiped ? streams.stderr : streams.stdout
  out.write(`${said}\n`)
  return EXIT_DONE
}

/** Until then the gateway counts none: a disk may be full, and a command killed. The backup is there in any case. */
export async function sayKept(
  gateway: Pick<GatewayClient, 'request'>,
  ts: number,
  streams: Streams,
): Promise<void> {
  try {
    await gateway.request({
      method: 'POST',
      path: '/api/security/backup/kept',
      body: { ts },
    })
  } catch (error) {
    const why = printable(messageOf(error))
    streams.stderr.write(`the backup is there, but the gateway does not know that: ${why}\n`)
  }
}

/** Before anybody is asked for a passphrase, and the gateway says that it gave a backup. */
export function assertFree(path: string, isForced: boolean): void {
  const folder = dirname(resolve(path))
  try {
    accessSync(folder, constants.W_OK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw faultOf(error, folder, 'changed')
    throw fault('unreadable', `there is no directory ${folder}`, error)
  }
  const found = inWords(path, 'looked at', () => lstatSync(path, { throwIfNoEntry: false }))
  if (found === undefined || (isForced && found.isFile())) return
  if (!found.isFile()) {
    const message = `${path} is a directory, a link or a device, and no file: name another one, or - for the standard output`
    throw fault('not-a-file', message)
  }
  const message = `${path} is there already: name another file, or say --force`
  throw fault('file-exists', message)
}

export async function newPassphrase(
  flags: Pick<BackupFlags, 'passphraseFile'>,
  streams: Streams,
): Promise<string> {
  const passphrase = await passphraseOf(flags, streams, { isNew: true })
  const fault = passphraseFault(passphrase)
  if (fault !== undefined) throw usage(fault)
  return passphrase
}
