/**
 * The keys of a secured gateway on this machine. To make them takes as long as to start it: those of one whose test is
 * over are used again, and no two that are there at the same time have the same.
 */
import { cpSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeTheEnd, type Fleet, within } from './processes.ts'
import { shortDirectory } from './short-directory.ts'

const kept: { readonly folder: string; fleet: Fleet }[] = []
let directory: string | undefined

/** Runs `gateway secure` in the directory of the data, or does what it would. */
export async function putKeys(fleet: Fleet, data: string): Promise<void> {
  const free = kept.find((keys) => keys.fleet.hasEnded)
  if (free !== undefined) {
    free.fleet = fleet
    mkdirSync(data, { recursive: true })
    cpSync(free.folder, join(data, 'security'), { recursive: true })
    return
  }
  const made = fleet.start(['gateway', 'secure', '--host', '127.0.0.1', '--data', data])
  const { code } = await within('its keys', made.exited)
  if (code !== 0) throw new Error(`gateway secure: ${made.stderr}`)
  const folder = join(keptDirectory(), `${kept.length}`)
  cpSync(join(data, 'security'), folder, { recursive: true })
  kept.push({ folder, fleet })
}

function keptDirectory(): string {
  if (directory === undefined) {
    const made = shortDirectory()
    beforeTheEnd(() => rmSync(made, { recursive: true, force: true }))
    directory = made
  }
  return directory
}
