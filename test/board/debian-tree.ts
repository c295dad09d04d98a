/**
 * Trees of Debian packages, as debootstrap unpacks them, kept beside the user's caches: made once for each
 * list of packages and each set of files of ours. Needs root, and neither a mount nor a loop device.
 */
import { execFile, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

export const MIRROR = 'http://deb.debian.org/debian'
/** The first with Node 20 and systemd 257. */
export const SUITE = 'trixie'

const OUTPUT_BYTES_MAX = 256 * 1024 * 1024

export type DebianArchitecture = 'amd64' | 'arm64' | 'armhf' | 'armel'
export type ArmArchitecture = Exclude<DebianArchitecture, 'amd64'>

export interface TreeFile {
  readonly text: string
  readonly mode?: number
}

export interface DebianTree {
  /** By default `SUITE`. */
  readonly suite?: 'bookworm'
  readonly architecture: DebianArchitecture
  readonly packages: readonly string[]
  /** By path in the tree; they are part of what it is. */
  readonly files?: Readonly<Record<string, TreeFile>>
  /** Commands that run in it at the end. */
  readonly finish?: readonly (readonly string[])[]
}

export function cacheDirectory(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'obelisk-board')
}

/** The folder of such a tree; minutes when it is not there yet. Not to be written to. */
export async function debianTree(tree: DebianTree): Promise<string> {
  const { suite = SUITE, architecture, packages, files = {}, finish = [] } = tree
  const key = createHash('sha256')
    .update(JSON.stringify([suite, tree]))
    .digest('hex')
    .slice(0, 12)
  const path = join(cacheDirectory(), `${suite}-${architecture}-${key}`)
  if (existsSync(path)) return path
  // Only what is whole gets its name.
  const making = `${path}.making`
  rmSync(making, { recursive: true, force: true })
  mkdirSync(making, { recursive: true })
  const include = `--include=${packages.join(',')}`
  const options = ['--variant=minbase', `--arch=${architecture}`, include]
  await runBeside('debootstrap', [...options, suite, making, MIRROR])
  for (const [name, { text, mode = 0o644 }] of Object.entries(files)) {
    const file = join(making, name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
    chmodSync(file, mode)
  }
  for (const [command = '', ...argv] of finish)
    await runBeside('chroot', [making, command, ...argv])
  rmSync(join(making, 'var/cache/apt/archives'), { recursive: true, force: true })
  renameSync(making, path)
  return path
}

/** Runs a program to its end, while others go on. */
async function runBeside(command: string, argv: readonly string[]): Promise<void> {
  await promisify(execFile)(command, [...argv], { maxBuffer: OUTPUT_BYTES_MAX })
}

/** Runs a program to its end, with these bytes as its input; an error has the last of what it said. */
export function run(command: string, argv: readonly string[], input?: Uint8Array): Buffer {
  const { status, error, stdout, stderr } = spawnSync(command, argv, {
    input: input ?? '',
    maxBuffer: OUTPUT_BYTES_MAX,
  })
  if (status === 0) return stdout
  if (error !== undefined) throw error
  const said = `${stdout}${stderr}`.split('\n').slice(-20).join('\n')
  throw new Error(`${command} ${argv.join(' ')} ended with ${status}:\n${said}`)
}
