/** `verify`: whether the signature of each item is valid, by key. A pure function of the items. */
import * as v from 'valibot'
import { parseWith } from '../protocol/problems.ts'
import { concatBytes } from './columns.ts'
import { areKeys, byKey } from './keyed-items.ts'
import type { ItemsOperation, Wire } from './operation.ts'
import { VERDICTS, verdictOf } from './signed-item.ts'

/** Keys, and a byte for each: the place of its verdict. */
interface VerifyPartial extends Wire {
  readonly keys: string[]
  readonly verdicts: Uint8Array
}

const VALID = VERDICTS.indexOf('valid')

export const verify: ItemsOperation = {
  kind: 'items',
  name: 'verify',
  about: { does: 'says of each item whether its signature is valid', args: [] },
  parse: (input) => parseWith(v.strictObject({}), input, 'args'),
  run() {
    const keys: string[] = []
    const verdicts: number[] = []
    return {
      visit(key, bytes) {
        keys.push(key)
        verdicts.push(VERDICTS.indexOf(verdictOf(bytes)))
      },
      finish: (): VerifyPartial => ({ keys, verdicts: Uint8Array.from(verdicts) }),
    }
  },
  faultOf(partial, asked) {
    const { keys, verdicts } = partial as Partial<VerifyPartial>
    if (!areKeys(keys, asked)) return 'it is not of the items that were asked for'
    const isWhole =
      verdicts instanceof Uint8Array &&
      verdicts.length === asked.length &&
      verdicts.every((verdict) => verdict < VERDICTS.length)
    return isWhole ? undefined : 'it has not one verdict for each item'
  },
  merge(left, right) {
    const a = left as VerifyPartial
    const b = right as VerifyPartial
    return {
      keys: [...a.keys, ...b.keys],
      verdicts: concatBytes([a.verdicts, b.verdicts]),
    } satisfies VerifyPartial
  },
  finish(total) {
    const { keys, verdicts } = total as VerifyPartial
    const valid = byKey(keys, (index) => verdicts[index] === VALID)
    const reasons = byKey(keys, (index) =>
      verdicts[index] === VALID ? undefined : VERDICTS[verdicts[index]!],
    )
    return { items: keys.length, valid, ...(reasons.size > 0 ? { reasons } : {}) }
  },
}
