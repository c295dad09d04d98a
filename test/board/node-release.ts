/** Node as nodejs.org releases it, by way of npm: one file that needs the libraries of C and C++ alone. */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { cacheDirectory, run } from './debian-tree.ts'

const VERSION = '20.20.2'

/** The program; fetched once. */
export function nodeRelease(architecture: 'x64' | 'arm64'): string {
  const path = join(cacheDirectory(), `node-v${VERSION}-linux-${architecture}`)
  if (existsSync(path)) return path
  const making = `${path}.making`
  rmSync(making, { recursive: true, force: true })
  mkdirSync(making, { recursive: true })
  const name = `node-linux-${architecture}`
  run('npm', ['pack', `${name}@${VERSION}`, '--pack-destination', making])
  run('tar', ['-xf', join(making, `${name}-${VERSION}.tgz`), '-C', making, 'package/bin/node'])
  renameSync(join(making, 'package/bin/node'), path)
  rmSync(making, { recursive: true })
  return path
}
