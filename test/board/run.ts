/**
 * `npm run test:vm` and `npm run test:arm`: sees to what the tests of packages need, makes the packages, and
 * runs the tests. Ends with 80 when it cannot, and says what is missing: a skip is no success.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { EXIT_USAGE } from '../../shared/runtime/errors.ts'

/** Not an exit code of tap, nor of a program that a signal ended. */
const EXIT_SKIPPED = 80
const ROOT = new URL('../../', import.meta.url).pathname

interface Suite {
  readonly file: string
  readonly architectures: string
  readonly roles: string
  /** The Debian package of each program. */
  readonly programs: Readonly<Record<string, string>>
}

const SUITES: Readonly<Record<string, Suite>> = {
  vm: {
    file: 'test/board/vm.ts',
    architectures: 'amd64',
    roles: 'agent,gateway',
    programs: {
      debootstrap: 'debootstrap',
      'qemu-system-x86_64': 'qemu-system-x86',
      mke2fs: 'e2fsprogs',
      debugfs: 'e2fsprogs',
      'mkfs.vfat': 'dosfstools',
      mcopy: 'mtools',
    },
  },
  arm: {
    file: 'test/board/arm.ts',
    architectures: 'armhf,arm64',
    roles: 'agent',
    programs: {
      'qemu-arm-static': 'qemu-user-static',
      'arm-linux-gnueabi-g++': 'g++-arm-linux-gnueabi',
      'arm-linux-gnueabihf-g++': 'g++-arm-linux-gnueabihf',
      xz: 'xz-utils',
    },
  },
}

function skip(why: string): never {
  process.stderr.write(`skipped: ${why}\n`)
  process.exit(EXIT_SKIPPED)
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

/** Installs what is missing, where that is possible. */
function provide(programs: Suite['programs']): void {
  const missing = (): string[] => [
    ...new Set(Object.keys(programs).flatMap((name) => (isThere(name) ? [] : programs[name]!))),
  ]
  const packages = missing()
  if (packages.length === 0) return
  const install = ['-qy', '--no-install-recommends', 'install', ...packages]
  if (process.getuid?.() === 0 && isThere('apt-get')) {
    spawnSync('apt-get', ['-q', 'update'], { stdio: 'inherit' })
    spawnSync('apt-get', install, { stdio: 'inherit' })
  }
  const still = missing()
  if (still.length > 0) skip(`these Debian packages are missing: ${still.join(' ')}`)
}

function run(command: string, argv: readonly string[]): void {
  const { status } = spawnSync(command, argv, { cwd: ROOT, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

const [name = '', ...rest] = process.argv.slice(2)
const suite = SUITES[name]
if (suite === undefined) {
  process.stderr.write(`usage: run.ts ${Object.keys(SUITES).join(' | ')} [options of tap]\n`)
  process.exit(EXIT_USAGE)
}
provide(suite.programs)
// A tree of Debian belongs to root, and so does the kernel's table of formats.
if (process.getuid?.() !== 0) skip('this has to be run as root')
const { roles, architectures } = suite
run('npm', ['run', 'package', '--', '--role', roles, '--architecture', architectures])
run('npx', ['tap', 'run', '--timeout=1200', ...rest, suite.file])
