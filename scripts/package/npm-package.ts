/** Packages of npm for other architectures than this one: as package-lock.json has them, or not at all. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { own } from '../../shared/core/own.ts'
import { startFailure } from '../install/system-programs.ts'
import { CHECKOUT } from './checkout.ts'
import { PackagingError } from './packaging-error.ts'
import { inTemporary, runTool } from './tool.ts'

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
  return inTemporary((directory) => {
    if (download(`${name}@${version}`, directory) !== integrity) {
      throw new PackagingError(
        `${name}@${version} is not what package-lock.json says: ${integrity}`,
      )
    }
    const [archive = ''] = readdirSync(directory)
    const words = ['--extract', '--to-stdout', '--gzip', '--file', join(directory, archive)]
    return runTool('tar', [...words, `package/${path}`])
  })
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

/** Says what npm found its bytes to be, by Subresource Integrity. They come from npm's own cache, if they are there. */
function download(spec: string, directory: string): string {
  const words = ['pack', spec, '--json', '--prefer-offline', '--pack-destination', directory]
  const { stdout, error } = spawnSync('npm', words, { cwd: CHECKOUT, encoding: 'utf8' })
  if (error !== undefined) throw startFailure('npm', error)
  const said = JSON.parse(stdout) as [{ integrity: string }] | { error: { summary: string } }
  if ('error' in said) throw new PackagingError(`npm pack ${spec}: ${said.error.summary}`)
  return said[0].integrity
}
