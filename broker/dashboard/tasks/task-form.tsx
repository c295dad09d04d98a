import { useSignal } from '@preact/signals'
import { useOrder } from '../parts/order.ts'
import { ask } from '../session.ts'

const EXAMPLE = `{
  "op": "stat",
  "region": { "x": 0, "y": 0, "w": 64, "h": 64 },
  "args": { "field": "value", "bins": 32 }
}`

/** A task as JSON: what it may be stands in docs/protocol.md, Submitting. */
export function TaskForm() {
  const text = useSignal(EXAMPLE)
  const { run, isBusy, problem } = useOrder()
  const submit = (event: SubmitEvent): void => {
    event.preventDefault()
    void run(async () => {
      const body = JSON.parse(text.value) as object
      const { id } = await ask<{ id: string }>('process', { method: 'POST', body })
      location.hash = `#tasks/${encodeURIComponent(id)}`
    })
  }
  return (
    <details class="new-task">
      <summary>New task</summary>
      <form class="panel spaced" onSubmit={submit}>
        <label>
          Task as JSON
          <textarea
            rows={7}
            spellcheck={false}
            value={text}
            onInput={(event) => {
              text.value = event.currentTarget.value
            }}
          />
        </label>
        <p class="problem" role="alert">
          {problem}
        </p>
        <button type="submit" class="main" disabled={isBusy}>
          submit
        </button>
      </form>
    </details>
  )
}
