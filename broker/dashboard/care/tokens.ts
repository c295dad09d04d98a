import type { TokenRow } from '../answers.ts'

export type TokenState = 'open' | 'used' | 'revoked' | 'over'

/** `nowTs` is Unix ms. */
export function stateOfToken({ usedTs, revokedTs, untilTs }: TokenRow, nowTs: number): TokenState {
  if (revokedTs !== undefined) return 'revoked'
  if (usedTs !== undefined) return 'used'
  return untilTs <= nowTs ? 'over' : 'open'
}
