/** Where the programs lie that `obelisk` starts: in an installed tree, or in the one beside it. */
import { existsSync } from 'node:fs'
import { fault } from '../fault.ts'

const PACKAGED: readonly string[] = ['gateway', 'agent']

export function isProgram(name: string): boolean {
  return PACKAGED.includes(name) || name === 'demo'
}

/** What `obelisk.mjs`, which this file is bundled into, imports. */
export function programPath(name: string): string {
  if (!PACKAGED.includes(name)) {
    throw fault('not-installed', `the ${name} is only in a checkout: run npm start there`)
  }
  const places = [`./${name}.mjs`, `../obelisk-${name}/${name}.mjs`]
  const path = places.find((place) => existsSync(new URL(place, import.meta.url)))
  if (path !== undefined) return path
  const message = `the ${name} is not on this machine: install the package obelisk-${name}`
  throw fault('not-installed', message)
}
