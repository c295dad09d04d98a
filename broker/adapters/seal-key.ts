/** The key that the gateway signs by what it seals: the seed of one of ML-DSA-65, in `security/` of its data. */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { SIGNER_SEED_BYTES } from '../../shared/protocol/sealed.ts'
import { AppError, EXIT_CONFIG } from '../../shared/runtime/errors.ts'
import { readPrivate, replacePrivate } from '../../shared/runtime/private-folder.ts'

export const SEAL_KEY = 'seal.key'

/** Made, and on disk, when there is none yet. */
export function loadSealKey(folder: string): Uint8Array {
  const path = join(folder, SEAL_KEY)
  const text = readPrivate(path)
  if (text === undefined) {
    const seed = randomBytes(SIGNER_SEED_BYTES)
    replacePrivate(folder, SEAL_KEY, `${seed.toString('base64')}\n`)
    return seed
  }
  const seed = Buffer.from(text.trim(), 'base64')
  if (seed.length === SIGNER_SEED_BYTES) return seed
  const message = `${path} is no key: restore it from a backup`
  throw new AppError('security-broken', message, { exitCode: EXIT_CONFIG })
}
