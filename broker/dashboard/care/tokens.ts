import type { TokenRow } from '../answers.ts'

export type TokenState = 'open' | 'used' | 'revoked' | 'over'

/** `nowTs` is Unix ms. */
export function stateOfToken({ usedTs, revokedTs, untilTs }: TokenRow, nowTs: number): TokenState {
  if (usedTs !== undefined) return 'used'
  if (revokedTs !== undefined) return 'revoked'
  return untilTs <= nowTs ? 'over' : 'open'
}
