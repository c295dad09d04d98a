import { useEffect, useRef, useState } from 'preact/hooks'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { login } from './session.ts'

const WRONG = {
  password: 'that name and that password do not belong together',
  token: 'that token is wrong, has expired or was revoked',
}

/** Lies over what was shown, which goes on once somebody is known. */
export function Login() {
  const dialog = useRef<HTMLDialogElement>(null)
  const [problem, setProblem] = useState('')
  const [isBusy, setBusy] = useState(false)
  useEffect(() => dialog.current?.showModal(), [])
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault()
    const form = new FormData(event.currentTarget as HTMLFormElement)
    const [name, password] = [`${form.get('name')}`, `${form.get('password')}`]
    setBusy(true)
    setProblem('')
    try {
      await login(name === '' ? { token: password } : { name, password })
    } catch (error) {
      const isWrong = error instanceof ObeliskError && error.status === 401
      setProblem(isWrong ? WRONG[name === '' ? 'token' : 'password'] : (error as Error).message)
      setBusy(false)
    }
  }
  return (
    <dialog ref={dialog} class="login" aria-labelledby="login" onCancel={(e) => e.preventDefault()}>
      <form onSubmit={submit}>
        <h2 id="login">Who are you?</h2>
        <label>
          Name <span class="soft">(empty for a token)</span>
          <input name="name" autocomplete="username" autocapitalize="none" spellcheck={false} />
        </label>
        <label>
          Password or token
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        <p class="problem" role="alert">
          {problem}
        </p>
        <button type="submit" class="main" disabled={isBusy}>
          log in
        </button>
      </form>
    </dialog>
  )
}
