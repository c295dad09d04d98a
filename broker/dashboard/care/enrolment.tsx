import { useState } from 'preact/hooks'
import type { TokenRow } from '../answers.ts'
import { formatTime, UNKNOWN } from '../format.ts'
import { useAsked } from '../parts/asked.ts'
import { confirm } from '../parts/confirm.tsx'
import { Heads } from '../parts/heads.tsx'
import { useOrder } from '../parts/order.ts'
import { Problem } from '../parts/problem.tsx'
import { NotSecured, Secret } from '../parts/secret.tsx'
import { typedIn, wordIn } from '../parts/typed.ts'
import { WordField } from '../parts/word-field.tsx'
import { ask } from '../session.ts'
import { stateOfToken } from './tokens.ts'

/** Tokens by which boards come into the fleet. */
export function Enrolment() {
  const { value: tokens, problem, isOpen, again } = useAsked<readonly TokenRow[]>('api/tokens')
  if (isOpen) return <NotSecured />
  if (tokens === undefined) return <Problem of={problem} />
  return (
    <>
      <NewToken onMade={again} />
      <div class="panel">
        {tokens.length === 0 ? (
          <p class="empty">There is no token.</p>
        ) : (
          <table class="wide">
            <caption class="unseen">Tokens, the newest first</caption>
            <Heads of={['token', 'for', 'state', 'until', 'by', '']} />
            <tbody>
              {tokens.map((token) => (
                <Row key={token.id} token={token} onChanged={again} />
              ))}
            </tbody>
          </table>
        )}
      </div>
    </>
  )
}

interface RowProps {
  readonly token: TokenRow
  onChanged(): Promise<void>
}

function Row({ token, onChanged }: RowProps) {
  const { id, node, replaces, untilTs, by } = token
  const state = stateOfToken(token, Date.now())
  const revoke = (): void =>
    confirm({
      title: `Revoke the token ${id}?`,
      lines: ['No board comes in by it any more. One that came already stays.'],
      verb: 'revoke it',
      run: async () => {
        await ask(`api/tokens/${encodeURIComponent(id)}`, { method: 'DELETE' })
        await onChanged()
      },
    })
  return (
    <tr>
      <th scope="row">
        <code>{id}</code>
      </th>
      <td data-title="for">
        {node ?? 'any new node'}
        {replaces && ', in the place of its key'}
      </td>
      <td data-title="state">{state}</td>
      <td data-title="until">{untilTs === undefined ? UNKNOWN : formatTime(untilTs)}</td>
      <td data-title="by">{by}</td>
      <td class="number">
        {state === 'open' && (
          <button type="button" onClick={revoke}>
            revoke…
          </button>
        )}
      </td>
    </tr>
  )
}

function NewToken({ onMade }: { onMade(): Promise<void> }) {
  const [token, setToken] = useState('')
  const { run, isBusy, problem } = useOrder()
  const submit = (event: SubmitEvent): void => {
    const form = typedIn(event)
    const node = wordIn(form, 'node')
    const body = {
      ...(node !== '' && { node }),
      ...(form.get('replace') === 'on' && { replace: true }),
      ttl_hours: Number(form.get('hours')),
    }
    void run(async () => {
      const made = await ask<{ token: string }>('api/tokens', { method: 'POST', body })
      setToken(made.token)
      await onMade()
    })
  }
  return (
    <>
      <form class="panel spaced line" onSubmit={submit}>
        <WordField title="for node" name="node" placeholder="any new one" />
        <label>
          good for{' '}
          <input name="hours" type="number" min="0.01" max="2160" step="any" value="24" required />{' '}
          hours
        </label>
        <label class="check">
          <input name="replace" type="checkbox" /> instead of the key that it has
        </label>
        <button type="submit" class="main" disabled={isBusy}>
          make a token
        </button>
        <Problem of={problem} />
      </form>
      {token !== '' && <Secret title="The token for the board." value={token} />}
    </>
  )
}
