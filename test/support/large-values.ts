/** Compares large values. tap writes both out before it compares them, which takes seconds; here only what differs. */
import { isDeepStrictEqual } from 'node:util'
import type { Test } from 'tap'

export function areSame(t: Test, found: unknown, expected: unknown, name = 'the same'): void {
  if (isDeepStrictEqual(found, expected)) t.pass(name)
  else t.strictSame(found, expected, name)
}
