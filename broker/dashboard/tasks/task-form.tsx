import { useState } from 'preact/hooks'
import type { OperationShown } from '../../../shared/operations/operation.ts'
import type { GridView } from '../../../shared/protocol/views.ts'
import { useAsked } from '../parts/asked.ts'
import { useOrder } from '../parts/order.ts'
import { Problem } from '../parts/problem.tsx'
import { typedIn } from '../parts/typed.ts'
import { WordField } from '../parts/word-field.tsx'
import { ask, may } from '../session.ts'
import { Control } from './controls.tsx'
import { taskOf, typedOf } from './forms.ts'

/** A task: its form is made of what the gateway says of the operation. */
export function TaskForm() {
  return (
    <details class="new-task">
      <summary>New task</summary>
      <Form />
    </details>
  )
}

function Form() {
  const { value: operations, problem } = useAsked<readonly OperationShown[]>('api/operations')
  if (operations === undefined) return <Problem of={problem} />
  // Who may not look at the grid has to know it.
  return may('read') ? <WithGrid operations={operations} /> : <Chosen operations={operations} />
}

function WithGrid({ operations }: { readonly operations: readonly OperationShown[] }) {
  const { value: grid, problem } = useAsked<GridView>('api/grid')
  if (grid === undefined) return <Problem of={problem} />
  return <Chosen operations={operations} grid={grid} />
}

interface ChosenProps {
  readonly operations: readonly OperationShown[]
  readonly grid?: GridView
}

function Chosen({ operations, grid }: ChosenProps) {
  const [op, setOp] = useState('stat')
  const { run, isBusy, problem } = useOrder()
  const operation = operations.find((one) => one.op === op) ?? operations[0]!
  const submit = (event: SubmitEvent): void => {
    const form = typedIn(event)
    void run(async () => {
      const made = taskOf(operation, typedOf(form))
      if (!made.ok) throw new Error(made.problems.join('\n'))
      const { id } = await ask<{ id: string }>('process', { method: 'POST', body: made.body })
      location.hash = `#tasks/${encodeURIComponent(id)}`
    })
  }
  return (
    <form class="panel spaced task-form" onSubmit={submit}>
      <div class="row">
        <label>
          does
          <select value={op} onChange={(event) => setOp(event.currentTarget.value)}>
            {operations.map((one) => (
              <option key={one.op}>{one.op}</option>
            ))}
          </select>
        </label>
        <WordField title="id (optional)" name="id" />
      </div>
      <p class="soft">It {operation.does}.</p>
      <div class="row" key={operation.op}>
        {operation.over === 'region' && <RegionInputs {...(grid && { grid })} />}
        {operation.args.map((argument) => (
          <Control key={argument.name} argument={argument} fields={grid?.fields ?? []} />
        ))}
        {operation.over === 'items' && (
          <label class="long">
            items <span class="soft">a line each: key=data</span>
            <textarea name="items" rows={4} spellcheck={false} required />
          </label>
        )}
      </div>
      <Problem of={problem} />
      <button type="submit" class="main" disabled={isBusy}>
        submit
      </button>
    </form>
  )
}

function RegionInputs({ grid }: { readonly grid?: GridView }) {
  const parts = [
    { name: 'x', title: 'x', value: grid && 0 },
    { name: 'y', title: 'y', value: grid && 0 },
    { name: 'w', title: 'width', value: grid?.width },
    { name: 'h', title: 'height', value: grid?.height },
  ]
  return (
    <>
      {parts.map(({ name, title, value }) => (
        <label key={name}>
          {title}
          <input type="number" name={name} min={0} required defaultValue={value ?? ''} />
        </label>
      ))}
    </>
  )
}
