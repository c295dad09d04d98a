/** The key that the gateway signs by what it seals: the seed of one of ML-DSA-65, in `security/` of its data. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { SIGNER_SEED_BYTES } from '../../shared/protocol/sealed.ts'
import { AppError, EXIT_CONFIG } from '../../shared/runtime/errors.ts'
import { readPrivate, replacePrivate } from '../../shared/runtime/private-folder.ts'

export const SEAL_KEY = 'seal.key'

/** What the file of a new one has in it. */
export function newSealKey(): string {
  return `${randomBytes(SIGNER_SEED_BYTES).toString('base64')}\n`
}

/** Made, and on disk, where there is none: versions of before made it when it was first needed, so backups can lack it. */
export function loadSealKey(folder: string): Uint8Array {
  const path = join(folder, SEAL_KEY)
  let text = readPrivate(path)
  if (text === undefined) {
    text = newSealKey()
    replacePrivate(folder, SEAL_KEY, text)
  }
  const seed = Buffer.from(text.trim(), 'base64')
  if (seed.length === SIGNER_SEED_BYTES) return seed
  const message = `${path} is no key: restore it from a backup`
  throw new AppError('security-broken', message, { exitCode: EXIT_CONFIG })
}
