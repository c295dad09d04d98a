import { useState } from 'preact/hooks'
import type { PlanView } from '../../../shared/protocol/views.ts'
import { asWords, counted, formatAge, formatBytes, formatNumber } from '../format.ts'
import { moves } from '../live.ts'
import { Heads } from '../parts/heads.tsx'
import { useOrder } from '../parts/order.ts'
import { Problem } from '../parts/problem.tsx'
import { typedIn } from '../parts/typed.ts'
import { WordField } from '../parts/word-field.tsx'
import { ask } from '../session.ts'
import { waitingWords } from './drains.ts'

/** What is on its way to other nodes. */
export function MovesLine() {
  const now = moves.value
  if (now === undefined) return null
  const { open, planned_tiles: planned, paused_for: paused, stands_still: still, stalled } = now
  if (open.length + planned === 0 && stalled.length === 0 && paused === undefined) return null
  const parts = [
    `${formatNumber(open.length)} on the way`,
    `${formatNumber(planned)} planned, ${formatBytes(now.planned_bytes)}`,
    ...waitingWords(now),
    ...(paused === undefined ? [] : [`none is planned: ${paused}`]),
    ...(still === undefined ? [] : [`stands still: ${asWords(still)}`]),
  ]
  return (
    <div class="moves">
      <p>
        <b>Moves</b> {parts.join(' · ')}
      </p>
      {stalled.map(({ node, reason, message }) => (
        <p key={`${node} ${reason}`} class="bad">
          {message}
        </p>
      ))}
    </div>
  )
}

/** What would move if some joined or left. Changes nothing. */
export function WhatIf() {
  const [plan, setPlan] = useState<PlanView | undefined>(undefined)
  const { run, isBusy, problem } = useOrder()
  const submit = (event: SubmitEvent): void => {
    const form = typedIn(event)
    const [join, leave] = ['join', 'leave'].map((name) => idsIn(`${form.get(name)}`))
    const query = new URLSearchParams({ join: join!, leave: leave! })
    void run(async () => setPlan(await ask<PlanView>(`api/ring/plan?${query}`)))
  }
  return (
    <details class="what-if">
      <summary>What if nodes joined or left?</summary>
      <form class="line" onSubmit={submit}>
        <WordField title="join" name="join" placeholder="edge-9" />
        <WordField title="leave" name="leave" placeholder="edge-1" />
        <button type="submit" disabled={isBusy}>
          ask
        </button>
      </form>
      <div aria-live="polite">
        <Problem of={problem} />
        {plan !== undefined && problem === '' && <Answer plan={plan} />}
      </div>
    </details>
  )
}

function Answer({ plan: { tiles, bytes, seconds, moves, stalled } }: { readonly plan: PlanView }) {
  return (
    <>
      <p>
        {counted(tiles, 'tile')} would move, {formatBytes(bytes)}
        {tiles > 0 && `, in about ${formatAge(1000 * seconds)}`}.
      </p>
      {stalled.map(({ node, reason, message }) => (
        <p key={`${node} ${reason}`} class="bad">
          {message}
        </p>
      ))}
      {moves.length > 0 && (
        <table class="small">
          <Heads of={['from', 'to', 'tiles']} numbers={['tiles']} />
          <tbody>
            {moves.map(({ from, to, tiles: count }) => (
              <tr key={`${from} ${to}`}>
                <td>{from ?? 'nobody yet'}</td>
                <td>{to}</td>
                <td class="number">{formatNumber(count)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  )
}

function idsIn(text: string): string {
  return text
    .split(/[\s,]+/)
    .filter(Boolean)
    .join(',')
}
