/** `restore`: says what a copy of the ledger cannot know, and what a person does next. */
import type { BackupNames } from '../../broker/core/backup.ts'
import type { RestoredLedger } from '../../broker/restore-ledger.ts'
import { count } from '../../shared/core/count.ts'
import { CONFIGURATION_FILE } from '../../shared/protocol/backup-manifest.ts'
import { usage } from '../fault.ts'
import { placesOf } from '../install/places.ts'
import { faultOf, inWords } from '../path-faults.ts'
import { show } from './command-place.ts'
import type { OwnPrograms } from './own-programs.ts'
import { assertClear, linesOf, type RestoreFlags, revokedSince, some, startOf } from './restore.ts'
import { configure, placeOfGateway } from './secure.ts'
import { printable, type Streams, span, when } from './streams.ts'
import { passphraseOf } from './typed-input.ts'

export async function restoreAll(
  file: string,
  flags: RestoreFlags,
  streams: Streams,
  { restoreLedger }: Pick<OwnPrograms, 'restoreLedger'>,
): Promise<number> {
  if (file === '-') throw usage('a backup is looked at before it is restored: name a file')
  assertClear(file, flags)
  const place = placeOfGateway(flags.data)
  const nowTs = Date.now()
  const order = {
    ...{ data: place.data, file, nowTs },
    passphrase: () => passphraseOf(flags, streams, { isNew: false }),
    revoked: (found: BackupNames, ts: number) => revokedSince(ts, found, flags, streams),
  }
  const restored = await restoreLedger(order).catch((error) => {
    const isFile = error.path === file
    throw faultOf(error, isFile ? file : place.data, isFile ? 'looked at' : 'changed')
  })
  if (place.isService && restored.keys !== undefined) {
    inWords(place.data, 'changed', () => configure(placesOf('gateway').configuration, flags))
  }
  const told = { file, nowTs, place, start: startOf(place, flags, streams) }
  return show({ streams, flags }, restored, textOf(restored, told))
}

/** What is not to be found out later, with all boards refused, or one let in. */
function keysLeft(hadKeys: boolean): string {
  return hadKeys
    ? 'the keys and identities that were there stay as they are, and nobody was revoked by this: obelisk node revoke does that'
    : 'keys and identities are not in it: if the gateway was secured, obelisk ca restore <keys> comes before the start'
}

/** Of a backup that has none there is nothing to say. */
function configurationLines({ manifest }: RestoredLedger, { file, place }: Told): string[] {
  if (manifest.files[CONFIGURATION_FILE] === undefined) return []
  const shown = `tar -xOf ${printable(file)} ${CONFIGURATION_FILE}`
  const use = place.isService
    ? `what ${placesOf('gateway').configuration} lacks of it is to be put there before the start`
    : 'to go on with it, write that into a file, and start with --config and its name'
  return [
    `the gateway's configuration is in the backup, and is not put back: ${shown} shows it`,
    use,
  ]
}

interface Told {
  readonly file: string
  readonly nowTs: number
  readonly place: ReturnType<typeof placeOfGateway>
  readonly start: string
}

function textOf(restored: RestoredLedger, told: Told): string {
  const { manifest, nodes, failed, keys, hadKeys } = restored
  const { ts, records, seq } = manifest
  return [
    `the ledger as of ${when(ts)}, ${span(told.nowTs - ts)} ago: ${count(records.task ?? 0, 'task')}, ${count(failed, 'task')} of them not ended, which have failed with "restored"`,
    `unknown is what came after that, and after write ${seq}, until the gateway ended: tasks accepted then are not known, and their ids would run again`,
    'a write of then is there if some board has it on disk; the gateway says how many may be, with "recovered"',
    ...(keys === undefined ? [keysLeft(hadKeys)] : ['', ...linesOf(keys)]),
    ...configurationLines(restored, told),
    '',
    `start it:   ${told.start}`,
    `it waits for ${count(nodes.length, 'node')}: ${some(nodes)}`,
    'if one of them will never come: obelisk gateway recover --nodes <n>, with the number of those that are left',
    'tiles that no board shows then are refused with "tile-missing", also those that were never written, as nobody can tell:',
    'once all boards that will come are back, obelisk ring recreate lets these begin as zeros, and gives up what only others have of them',
    '',
  ].join('\n')
}
