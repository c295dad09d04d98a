/** When the last backup of a gateway's keys that was kept was made: in a file beside them, for the doctor looks at a gateway that is down, too. */
import { join } from 'node:path'
import { readPrivate, replacePrivate } from './private-folder.ts'

const NAME = 'last-backup.json'

/** Unix ms; nothing if there was none, or nobody can tell. */
export function lastBackupTs(folder: string): number | undefined {
  const match = /^\{"ts":(\d{1,15})\}\n$/.exec(textIn(folder) ?? '')
  return match === null ? undefined : Number(match[1])
}

function textIn(folder: string): string | undefined {
  try {
    return readPrivate(join(folder, NAME))
  } catch {
    // It is no secret, and not worth an error: whoever can write it could say anything.
    return undefined
  }
}

/** On disk when it returns. */
export function keepLastBackup(folder: string, ts: number): void {
  replacePrivate(folder, NAME, `${JSON.stringify({ ts })}\n`)
}
