/** What `npm run package` is told. */
import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { compareVersions, isVersion } from '../../shared/core/versions.ts'
import { messageOf } from '../../shared/runtime/errors.ts'
import { VERSION } from '../../shared/runtime/version.ts'
import { usage } from '../fault.ts'
import { ARCHITECTURES, type Architecture, ROLES, type Role } from './architectures.ts'

export interface PackageConfig {
  readonly roles: readonly Role[]
  readonly architectures: readonly Architecture[]
  /** Those that were asked for by name must be made; of all others, what can be. */
  readonly isChosen: boolean
  readonly keyFile: string | undefined
  /** A key is to be made there, and nothing else. */
  readonly newKeyFile: string | undefined
  readonly outputDirectory: string
  /** Boards that run this version, or an older one that is newer than the package, may be brought to it. */
  readonly downgradeFrom: string | undefined
  /** The time of every packaged file, in seconds since 1970. */
  readonly seconds: number
}

export const PACKAGE_FLAGS = {
  role: { type: 'string' },
  architecture: { type: 'string' },
  key: { type: 'string' },
  'new-key': { type: 'string' },
  output: { type: 'string' },
  'downgrade-from': { type: 'string' },
  help: { type: 'boolean' },
} as const

export const PACKAGE_HELP = `Usage: npm run package -- [options]

Makes packages of this checkout: for each role and architecture a .deb and a tarball.

  --role <roles>                  ${ROLES.join(',')} (default: both)
  --architecture <architectures>  ${ARCHITECTURES.join(',')} (default: all that can be made here)
  --key <file>                    private release key (default: one for development)
  --new-key <file>                make a release key, or add what an older one lacks, and no package
  --output <directory>            (default: packages)
  --downgrade-from <version>      boards that run a newer version, up to that one, may be brought to this one
`

/** The words of the command line, or the help that was asked for. Throws on what is wrong. */
export function readPackageConfig(
  argv: readonly string[],
  checkout: string,
): PackageConfig | 'help' {
  const { values } = parse(argv)
  if (values.help) return 'help'
  return {
    roles: listOf('--role', values.role, ROLES),
    architectures: listOf('--architecture', values.architecture, ARCHITECTURES),
    isChosen: values.architecture !== undefined,
    keyFile: values.key,
    newKeyFile: values['new-key'],
    outputDirectory: resolve(values.output ?? 'packages'),
    downgradeFrom: newerVersion(values['downgrade-from']),
    seconds: sourceSeconds(process.env.SOURCE_DATE_EPOCH, checkout),
  }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: PACKAGE_FLAGS })
  } catch (error) {
    throw usage(`${messageOf(error)}\n\n${PACKAGE_HELP}`)
  }
}

function newerVersion(given: string | undefined): string | undefined {
  if (given === undefined) return undefined
  if (isVersion(given) && compareVersions(given, VERSION) > 0) return given
  throw usage(`--downgrade-from: "${given}" is no version that is newer than ${VERSION}`)
}

function listOf<T extends string>(
  flag: string,
  words: string | undefined,
  known: readonly T[],
): T[] {
  if (words === undefined) return [...known]
  const asked = words.split(',')
  const unknown = asked.filter((word) => !known.some((one) => one === word))
  if (unknown.length === 0) return known.filter((one) => asked.includes(one))
  throw usage(`${flag}: "${unknown[0]}" is none of ${known.join(', ')}`)
}

/** When the sources were last changed, so that the same sources give the same bytes. */
function sourceSeconds(given: string | undefined, checkout: string): number {
  if (given !== undefined && given !== '') {
    if (/^\d{1,11}$/.test(given)) return Number(given)
    throw usage(`SOURCE_DATE_EPOCH: "${given}" is not a number of seconds`)
  }
  try {
    const git = ['log', '-1', '--format=%ct']
    const options = { cwd: checkout, stdio: ['ignore', 'pipe', 'ignore'] as never }
    return Number(execFileSync('git', git, options).toString().trim())
  } catch {
    // A copy without its history: the first second that every archive format can hold.
    return Date.UTC(1980, 0, 1) / 1000
  }
}
