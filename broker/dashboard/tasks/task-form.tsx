import type { ComponentChildren } from 'preact'
import type { OperationShown } from '../../../shared/operations/operation.ts'
import type { GridView } from '../../../shared/protocol/views.ts'
import { useOrder } from '../parts/order.ts'
import { Problem } from '../parts/problem.tsx'
import { typedIn } from '../parts/typed.ts'
import { WordField } from '../parts/word-field.tsx'
import { ask } from '../session.ts'
import { Control } from './controls.tsx'
import { type Typed, taskOf, typedOf } from './forms.ts'

interface Props {
  readonly operation: OperationShown
  /** Nothing where who submits may not look at it. */
  readonly grid?: GridView | undefined
  /** Arguments that are known, and have no control. */
  readonly given?: Typed
  /** What stands before the id. */
  readonly children?: ComponentChildren
}

/** A task of one operation. It is shown once it is accepted. */
export function TaskForm({ operation, grid, given = {}, children }: Props) {
  const { run, isBusy, problem } = useOrder()
  const submit = (event: SubmitEvent): void => {
    const form = typedIn(event)
    void run(async () => {
      const made = taskOf(operation, { ...typedOf(form), ...given })
      if (!made.ok) throw new Error(made.problems.join('\n'))
      const { id } = await ask<{ id: string }>('process', { method: 'POST', body: made.body })
      location.hash = `#tasks/${encodeURIComponent(id)}`
    })
  }
  const typed = operation.args.filter(({ name }) => !Object.hasOwn(given, name))
  return (
    <form class="panel spaced task-form" onSubmit={submit}>
      <div class="row">
        {children}
        <WordField title="id (optional)" name="id" />
      </div>
      <p class="soft">It {operation.does}.</p>
      <div class="row" key={operation.op}>
        {operation.over === 'region' && <RegionInputs grid={grid} />}
        {typed.map((argument) => (
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

function RegionInputs({ grid }: { readonly grid: GridView | undefined }) {
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
