/**
 * `npm run test:vm`, `test:arm` and `test:boards`, which is both beside each other: sees to what the tests of
 * packages need, makes the packages, and runs the tests. Ends with 80 when it cannot, and says what is missing: a
 * skip is no success. With `prepare` it does all but the tests.
 *
 * `tap run` would have every process of a test, emulated ones too, load its hooks and record coverage.
 */
import { spawn, spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { armv6Native } from '../../scripts/package/armhf-native.ts'
import { EXIT_USAGE } from '../../shared/runtime/errors.ts'
import { type Totals, totalsOf } from '../support/tap-output.ts'
import { armTree } from './arm-trees.ts'
import { guestTree } from './guest-tree.ts'

/** Not an exit code of tap, nor of a program that a signal ended. */
const EXIT_SKIPPED = 80
const ROOT = new URL('../../', import.meta.url).pathname

interface Suite {
  readonly architectures: readonly string[]
  readonly roles: readonly string[]
  /** The Debian package of each program. */
  readonly programs: Readonly<Record<string, string>>
  /** Makes what is kept for all runs. */
  readonly prepare: () => Promise<unknown>
}

/** Each is the file of its name. */
const SUITES: Readonly<Record<string, Suite>> = {
  vm: {
    architectures: ['amd64'],
    roles: ['agent', 'gateway'],
    programs: {
      debootstrap: 'debootstrap',
      'qemu-system-x86_64': 'qemu-system-x86',
      mke2fs: 'e2fsprogs',
      debugfs: 'e2fsprogs',
      'mkfs.vfat': 'dosfstools',
      mcopy: 'mtools',
    },
    prepare: guestTree,
  },
  arm: {
    architectures: ['armhf', 'arm64'],
    roles: ['agent'],
    programs: {
      'qemu-arm-static': 'qemu-user-static',
      'arm-linux-gnueabi-g++': 'g++-arm-linux-gnueabi',
      'arm-linux-gnueabihf-g++': 'g++-arm-linux-gnueabihf',
      xz: 'xz-utils',
    },
    prepare: async () => {
      for (const architecture of ['armel', 'armhf', 'arm64'] as const) await armTree(architecture)
      armv6Native('armel')
    },
  },
}

function isThere(program: string): boolean {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

function missing({ programs }: Suite): string[] {
  const names = Object.keys(programs).filter((name) => !isThere(name))
  return [...new Set(names.map((name) => programs[name]!))]
}

/** Installs what is missing, where that is possible. */
function provide(suites: readonly Suite[]): void {
  const packages = suites.flatMap(missing)
  if (packages.length === 0 || process.getuid?.() !== 0 || !isThere('apt-get')) return
  const install = ['-qy', '--no-install-recommends', 'install', ...packages]
  spawnSync('apt-get', ['-q', 'update'], { stdio: 'inherit' })
  spawnSync('apt-get', install, { stdio: 'inherit' })
}

/** Why these tests cannot be run here. */
function obstacle(suite: Suite): string | undefined {
  // A tree of Debian belongs to root, and so does the kernel's table of formats.
  if (process.getuid?.() !== 0) return 'this has to be run as root'
  const still = missing(suite)
  return still.length > 0 ? `these Debian packages are missing: ${still.join(' ')}` : undefined
}

/** Whatever it ends with, a failure is no skip. */
function run(command: string, argv: readonly string[]): void {
  const { status } = spawnSync(command, argv, { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) process.exit(1)
}

/** Packages of all that these need. */
function pack(suites: readonly Suite[]): void {
  const all = (of: (suite: Suite) => readonly string[]) => [...new Set(suites.flatMap(of))].join()
  const roles = all((suite) => suite.roles)
  const architectures = all((suite) => suite.architectures)
  const argv = ['--role', roles, '--architecture', architectures]
  run('node', ['dist/scripts/package/main.js', ...argv])
}

/** Runs the file of that name, and shows each line as it comes. */
async function test(name: string): Promise<Totals> {
  const child = spawn(process.execPath, [...process.execArgv, `test/board/${name}.ts`], {
    cwd: ROOT,
    env: { ...process.env, TAP_TIMEOUT: '3600' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  process.once('exit', () => child.kill())
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  // Who waits for it below sees it.
  ended.catch(() => {})
  let output = ''
  for await (const line of createInterface({ input: child.stdout })) {
    output += `${line}\n`
    process.stdout.write(`${name}: ${line}\n`)
  }
  const code = await ended
  const totals = totalsOf(output) ?? { total: 0, pass: 0, fail: 0, skip: 0 }
  // One that ends in the middle has said nothing of what it did not do.
  const isGood = code === 0 && totals.total > 0 && totals.fail === 0
  return isGood ? totals : { ...totals, fail: Math.max(1, totals.fail) }
}

const words = process.argv.slice(2)
const isPreparation = words[0] === 'prepare'
if (isPreparation) words.shift()
const names = words.filter((word) => Object.hasOwn(SUITES, word))
if (names.length === 0) {
  const all = Object.keys(SUITES).join(' | ')
  process.stderr.write(`usage: run.ts [prepare] (${all})...\n`)
  process.exit(EXIT_USAGE)
}
provide(names.map((name) => SUITES[name]!))
const able = names.filter((name) => {
  const why = obstacle(SUITES[name]!)
  if (why !== undefined) process.stderr.write(`skipped: ${name}: ${why}\n`)
  return why === undefined
})
if (able.length === 0) process.exit(EXIT_SKIPPED)
pack(able.map((name) => SUITES[name]!))
if (isPreparation) {
  for (const name of able) await SUITES[name]!.prepare()
} else {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(1))
  const results = await Promise.all(able.map(test))
  const sum = (key: keyof Totals): number => results.reduce((of, one) => of + one[key], 0)
  const keys = ['total', 'pass', 'fail', 'skip'] as const
  process.stdout.write(`# { ${keys.map((key) => `${key}: ${sum(key)}`).join(', ')} }\n`)
  process.exitCode = sum('fail') === 0 ? 0 : 1
}
