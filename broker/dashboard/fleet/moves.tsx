import { useState } from 'preact/hooks'
import type { PlanView } from '../../../shared/protocol/views.ts'
import { counted, formatAge, formatBytes, formatNumber } from '../format.ts'
import { moves } from '../live.ts'
import { useOrder } from '../parts/order.ts'
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
    ...(still === undefined ? [] : [`stands still: ${still.replaceAll('-', ' ')}`]),
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
    event.preventDefault()
    const form = new FormData(event.currentTarget as HTMLFormElement)
    const [join, leave] = ['join', 'leave'].map((name) => idsIn(`${form.get(name)}`))
    const query = new URLSearchParams({ join: join!, leave: leave! })
    void run(async () => setPlan(await ask<PlanView>(`api/ring/plan?${query}`)))
  }
  return (
    <details class="what-if">
      <summary>What if nodes joined or left?</summary>
      <form class="line" onSubmit={submit}>
        <label>
          join <input name="join" placeholder="edge-9" autocapitalize="none" spellcheck={false} />
        </label>
        <label>
          leave <input name="leave" placeholder="edge-1" autocapitalize="none" spellcheck={false} />
        </label>
        <button type="submit" disabled={isBusy}>
          ask
        </button>
      </form>
      <div aria-live="polite">
        {problem !== '' && <p class="problem">{problem}</p>}
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
          <thead>
            <tr>
              <th scope="col">from</th>
              <th scope="col">to</th>
              <th scope="col" class="number">
                tiles
              </th>
            </tr>
          </thead>
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
