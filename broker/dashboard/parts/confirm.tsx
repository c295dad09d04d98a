/** Asks once before something is taken away, and names what goes. Says in the same place if it could not be done. */
import { signal } from '@preact/signals'
import { useEffect, useRef, useState } from 'preact/hooks'

export interface Question {
  readonly title: string
  /** What will be, a paragraph each. */
  readonly lines: readonly string[]
  /** On the button. */
  readonly verb: string
  run(): Promise<unknown>
}

const question = signal<Question | undefined>(undefined)

export function confirm(asked: Question): void {
  question.value = asked
}

/** Stands once in the page. */
export function Confirmation() {
  const asked = question.value
  return asked === undefined ? null : <Asking key={asked.title} {...asked} />
}

function Asking({ title, lines, verb, run }: Question) {
  const dialog = useRef<HTMLDialogElement>(null)
  const [problem, setProblem] = useState('')
  const [isBusy, setBusy] = useState(false)
  useEffect(() => dialog.current?.showModal(), [])
  const close = (): void => {
    question.value = undefined
  }
  const go = async (): Promise<void> => {
    setBusy(true)
    setProblem('')
    try {
      await run()
      close()
    } catch (error) {
      setProblem((error as Error).message)
      setBusy(false)
    }
  }
  return (
    <dialog ref={dialog} class="asking" aria-labelledby="asking" onClose={close}>
      <h2 id="asking">{title}</h2>
      {lines.map((line) => (
        <p key={line}>{line}</p>
      ))}
      <p class="problem" role="alert">
        {problem}
      </p>
      <div class="buttons">
        <button type="button" onClick={close}>
          cancel
        </button>
        <button type="button" class="danger" disabled={isBusy} onClick={() => void go()}>
          {verb}
        </button>
      </div>
    </dialog>
  )
}
