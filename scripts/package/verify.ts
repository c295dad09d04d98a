/**
 * The entry of `verify.mjs`: `node verify.mjs <tree> <key file>` says on stderr what is wrong with a
 * tree, one problem a line, and on stdout the fingerprint of the keys. Ends with 0 when it is sound.
 * `node verify.mjs --package <archive> <directory> <key file>` unpacks an archive there and says on stdout what it is.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { EXIT_DONE, EXIT_FAILED, EXIT_USAGE, messageOf } from '../../shared/runtime/errors.ts'
import { PUBLIC_KEY_FILE, readInventory, verifyTree } from './inventory.ts'
import { fingerprintOf, parsePublicKeys } from './signing-keys.ts'
import { unpackPackage } from './untar.ts'

/** Of what is wrong with a package, to a gateway. */
const SHOWN_MAX = 5

function verify([directory, keyFile]: readonly string[]): number {
  if (directory === undefined || keyFile === undefined) {
    process.stderr.write('usage: node verify.mjs <tree> <key file>\n')
    return EXIT_USAGE
  }
  try {
    const key = readFileSync(keyFile, 'utf8')
    const keys = parsePublicKeys(key)
    if (keys === undefined) throw new Error('it holds no public key of a release')
    process.stdout.write(`${fingerprintOf(keys)}\n`)
    const problems = verifyTree(directory, key)
    for (const { path, message } of problems) process.stderr.write(`${path} ${message}\n`)
    return problems.length === 0 ? EXIT_DONE : EXIT_FAILED
  } catch (error) {
    process.stderr.write(`${keyFile}: ${messageOf(error)}\n`)
    return EXIT_USAGE
  }
}

/**
 * What a gateway is told of a package before it keeps it, a line of JSON.
 * Unpacks the archive to `work`, which is made, and looks whether it is signed by the keys in `keyFile`; where there is no
 * such file, by its own, and by whom that is, is told.
 */
async function describePackage(archive: string, work: string, keyFile: string): Promise<string> {
  try {
    await unpackPackage(archive, work)
    const key = readFileSync(existsSync(keyFile) ? keyFile : join(work, PUBLIC_KEY_FILE), 'utf8')
    const problems = verifyTree(work, key).map(({ path, message }) => `${path} ${message}`)
    const { version, role, architecture, protocol, downgradeFrom } = readInventory(work)
    const signedBy = fingerprintOf(parsePublicKeys(key)!)
    return JSON.stringify({
      ...{ version, role, architecture, protocol, downgradeFrom, signedBy },
      problems: problems.slice(0, SHOWN_MAX),
    })
  } catch (error) {
    return JSON.stringify({ problems: [`it is no package: ${messageOf(error)}`] })
  }
}

const argv = process.argv.slice(2)
if (argv[0] === '--package') {
  const [, archive = '', work = '', keyFile = ''] = argv
  process.stdout.write(`${await describePackage(archive, work, keyFile)}\n`)
} else process.exitCode = verify(argv)
