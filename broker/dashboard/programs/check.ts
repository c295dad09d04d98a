import { useEffect, useState } from 'preact/hooks'
import { type Fault, ObeliskError } from '../../../shared/client/obelisk-error.ts'
import type { CheckedView } from '../../../shared/protocol/codex-views.ts'
import { link } from '../link.ts'
import { ask } from '../session.ts'
import { Checks } from './checks.ts'

export type Outcome =
  | { readonly kind: 'sound'; readonly value: CheckedView }
  | { readonly kind: 'faulty'; readonly faults: readonly Fault[] }
  /** Nobody has looked at it. */
  | { readonly kind: 'unknown'; readonly problem: string }

/** What the gateway says of a text; nothing while that is not known of this very text. */
export function useCheck(text: string): Outcome | undefined {
  const [last, setLast] = useState<{ text: string; outcome: Outcome } | undefined>(undefined)
  const [checks] = useState(
    () => new Checks({ ask: check, told: (text, outcome) => setLast({ text, outcome }) }),
  )
  const isLive = link.value === 'live'
  useEffect(() => () => checks.stop(), [checks])
  useEffect(() => {
    if (isLive && text.trim() !== '') checks.type(text)
  }, [checks, text, isLive])
  return last?.text === text ? last.outcome : undefined
}

async function check(source: string): Promise<Outcome> {
  try {
    const body = { source }
    return { kind: 'sound', value: await ask('api/codex/check', { method: 'POST', body }) }
  } catch (error) {
    const faults = error instanceof ObeliskError ? error.errors : []
    if (faults.length > 0) return { kind: 'faulty', faults }
    return { kind: 'unknown', problem: (error as Error).message }
  }
}
