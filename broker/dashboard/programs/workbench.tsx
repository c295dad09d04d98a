import { useState } from 'preact/hooks'
import type { ContextView, SourceView } from '../../../shared/protocol/codex-views.ts'
import type { GridView } from '../../../shared/protocol/views.ts'
import { useAsked } from '../parts/asked.ts'
import { Folded } from '../parts/folded.tsx'
import { useOrder } from '../parts/order.ts'
import { Problem } from '../parts/problem.tsx'
import { typedIn, wordIn } from '../parts/typed.ts'
import { WordField } from '../parts/word-field.tsx'
import { ask, who } from '../session.ts'
import { TaskForm } from '../tasks/task-form.tsx'
import { Allowed } from './allowed.tsx'
import { useCheck } from './check.ts'
import { Editor } from './editor.tsx'
import { typedText } from './places.ts'
import { operationOf, type Runnable } from './words.ts'

/** What was typed and is in no codex yet, by who typed it and what it was made from: a look at another view does not lose it. */
const drafts = new Map<string, string>()

interface Props {
  /** The version that is there at first; without one a new program is written. */
  readonly of?: SourceView
  /** What a task says to get that version. */
  readonly op?: string
  readonly contexts: readonly ContextView[]
}

/** A program: its text, what comes of it, and what can be done with it. */
export function Workbench({ of, op, contexts }: Props) {
  const key = [who.value?.user, of?.name, of?.version].join('@')
  const original = typedText(of?.source ?? '')
  const [text, setText] = useState(drafts.get(key) ?? original)
  const outcome = useCheck(text)
  const type = (typed: string): void => {
    if (typed === original) drafts.delete(key)
    else drafts.set(key, typed)
    setText(typed)
  }
  const isChanged = text !== original
  const explained = outcome?.kind === 'sound' ? outcome.value : undefined
  const runnable: Runnable | undefined = explained && {
    explained,
    ...(op === undefined || isChanged
      ? { op: 'program', does: 'runs the text above, once' }
      : { op, does: `runs version ${of!.version} of ${of!.name}`, contexts }),
  }
  return (
    <div class="panel spaced workbench">
      <Editor text={text} outcome={outcome} type={type} />
      {isChanged && of !== undefined && (
        <button type="button" class="start" onClick={() => type(original)}>
          as it was defined
        </button>
      )}
      <Define of={of} source={text} onDone={() => drafts.delete(key)} />
      <Folded title="Run">
        {runnable === undefined ? (
          <p class="soft">It can be run once it is sound.</p>
        ) : (
          <Run runnable={runnable} source={text} />
        )}
      </Folded>
    </div>
  )
}

interface DefineProps {
  readonly of: SourceView | undefined
  readonly source: string
  onDone(): void
}

function Define({ of, source, onDone }: DefineProps) {
  const { run, isBusy, problem } = useOrder()
  const submit = (event: SubmitEvent): void => {
    const form = typedIn(event)
    const name = of?.name ?? wordIn(form, 'name')
    const glyph = of === undefined ? wordIn(form, 'glyph') : ''
    const body = { source, ...(glyph !== '' && { glyph }), ...(of && { parent: of.version }) }
    void run(async () => {
      const path = `api/codex/${encodeURIComponent(name)}`
      const { version } = await ask<{ version: number }>(path, { method: 'PUT', body })
      onDone()
      location.hash = `#programs/${encodeURIComponent(name)}?version=${version}`
    })
  }
  return (
    <form class="line" onSubmit={submit}>
      <Allowed title="Defining" right="operate">
        <div class="buttons">
          {of === undefined && (
            <>
              <WordField title="name" name="name" required autocomplete="off" />
              <WordField title="glyph (optional)" name="glyph" autocomplete="off" />
            </>
          )}
          <button type="submit" class="main" disabled={isBusy}>
            {of === undefined ? 'define' : `define another version of ${of.name}`}
          </button>
        </div>
      </Allowed>
      <Problem of={problem} />
    </form>
  )
}

function Run({ runnable, source }: { readonly runnable: Runnable; readonly source: string }) {
  const { value: grid, problem } = useAsked<GridView>('api/grid')
  if (grid === undefined) return <Problem of={problem} />
  const { op } = runnable
  const given: { source?: string[] } = op === 'program' ? { source: [source] } : {}
  return (
    <Allowed title="Running" right="submit">
      <TaskForm operation={operationOf(runnable)} grid={grid} given={given} />
    </Allowed>
  )
}
