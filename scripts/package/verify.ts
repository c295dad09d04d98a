/**
 * The entry of `verify.mjs`: `node verify.mjs <tree> <key file>` says on stderr what is wrong with a
 * tree, one problem a line, and on stdout the fingerprint of the keys. Ends with 0 when it is sound.
 * `node verify.mjs --package <archive> <directory> <key file>` unpacks an archive there and says on stdout what it is.
 */
import { readFileSync } from 'node:fs'
import { EXIT_DONE, EXIT_FAILED, EXIT_USAGE, messageOf } from '../../shared/runtime/errors.ts'
import { verifyTree } from './inventory.ts'
import { fingerprintOf, parsePublicKeys } from './signing-keys.ts'
import { describePackage } from './verify-package.ts'

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

const argv = process.argv.slice(2)
if (argv[0] === '--package') {
  const [, archive = '', work = '', keyFile = ''] = argv
  process.stdout.write(`${await describePackage(archive, work, keyFile)}\n`)
} else process.exitCode = verify(argv)
