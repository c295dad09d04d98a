/** The key that inventories are signed with: one that is given, or one for development. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf } from '../../shared/runtime/errors.ts'
import { PackagingError } from './packaging-error.ts'

/** In the checkout, out of git. */
export const DEVELOPMENT_KEY_FILE = '.release-key.pem'

/** A private key in PKCS #8, as PEM: `openssl genpkey -algorithm ed25519`. */
export function readReleaseKey(path: string): KeyObject {
  let key: KeyObject
  try {
    key = createPrivateKey(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new PackagingError(`--key: ${path}: ${messageOf(error)}`)
  }
  if (key.asymmetricKeyType === 'ed25519') return key
  throw new PackagingError(`--key: ${path}: not an Ed25519 key but ${key.asymmetricKeyType}`)
}

/** Made when there is none yet, and kept: boards that trust it take the next package too. */
export function developmentKey(checkout: string): KeyObject {
  const path = join(checkout, DEVELOPMENT_KEY_FILE)
  if (!existsSync(path)) {
    const { privateKey } = generateKeyPairSync('ed25519')
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
    writeFileSync(path, pem, { mode: 0o600, flag: 'wx' })
  }
  return readReleaseKey(path)
}
