import { createRequire } from 'node:module'

/** What `require` finds lmdb by in any process. Packages have `scripts/package/installed.ts` instead. */
export function lmdbLibrary(): string {
  return createRequire(import.meta.url).resolve('lmdb')
}
