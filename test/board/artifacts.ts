/** The packages that `npm run package` has made. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { DebianArchitecture } from './debian-tree.ts'

const DIRECTORY = new URL('../../packages/', import.meta.url).pathname

export function artifact(
  role: 'agent' | 'gateway',
  kind: 'deb' | 'tar.gz',
  architecture: DebianArchitecture = 'amd64',
): string {
  const names = readdirSync(DIRECTORY).filter((name) => {
    return name.startsWith(`obelisk-${role}`) && name.endsWith(`${architecture}.${kind}`)
  })
  if (names.length !== 1)
    throw new Error(
      `${DIRECTORY} has ${names.length} such packages: ${role} ${architecture} ${kind}`,
    )
  return join(DIRECTORY, names[0]!)
}
