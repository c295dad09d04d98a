/** Packages of npm for other architectures than this one: as package-lock.json has them, or not at all. */

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { own } from '../../shared/core/own.ts'
import { CHECKOUT } from './checkout.ts'
import { PackagingError } from './packaging-error.ts'
import { readTarFile } from './tar.ts'

/** What was fetched or compiled, by what it was made of: `npm ci` takes all of node_modules away. */
export const CACHE = join(homedir(), '.cache/obelisk-package')

interface Locked {
  readonly version: string
  readonly integrity: string
}

/** One file of a package that the lock file names, installed here or not. */
export function readNpmFile(name: string, path: string): Buffer {
  const installed = join(CHECKOUT, 'node_modules', name)
  const { version, integrity } = lockedOf(name)
  if (existsSync(join(installed, path)) && versionIn(installed) === version) {
    return readFileSync(join(installed, path))
  }
  const archive = join(CACHE, `${name.replaceAll('/', '+')}-${version}.tgz`)
  if (!existsSync(archive)) download(name, version, archive)
  const bytes = readFileSync(archive)
  if (!isIntact(bytes, integrity)) {
    rmSync(archive)
    throw new PackagingError(`${name}@${version} is not what package-lock.json says: ${integrity}`)
  }
  const file = readTarFile(gunzipSync(bytes), `package/${path}`)
  if (file === undefined) throw new PackagingError(`${name}@${version} has no ${path}`)
  return file
}

export function lockedOf(name: string): Locked {
  const lock = JSON.parse(readFileSync(join(CHECKOUT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Partial<Locked>>
  }
  const { version, integrity } = own(lock.packages, `node_modules/${name}`) ?? {}
  if (version === undefined || integrity === undefined) {
    throw new PackagingError(`package-lock.json does not say what ${name} is`)
  }
  return { version, integrity }
}

function versionIn(directory: string): string | undefined {
  const text = readFileSync(join(directory, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version?: string }).version
}

/** The whole file or none, for several may ask for it at once. */
function download(name: string, version: string, archive: string): void {
  mkdirSync(CACHE, { recursive: true })
  const directory = mkdtempSync(join(CACHE, 'download-'))
  try {
    const { status, stdout, stderr, error } = spawnSync(
      'npm',
      ['pack', `${name}@${version}`, '--json', '--pack-destination', directory],
      { cwd: CHECKOUT, encoding: 'utf8' },
    )
    if (status !== 0) {
      throw new PackagingError(`npm pack ${name}@${version}: ${error?.message ?? reasonOf(stderr)}`)
    }
    const [{ filename }] = JSON.parse(stdout) as [{ filename: string }]
    renameSync(join(directory, filename.replaceAll('/', '-').replace('@', '')), archive)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** What npm complains of, without where its log is. */
function reasonOf(stderr: string): string {
  const lines = [...stderr.matchAll(/^npm (?:error|ERR!) (?!code|syscall|errno)(.+)$/gm)]
  const told = lines.map(([, line]) => line!).filter((line) => !line.startsWith('A complete log'))
  return told.slice(0, 2).join(' ') || stderr.trim()
}

/** By Subresource Integrity: the algorithm, a dash, base64; several are separated by spaces. */
function isIntact(bytes: Uint8Array, integrity: string): boolean {
  const known = integrity.split(/\s+/).filter((one) => one.startsWith('sha512-'))
  const digest = createHash('sha512').update(bytes).digest('base64')
  return known.length > 0 && known.every((one) => one === `sha512-${digest}`)
}
