import t from 'tap'
import type { TokenRow } from '../../../../broker/dashboard/answers.ts'
import { stateOfToken } from '../../../../broker/dashboard/care/tokens.ts'

t.test('a token that was used stays so, also where a restore has revoked all of them', (t) => {
  const token = (more: Partial<TokenRow>) => ({ untilTs: 50, ...more }) as TokenRow
  const stateOf = (more: Partial<TokenRow>) => stateOfToken(token(more), 10)
  t.equal(stateOf({}), 'open')
  t.equal(stateOf({ untilTs: 10 }), 'over')
  t.equal(stateOf({ revokedTs: 9 }), 'revoked')
  t.equal(stateOf({ usedTs: 5, revokedTs: 9 }), 'used')
  t.end()
})
