import { useEffect, useState } from 'preact/hooks'
import { ObeliskError } from '../../../shared/client/obelisk-error.ts'
import { isEnded } from '../../../shared/protocol/states.ts'
import type { TaskRow } from '../answers.ts'
import { formatTime, UNKNOWN } from '../format.ts'
import { refresh } from '../live.ts'
import { Code } from '../parts/code.tsx'
import { confirm } from '../parts/confirm.tsx'
import { Facts } from '../parts/facts.tsx'
import { useOrder } from '../parts/order.ts'
import { Problem } from '../parts/problem.tsx'
import { save } from '../parts/save.ts'
import { answerTo, ask, may } from '../session.ts'
import { Result, type TaskResult } from './result.tsx'

/** One task with its result. `task` is left out where the list does not have it: it is asked for. */
export function TaskDetail({ id, task }: { readonly id: string; readonly task?: TaskRow }) {
  const [found, setFound] = useState<TaskRow | undefined>(task)
  const [problem, setProblem] = useState('')
  useEffect(() => {
    if (task !== undefined) return
    ask<TaskRow>(`api/tasks/${encodeURIComponent(id)}`).then(setFound, (error: Error) => {
      setProblem(error.message)
    })
  }, [id, task])
  const shown = task ?? found
  if (shown === undefined) return <Problem of={problem} />
  const { state, error, effect, accepted_ts: accepted, ended_ts: ended, deadline_ts: due } = shown
  const time = (ts: number | undefined): string => (ts === undefined ? UNKNOWN : formatTime(ts))
  return (
    <div class="detail">
      {error !== undefined && (
        <div>
          <p class="bad">{error.message}</p>
          <Code code={error.code} />
        </div>
      )}
      <Facts
        of={[
          ['accepted', time(accepted)],
          isEnded(state) ? ['ended', time(ended)] : ['must end', time(due)],
          ['effect', effect ?? UNKNOWN],
        ]}
      />
      {isEnded(state) ? <Outcome task={shown} /> : may('submit') && <Cancel id={id} />}
    </div>
  )
}

function Outcome({ task }: { readonly task: TaskRow }) {
  const { id, op, state } = task
  const [region, setRegion] = useState(task.region)
  const [result, setResult] = useState<TaskResult | undefined>(undefined)
  const [problem, setProblem] = useState('')
  useEffect(() => {
    setProblem('')
    ask<TaskResult>(`${pathOf(id)}?wait=2s`).then(setResult, (error: Error) => {
      setProblem(error instanceof ObeliskError ? error.message : 'the result could not be read')
    })
  }, [id, state])
  useEffect(() => {
    // The stream tells what writes go over, and not reads.
    if (op === 'get' && task.region === undefined) {
      ask<TaskRow>(`api/tasks/${encodeURIComponent(id)}`).then(
        (told) => setRegion(told.region),
        () => {},
      )
    }
  }, [id])
  return (
    <>
      {problem !== '' && <p class="soft">{problem}</p>}
      {result !== undefined && <Result result={result} region={region} />}
      {result !== undefined && <Files id={id} />}
    </>
  )
}

const FORMS = { json: 'application/json', cbor: 'application/cbor' } as const

function Files({ id }: { readonly id: string }) {
  const { run, isBusy, problem } = useOrder()
  const fetchAs = (form: keyof typeof FORMS): void => {
    const accept = FORMS[form]
    void run(async () => {
      const { body } = await answerTo(pathOf(id), { accept })
      save(`${id}.${form}`, accept, body)
    })
  }
  return (
    <div class="buttons">
      <button type="button" disabled={isBusy} onClick={() => fetchAs('json')}>
        save as JSON
      </button>
      <button type="button" disabled={isBusy} onClick={() => fetchAs('cbor')}>
        save as CBOR
      </button>
      <Problem of={problem} />
    </div>
  )
}

function Cancel({ id }: { readonly id: string }) {
  const cancel = (): void =>
    confirm({
      title: `Cancel ${id}?`,
      lines: ['It ends without a result. A write that has its place in the order goes on.'],
      verb: 'cancel it',
      run: async () => {
        await ask(`api/tasks/${encodeURIComponent(id)}`, { method: 'DELETE' })
        await refresh()
      },
    })
  return (
    <div class="buttons">
      <button type="button" onClick={cancel}>
        cancel…
      </button>
    </div>
  )
}

function pathOf(id: string): string {
  return `api/tasks/${encodeURIComponent(id)}/result`
}
