/** Asks once before something is taken away, and names what goes. Says in the same place if it could not be done. */
import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { useOrder } from './order.ts'
import { Problem } from './problem.tsx'

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
  const order = useOrder()
  useEffect(() => dialog.current?.showModal(), [])
  const close = (): void => {
    question.value = undefined
  }
  const go = async (): Promise<void> => {
    if (await order.run(run)) close()
  }
  return (
    <dialog ref={dialog} class="asking" aria-labelledby="asking" onClose={close}>
      <h2 id="asking">{title}</h2>
      {lines.map((line) => (
        <p key={line}>{line}</p>
      ))}
      <Problem of={order.problem} />
      <div class="buttons">
        <button type="button" onClick={close}>
          cancel
        </button>
        <button type="button" class="danger" disabled={order.isBusy} onClick={() => void go()}>
          {verb}
        </button>
      </div>
    </dialog>
  )
}
