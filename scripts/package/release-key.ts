/** The keys that inventories are signed with: those that are given, or some for development. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fault, namedText } from '../fault.ts'
import { writeWhole } from '../whole-file.ts'
import { formatPrivateKeys, type PrivateKeys, parsePrivateKeys } from './signing-keys.ts'

/** In the checkout, out of git. */
export const DEVELOPMENT_KEY_FILE = '.release-key.pem'
const SEED_BYTES = 32
const OWNER_ALONE = 0o600

/** The file of `makeReleaseKey`. One that has Ed25519 alone signs nothing: boards that know both take both. */
export function readReleaseKey(path: string): PrivateKeys {
  const keys = readKeys(path, '--key')
  if (keys.mlDsa65 !== undefined) return keys
  const remedy = `npm run package -- --new-key ${path} adds the other one`
  throw fault('bad-key', `--key: ${path}: it has the Ed25519 key alone: ${remedy}`)
}

/** On disk, whole, when this returns. What is there stays: an Ed25519 key gets the other one beside it. */
export function makeReleaseKey(path: string): PrivateKeys {
  const known = existsSync(path) ? readKeys(path, '--new-key') : undefined
  if (known?.mlDsa65 !== undefined)
    throw fault('bad-key', `--new-key: ${path}: it has both keys already`)
  const ed25519 = known?.ed25519 ?? generateKeyPairSync('ed25519').privateKey
  const keys = { ed25519, mlDsa65: randomBytes(SEED_BYTES) }
  writeWhole(path, formatPrivateKeys(keys), OWNER_ALONE)
  return keys
}

/** Made when there is none yet, and kept: boards that trust it take the next package too. */
export function developmentKey(checkout: string): PrivateKeys {
  const path = join(checkout, DEVELOPMENT_KEY_FILE)
  if (!existsSync(path)) return makeReleaseKey(path)
  const keys = readKeys(path, '--key')
  return keys.mlDsa65 === undefined ? makeReleaseKey(path) : keys
}

function readKeys(path: string, flag: string): PrivateKeys {
  const keys = parsePrivateKeys(namedText(flag, path))
  if (keys !== undefined) return keys
  const message = `${flag}: ${path}: not a release key: npm run package -- --new-key <file> makes one`
  throw fault('bad-key', message)
}
