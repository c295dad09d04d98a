/** What a slice store must be, by what was said before the cut. */
import type { Fact } from './subject.ts'

export interface Expectation {
  /** The one that was acknowledged last, and the one that was begun after it; 0 is no ledger. */
  readonly ledgers: readonly number[]
  /** Not known before the first opening has ended. */
  readonly storeId: string | undefined
  readonly mayBeWiped: boolean
  readonly bootMin: number
  /** Applied at least. */
  readonly position: number
  /** Results up to here may be gone. */
  readonly confirmed: number
  /** Of each answer that must be there, the attempt at least. */
  readonly answers: readonly { readonly part: string; readonly attempt: number }[]
  /** Answers that may be there, `part/attempt`. */
  readonly begun: ReadonlySet<string>
}

export function expectationOf(facts: readonly Fact[]): Expectation {
  let ledger = 0
  let pending: number | undefined
  let storeId: string | undefined
  let boot = 0
  let position = 0
  let confirmed = 0
  let mayBeWiped = false
  const answers = new Map<string, number>()
  const begun = new Set<string>()
  const forgotten = new Set<string>()
  for (const fact of facts) {
    switch (fact.what) {
      case 'opened':
        storeId = String(fact.storeId)
        boot = Number(fact.boot)
        break
      case 'adopting':
        pending = Number(fact.ledger)
        break
      case 'wiping':
        pending = 0
        mayBeWiped = true
        break
      case 'wiped':
        storeId = String(fact.storeId)
        ledger = 0
        pending = undefined
        position = confirmed = 0
        mayBeWiped = false
        answers.clear()
        begun.clear()
        forgotten.clear()
        break
      case 'adopted':
        ledger = Number(fact.ledger)
        pending = undefined
        break
      case 'applied':
        position = Math.max(position, Number(fact.position))
        break
      case 'confirming':
        confirmed = Math.max(confirmed, Number(fact.position))
        break
      case 'answering':
        begun.add(`${fact.part}/${fact.attempt}`)
        break
      case 'answered':
        if (!forgotten.has(String(fact.part))) {
          answers.set(String(fact.part), Number(fact.attempt))
        }
        break
      case 'forgetting':
        forgotten.add(String(fact.part))
        answers.delete(String(fact.part))
        break
      default:
        throw new Error(`an unknown fact: ${fact.what}`)
    }
  }
  return {
    ledgers: pending === undefined ? [ledger] : [ledger, pending],
    storeId,
    mayBeWiped,
    // The opening that follows the cut counts as well.
    bootMin: boot + 1,
    position,
    confirmed,
    answers: [...answers].map(([part, attempt]) => ({ part, attempt })),
    begun,
  }
}
