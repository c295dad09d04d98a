/**
 * `npm run package`: one .deb and one tarball for each role and architecture, signed. Two runs over the
 * same checkout write the same bytes.
 */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AppError, EXIT_DONE, EXIT_FAILED } from '../../shared/runtime/errors.ts'
import { makeDirectory } from '../../shared/runtime/make-directory.ts'
import { VERSION } from '../../shared/runtime/version.ts'
import { unreadable, usage } from '../fault.ts'
import { faultOf, noRoomOr } from '../path-faults.ts'
import { writeWhole } from '../whole-file.ts'
import { ARCHITECTURES, type Architecture, isPackaged, type Role } from './architectures.ts'
import { packTarball } from './archive.ts'
import { bundle } from './bundles.ts'
import { CHECKOUT } from './checkout.ts'
import { PACKAGE_HELP, type PackageConfig, readPackageConfig } from './config.ts'
import { writeDeb } from './deb.ts'
import { type NativePart, nativePart } from './native-part.ts'
import { PackagingError } from './packaging-error.ts'
import {
  DEVELOPMENT_KEY_FILE,
  developmentKey,
  makeReleaseKey,
  readReleaseKey,
} from './release-key.ts'
import { fingerprintOf, type PrivateKeys, publicHalfOf } from './signing-keys.ts'
import { assembleTree, type TreeParts } from './tree.ts'

type Say = (line: string) => void

/** Answers with the exit code. What went wrong is said by `complain`. */
export async function makePackages(
  argv: readonly string[],
  say: Say,
  complain: Say = say,
): Promise<number> {
  try {
    const config = readPackageConfig(argv, CHECKOUT)
    if (config === 'help') {
      say(PACKAGE_HELP)
      return EXIT_DONE
    }
    if (config.newKeyFile !== undefined) {
      const key = makeReleaseKey(config.newKeyFile)
      say(`${config.newKeyFile} holds the release key ${fingerprintOf(publicHalfOf(key))}`)
      return EXIT_DONE
    }
    const key = releaseKey(config, say)
    const natives = nativeParts(config, say)
    makeOutput(config.outputDirectory)
    for (const role of config.roles) {
      const bundles = await bundle(role)
      for (const [architecture, native] of natives) {
        if (!isPackaged(role, architecture)) continue
        const { downgradeFrom } = config
        const about = { role, architecture, version: VERSION, downgradeFrom }
        writePackage({ ...about, native, bundles, key }, config, say)
      }
    }
    return EXIT_DONE
  } catch (error) {
    // What is made on the way goes to a temporary directory and to a cache in the checkout.
    const { path = `${tmpdir()} or of ${CHECKOUT}` } = error as NodeJS.ErrnoException
    const failure = noRoomOr(error, path)
    if (!(failure instanceof PackagingError || failure instanceof AppError)) throw error
    complain(`npm run package: ${failure.message}`)
    return failure instanceof AppError ? failure.exitCode : EXIT_FAILED
  }
}

function releaseKey({ keyFile }: PackageConfig, say: Say): PrivateKeys {
  const key = keyFile === undefined ? developmentKey(CHECKOUT) : readReleaseKey(keyFile)
  if (keyFile === undefined) {
    say(`warning: signed with ${DEVELOPMENT_KEY_FILE}, which is for development: --key <file>`)
  }
  say(`release key: ${fingerprintOf(publicHalfOf(key))}`)
  return key
}

function nativeParts(
  { architectures, roles, isChosen }: PackageConfig,
  say: Say,
): Map<Architecture, NativePart> {
  const parts = new Map<Architecture, NativePart>()
  const fit = architectures.filter((one) => roles.some((role) => isPackaged(role, one)))
  if (fit.length === 0) {
    throw usage(`nothing can be made: ${roles.map(fitOf).join(', ')}`)
  }
  for (const architecture of fit) {
    try {
      parts.set(architecture, nativePart(architecture))
    } catch (error) {
      const isMissing = error instanceof AppError && error.code === 'program-missing'
      if (isChosen || !(isMissing || error instanceof PackagingError)) throw error
      say(`no package for ${architecture}: ${error.message}`)
    }
  }
  if (parts.size === 0) throw new PackagingError('nothing can be made')
  return parts
}

function fitOf(role: Role): string {
  return `the ${role} is for ${ARCHITECTURES.filter((one) => isPackaged(role, one)).join(' and ')}`
}

function writePackage(parts: TreeParts, { seconds, outputDirectory }: PackageConfig, say: Say) {
  const { role, architecture } = parts
  const tree = assembleTree(parts)
  const name = `obelisk-${role}-${VERSION}-${architecture}`
  const deb = writeDeb({ ...parts, tree, seconds })
  const tarball = packTarball(tree, name, seconds)
  for (const [file, bytes] of [
    [`obelisk-${role}_${VERSION}_${architecture}.deb`, deb],
    [`${name}.tar.gz`, tarball],
  ] as const) {
    const path = join(outputDirectory, file)
    writeOutput(path, bytes)
    say(`${path}  ${Math.round(bytes.length / 1024)} KiB`)
  }
}

export function makeOutput(directory: string): void {
  try {
    makeDirectory(directory)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') throw usage(`--output: ${directory} is not a directory`)
    throw outputFailure(error, directory)
  }
}

export function writeOutput(path: string, bytes: Uint8Array): void {
  try {
    writeWhole(path, bytes, 0o644)
  } catch (error) {
    throw outputFailure(error, path)
  }
}

function outputFailure(error: unknown, path: string): AppError {
  const fault = faultOf(error, path, 'changed')
  return fault instanceof AppError ? fault : unreadable(`--output: ${path}`, error)
}
