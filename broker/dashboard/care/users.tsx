import { useState } from 'preact/hooks'
import { ROLES } from '../../../shared/protocol/access.ts'
import type { UserRow } from '../answers.ts'
import { counted, formatTime, UNKNOWN } from '../format.ts'
import { useAsked } from '../parts/asked.ts'
import { confirm } from '../parts/confirm.tsx'
import { Heads } from '../parts/heads.tsx'
import { useOrder } from '../parts/order.ts'
import { Problem } from '../parts/problem.tsx'
import { NotSecured, Secret } from '../parts/secret.tsx'
import { typedIn } from '../parts/typed.ts'
import { WordField } from '../parts/word-field.tsx'
import { ask, who } from '../session.ts'

const pathOf = (name: string): string => `api/identities/user/${encodeURIComponent(name)}`

/** Who may do what. A submitter's grant is set by the command: obelisk user. */
export function Users() {
  const {
    value: users,
    problem,
    isOpen,
    again,
  } = useAsked<readonly UserRow[]>('api/identities/user')
  const [secret, setSecret] = useState<{ title: string; value: string } | undefined>(undefined)
  if (isOpen) return <NotSecured />
  if (users === undefined) return <Problem of={problem} />
  return (
    <>
      <NewUser onMade={again} />
      {secret !== undefined && <Secret {...secret} />}
      <div class="panel">
        <table class="wide">
          <caption class="unseen">Users</caption>
          <Heads of={['user', 'roles', 'proved by', 'last here', '']} />
          <tbody>
            {users.map((user) => (
              <Row key={user.name} user={user} onChanged={again} onSecret={setSecret} />
            ))}
          </tbody>
        </table>
      </div>
    </>
  )
}

interface RowProps {
  readonly user: UserRow
  onChanged(): Promise<void>
  onSecret(secret: { readonly title: string; readonly value: string }): void
}

function Row({ user, onChanged, onSecret }: RowProps) {
  const { name, roles, hasPassword, tokens, disabledTs, lastTs } = user
  const { run, isBusy, problem } = useOrder()
  const isDisabled = disabledTs !== undefined
  const change = (body: object): Promise<unknown> =>
    ask(pathOf(name), { method: 'PUT', body }).then(onChanged)
  const disable = (): void =>
    confirm({
      title: `Disable ${name}?`,
      lines: [`${name} is logged out everywhere, and comes in again only once enabled.`],
      verb: `disable ${name}`,
      run: () => change({ disabled: true }),
    })
  const remove = (): void =>
    confirm({
      title: `Remove ${name}?`,
      lines: [
        `${name} is logged out everywhere; the password, ${counted(tokens.length, 'token')} and the keys are gone. Tasks stay.`,
      ],
      verb: `remove ${name}`,
      run: () => ask(pathOf(name), { method: 'DELETE' }).then(onChanged),
    })
  const addToken = (): Promise<boolean> =>
    run(async () => {
      const made = await ask<{ token: string }>(`${pathOf(name)}/tokens`, {
        method: 'POST',
        body: {},
      })
      onSecret({ title: `A token of ${name}, good for 90 days.`, value: made.token })
      await onChanged()
    })
  return (
    <tr>
      <th scope="row">{name}</th>
      <td data-title="roles">
        {roles.join(', ') || 'none'}
        {isDisabled && <span class="bad"> · disabled</span>}
      </td>
      <td data-title="proved by">
        {[
          ...(hasPassword ? ['password'] : []),
          ...(tokens.length > 0 ? [counted(tokens.length, 'token')] : []),
        ].join(', ') || UNKNOWN}
      </td>
      <td data-title="last here">{lastTs === undefined ? 'never' : formatTime(lastTs)}</td>
      <td>
        <div class="buttons end">
          <Problem of={problem} />
          <button type="button" disabled={isBusy} onClick={() => void addToken()}>
            new token
          </button>
          {name !== who.value?.user && (
            <>
              {isDisabled ? (
                <button
                  type="button"
                  disabled={isBusy}
                  onClick={() => void run(() => change({ disabled: false }))}
                >
                  enable
                </button>
              ) : (
                <button type="button" onClick={disable}>
                  disable…
                </button>
              )}
              <button type="button" onClick={remove}>
                remove…
              </button>
            </>
          )}
        </div>
      </td>
    </tr>
  )
}

function NewUser({ onMade }: { onMade(): Promise<void> }) {
  const { run, isBusy, problem } = useOrder()
  const submit = (event: SubmitEvent): void => {
    const element = event.currentTarget as HTMLFormElement
    const form = typedIn(event)
    const body = { roles: [form.get('role')], password: form.get('password') }
    void run(async () => {
      await ask(pathOf(`${form.get('name')}`), { method: 'POST', body })
      element.reset()
      await onMade()
    })
  }
  return (
    <form class="panel spaced line" onSubmit={submit}>
      <WordField title="name" name="name" required autocomplete="off" />
      <label>
        role{' '}
        <select name="role">
          {ROLES.map((role) => (
            <option key={role}>{role}</option>
          ))}
        </select>
      </label>
      <label>
        password{' '}
        <input name="password" type="password" minLength={8} required autocomplete="new-password" />
      </label>
      <button type="submit" class="main" disabled={isBusy}>
        add
      </button>
      <Problem of={problem} />
    </form>
  )
}
