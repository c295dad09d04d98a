/**
 * The keys of a secured gateway on this machine. To make them takes as long as to start it: they are kept in
 * `.tap/keys/` for all processes and runs until a source changes. Of the gateways of one process that are there at the
 * same time, no two have the same.
 */
import { cpSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { putInPlace, stateOfSources } from './packaged-programs.ts'
import { type Fleet, within } from './processes.ts'

const FOLDER = fileURLToPath(new URL(`../../.tap/keys/${stateOfSources()}`, import.meta.url))

/** Whose those of each number are. */
const owners: Fleet[] = []

/** Runs `gateway secure` in the directory of the data, or does what it would. */
export async function putKeys(fleet: Fleet, data: string): Promise<void> {
  const free = owners.findIndex(({ hasEnded }) => hasEnded)
  const number = free === -1 ? owners.length : free
  owners[number] = fleet
  const [kept, security] = [join(FOLDER, `${number}`), join(data, 'security')]
  if (existsSync(kept)) {
    mkdirSync(data, { recursive: true })
    cpSync(kept, security, { recursive: true })
    return
  }
  const made = fleet.start(['gateway', 'secure', '--host', '127.0.0.1', '--data', data])
  const { code } = await within('its keys', made.exited)
  if (code !== 0) throw new Error(`gateway secure: ${made.stderr}`)
  const own = `${kept}.${process.pid}`
  cpSync(security, own, { recursive: true })
  putInPlace(own, kept)
}
