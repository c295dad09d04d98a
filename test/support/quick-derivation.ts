/** In the place of scrypt, which is slow on purpose: for tests of what is sealed, not of what its passphrase costs. */
import { createHash } from 'node:crypto'
import type { Derive } from '../../shared/runtime/sealed-file.ts'

export const quickly: Derive = async (passphrase, salt) =>
  createHash('sha512').update(passphrase).update(salt).digest()
