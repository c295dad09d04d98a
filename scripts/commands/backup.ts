/** `backup`: a gateway that runs gives its ledger, which is looked at here once more before it is said to be there. */
import { rmSync } from 'node:fs'
import { resolve } from 'node:path'
import { count } from '../../shared/core/count.ts'
import { type BackupManifest, SECRETS_FILE } from '../../shared/protocol/backup-manifest.ts'
import { BackupFile } from '../../shared/runtime/backup-file.ts'
import { openSealed } from '../../shared/runtime/sealed-file.ts'
import { tidied } from '../../shared/runtime/tidied.ts'
import { assertHidden } from '../client/node-carrier.ts'
import { fault, usage } from '../fault.ts'
import { inWords } from '../path-faults.ts'
import { privatePartialOf, writeWholeFrom } from '../whole-file.ts'
import { assertFree, newPassphrase, sayKept } from './ca.ts'
import { type Asked, type AskedHere, type CommandGroup, type Flags, show } from './command-place.ts'
import type { OwnPrograms } from './own-programs.ts'
import { type RestoreFlags, withRestore } from './restore.ts'
import { restoreAll } from './restore-ledger.ts'
import { printable, when } from './streams.ts'
import { PASSPHRASE_FILE } from './typed-input.ts'

type BackupFlags = Flags<'passphraseFile', 'withSecrets' | 'force'>

const OWN = 0o600

export function addBackupCommands(obelisk: CommandGroup, parts: OwnPrograms): void {
  const backup = obelisk
    .asks('backup <file>', write)
    .description('write the ledger of a gateway that runs into a file')
    .option('--with-secrets', 'keys and identities, too, which a passphrase opens')
    .option('--passphrase-file <file>', PASSPHRASE_FILE)
    .option('--force', 'over a file that is there')
  obelisk
    .below(backup)
    .does('check <file>', (asked, file: string) => check(asked, file, parts))
    .description('open and count what is in a backup')
    .option('--json', 'print JSON')
  const restore = obelisk.does('restore <file>', (asked: AskedHere<RestoreFlags>, file: string) =>
    restoreAll(file, asked.flags, asked.streams, parts),
  )
  withRestore(restore).description(
    'give a gateway, which does not run and has no ledger, that of a backup',
  )
}

async function write(asked: Asked<BackupFlags>, file: string): Promise<number> {
  const { gateway, streams, flags } = asked
  if (file === '-') throw usage('a backup is looked at after it was written: name a file')
  assertFree(file, flags.force === true)
  if (flags.withSecrets) assertHidden(gateway)
  const passphrase = flags.withSecrets ? await newPassphrase(flags, streams) : undefined
  const answer = await gateway.open(
    {
      ...{ method: 'POST', path: '/api/backup', accept: 'application/x-tar' },
      body: passphrase === undefined ? {} : { passphrase },
    },
    new AbortController().signal,
  )
  const unmade = privatePartialOf(file)
  const tidy = (): void => rmSync(unmade, { force: true })
  let manifest!: Checked
  const look = async (): Promise<void> => {
    manifest = await checked(unmade, passphrase)
  }
  await tidied(tidy, () =>
    inWords(file, 'changed', () => writeWholeFrom(file, piecesOf(answer), OWN, unmade, look)),
  )
  if (passphrase !== undefined) await sayKept(gateway, manifest.secretsTs!, streams)
  return tell(asked, resolve(file), manifest)
}

async function* piecesOf({ body }: Response): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of body!) yield piece as Uint8Array
  } catch (error) {
    const message = 'the gateway did not send all of it: look at its log, and make another one'
    throw fault('backup-damaged', message, error)
  }
}

type Checked = BackupManifest & { readonly secretsTs?: number }

/** One that does not open is none, and this is the last moment at which that helps. */
async function checked(path: string, passphrase: string | undefined): Promise<Checked> {
  const backup = await BackupFile.open(path)
  try {
    if (passphrase === undefined) return backup.manifest
    const { head } = await openSealed(await backup.read(SECRETS_FILE), passphrase)
    return { ...backup.manifest, secretsTs: head.ts }
  } finally {
    await backup.close()
  }
}

async function check(
  asked: AskedHere,
  file: string,
  { checkBackup }: Pick<OwnPrograms, 'checkBackup'>,
): Promise<number> {
  return tell(asked, file, await inWords(file, 'looked at', () => checkBackup(file)))
}

function tell(asked: AskedHere, file: string, manifest: BackupManifest): number {
  const { ts, ledgerId, seq, records, files } = manifest
  const bytes = Object.values(files).reduce((sum, { bytes }) => sum + bytes, 0)
  const hasKeys = Object.hasOwn(files, SECRETS_FILE)
  const lines = [
    `${file}: the ledger ${ledgerId} as of ${when(ts)}, sound: ${count(records.task ?? 0, 'task')}, ${count(records.result ?? 0, 'result')}, ${count(seq, 'write')} in order, ${bytes} bytes`,
    hasKeys
      ? 'keys and identities are in it, for whoever has the passphrase'
      : 'without keys and identities: those of a secured gateway are in obelisk ca backup, or --with-secrets',
  ]
  return show(asked, { file, ...manifest }, `${lines.map(printable).join('\n')}\n`)
}
