import { fileURLToPath } from 'node:url'

/** In an installed tree: beside the bundle that this is in. */
export function lmdbLibrary(): string {
  return fileURLToPath(new URL('./lmdb.cjs', import.meta.url))
}
