/** `digest`: the SHA-256 of each item's bytes, by key. A pure function of the items. */
import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { parseWith } from '../protocol/problems.ts'
import { concatBytes } from './columns.ts'
import { areKeys, byKey } from './keyed-items.ts'
import type { ItemsOperation, Wire } from './operation.ts'

const SHA256_BYTES = 32

/** Keys, and their digests one after the other. */
interface DigestPartial extends Wire {
  readonly keys: string[]
  readonly sha256: Uint8Array
}

export const digest: ItemsOperation = {
  kind: 'items',
  name: 'digest',
  about: { does: 'gives the SHA-256 of each item', args: [] },
  parse: (input) => parseWith(v.strictObject({}), input, 'args'),
  run() {
    const keys: string[] = []
    const digests: Uint8Array[] = []
    return {
      visit(key, bytes) {
        keys.push(key)
        digests.push(createHash('sha256').update(bytes).digest())
      },
      finish: (): DigestPartial => ({ keys, sha256: concatBytes(digests) }),
    }
  },
  faultOf(partial, asked) {
    const { keys, sha256 } = partial as Partial<DigestPartial>
    if (!areKeys(keys, asked)) return 'it is not of the items that were asked for'
    const isWhole = sha256 instanceof Uint8Array && sha256.length === asked.length * SHA256_BYTES
    return isWhole ? undefined : 'it has not one digest for each item'
  },
  merge(left, right) {
    const a = left as DigestPartial
    const b = right as DigestPartial
    return {
      keys: [...a.keys, ...b.keys],
      sha256: concatBytes([a.sha256, b.sha256]),
    } satisfies DigestPartial
  },
  finish(total) {
    const { keys, sha256 } = total as DigestPartial
    const hexOf = (index: number): string => {
      const bytes = sha256.subarray(index * SHA256_BYTES, (index + 1) * SHA256_BYTES)
      return Buffer.from(bytes).toString('hex')
    }
    return { items: keys.length, sha256: byKey(keys, hexOf) }
  },
}
