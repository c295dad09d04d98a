/** The file that an image is made in: it may be new, or take the place of a file, and of nothing else. */
import type { Stats } from 'node:fs'
import { lstat, realpath, stat } from 'node:fs/promises'
import { usage } from '../fault.ts'

/** Its own path. `inputs` are the files that the image is made of, by the flag that names each. Throws AppError. */
export async function outputFile(
  named: string,
  inputs: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  if (named === '') throw usage('--output: the name is empty')
  // Where a link leads: the link itself stays.
  const path = await realpath(named).catch(() => named)
  for (const place of [path, partialOf(path)]) {
    // Whatever else keeps it from being looked at is told when it is opened.
    const facts = await lstat(place).catch(() => undefined)
    if (facts === undefined) continue
    const kind = problemOf(facts) ?? (await inputProblem(facts, inputs))
    if (kind === undefined) continue
    const shown = place === path ? named : `${place}, which is written first,`
    throw usage(`--output: ${shown} ${kind}`)
  }
  return path
}

/** Where it is made, until it is whole. */
export function partialOf(path: string): string {
  return `${path}.partial`
}

function problemOf(facts: Stats): string | undefined {
  if (facts.isFile()) return undefined
  if (facts.isDirectory()) return 'is a directory; name a file in it'
  if (facts.isBlockDevice() || facts.isCharacterDevice()) {
    return 'is a device; a card is named with --device'
  }
  return facts.isSymbolicLink() ? 'is a link that leads to no file' : 'is not a file'
}

async function inputProblem(
  { dev, ino }: Stats,
  inputs: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  for (const [flag, path] of Object.entries(inputs)) {
    if (path === undefined) continue
    const input = await stat(path).catch(() => undefined)
    if (input?.dev === dev && input.ino === ino) return `is the file of ${flag} itself`
  }
  return undefined
}
