import { useEffect, useRef } from 'preact/hooks'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { useOrder } from './parts/order.ts'
import { Problem } from './parts/problem.tsx'
import { typedIn } from './parts/typed.ts'
import { WordField } from './parts/word-field.tsx'
import { login } from './session.ts'

const WRONG = {
  password: 'that name and that password do not belong together',
  token: 'that token is wrong, has expired or was revoked',
}

/** Lies over what was shown, which goes on once somebody is known. */
export function Login() {
  const dialog = useRef<HTMLDialogElement>(null)
  const { run, isBusy, problem } = useOrder()
  useEffect(() => dialog.current?.showModal(), [])
  const submit = (event: SubmitEvent): void => {
    const form = typedIn(event)
    const [name, password] = [`${form.get('name')}`, `${form.get('password')}`]
    void run(async () => {
      try {
        await login(name === '' ? { token: password } : { name, password })
      } catch (error) {
        const isWrong = error instanceof ObeliskError && error.status === 401
        throw isWrong ? new Error(WRONG[name === '' ? 'token' : 'password']) : error
      }
    })
  }
  return (
    <dialog ref={dialog} class="login" aria-labelledby="login" onCancel={(e) => e.preventDefault()}>
      <form onSubmit={submit}>
        <h2 id="login">Who are you?</h2>
        <WordField
          title={
            <>
              Name <span class="soft">(empty for a token)</span>
            </>
          }
          name="name"
          autocomplete="username"
        />
        <label>
          Password or token
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        <Problem of={problem} />
        <button type="submit" class="main" disabled={isBusy}>
          log in
        </button>
      </form>
    </dialog>
  )
}
