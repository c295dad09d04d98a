/** The key that inventories are signed with: one that is given, or one for development. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  AppError,
  EXIT_BAD_INPUT,
  EXIT_UNREADABLE,
  messageOf,
} from '../../shared/runtime/errors.ts'

/** In the checkout, out of git. */
export const DEVELOPMENT_KEY_FILE = '.release-key.pem'

/** A private key in PKCS #8, as PEM: `openssl genpkey -algorithm ed25519`. */
export function readReleaseKey(path: string): KeyObject {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const options = { cause: error, exitCode: EXIT_UNREADABLE }
    throw new AppError('unreadable', `--key: ${path}: ${messageOf(error)}`, options)
  }
  const key = keyOf(text)
  if (typeof key !== 'string') return key
  throw new AppError('bad-key', `--key: ${path}: ${key}`, { exitCode: EXIT_BAD_INPUT })
}

/** The key, or why the text is none. */
function keyOf(text: string): KeyObject | string {
  try {
    const key = createPrivateKey(text)
    const { asymmetricKeyType: type } = key
    return type === 'ed25519' ? key : `not an Ed25519 key but ${type}`
  } catch (error) {
    return messageOf(error)
  }
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
