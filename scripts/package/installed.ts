/** Where the parts of an installed tree lie: beside the bundle that this is in. */
import { fileURLToPath } from 'node:url'

export function lmdbLibrary(): string {
  return fileURLToPath(new URL('./lmdb.cjs', import.meta.url))
}

export function sealProgram(): URL {
  return new URL('./sealer.mjs', import.meta.url)
}

export function verifyProgram(): URL {
  return new URL('./verify.mjs', import.meta.url)
}

export function releaseKey(): URL {
  return new URL('./release-key.pem', import.meta.url)
}
