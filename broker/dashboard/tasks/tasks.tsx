import { Fragment } from 'preact'
import { isEnded } from '../../../shared/protocol/states.ts'
import type { TaskRow } from '../answers.ts'
import { formatClock, formatSpan, UNKNOWN } from '../format.ts'
import { clockOffsetMs } from '../link.ts'
import { isLoaded, tasks } from '../live.ts'
import { type Loadable, useLoaded } from '../loading.ts'
import { now } from '../now.ts'
import { Folded } from '../parts/folded.tsx'
import { Heads } from '../parts/heads.tsx'
import { Mark } from '../parts/mark.tsx'
import { Segments } from '../parts/segments.tsx'
import { route, setQuery } from '../route.ts'
import { may } from '../session.ts'
import { TaskDetail } from './task-detail.tsx'
import { conditionOf, FILTERS, type Filter, isShown } from './words.ts'

const HEADS = ['task', 'does', 'state', 'parts', 'took', 'since']

export function Tasks() {
  if (!isLoaded.value) return null
  const filter = FILTERS.find((one) => one === route.value.query.show) ?? 'all'
  const { item } = route.value
  const shown = tasks.value.filter((task) => isShown(task, filter))
  const isKnown = item === undefined || tasks.value.some(({ id }) => id === item)
  return (
    <>
      {may('submit') && (
        <Folded title="New task">
          <Form />
        </Folded>
      )}
      <Tools filter={filter} />
      {!isKnown && (
        <div class="panel spaced">
          <h3>{item}</h3>
          <TaskDetail id={item} />
        </div>
      )}
      <div class="panel">
        {shown.length === 0 ? (
          <p class="empty">
            {tasks.value.length === 0 ? 'There is no task yet.' : 'None is like that.'}
          </p>
        ) : (
          <table class="tasks">
            <caption class="unseen">Tasks, the newest first</caption>
            <Heads of={HEADS} numbers={['took', 'since']} />
            <tbody>
              {shown.map((task) => (
                <Row key={task.id} task={task} isOpen={item === task.id} />
              ))}
            </tbody>
          </table>
        )}
      </div>
    </>
  )
}

/** It comes with what else one writes (programs.ts). */
const FORM: Loadable = {
  id: 'new-task',
  load: async () => (await import('../programs.ts')).NewTask,
}

function Form() {
  const NewTask = useLoaded(FORM)
  return NewTask ? <NewTask /> : null
}

function Tools({ filter }: { readonly filter: Filter }) {
  return (
    <div class="tools">
      <Segments
        title="Which tasks"
        options={FILTERS.map((one) => [
          one,
          `${one} ${tasks.value.filter((task) => isShown(task, one)).length}`,
        ])}
        chosen={filter}
        choose={(one) => setQuery({ show: one === 'all' ? '' : one })}
      />
    </div>
  )
}

function Row({ task, isOpen }: { readonly task: TaskRow; readonly isOpen: boolean }) {
  const { word, shape, mood } = conditionOf(task)
  const { shards } = task
  const toggle = (): void => {
    location.hash = isOpen ? '#tasks' : `#tasks/${encodeURIComponent(task.id)}`
  }
  return (
    <Fragment>
      <tr class={isOpen ? 'open' : ''}>
        <th scope="row">
          <button type="button" class="row" aria-expanded={isOpen} onClick={toggle}>
            {task.id}
          </button>
        </th>
        <td>{task.op}</td>
        <td>
          <Mark shape={shape} mood={mood} />
          &nbsp;{word}
        </td>
        <td>
          {isEnded(task.state) ? (
            shards.total
          ) : (
            <progress
              max={shards.total || 1}
              value={shards.done}
              aria-label={`${shards.done} of ${shards.total} parts are done`}
            />
          )}
        </td>
        <td class="number">
          <Took task={task} />
        </td>
        <td class="number">
          <Since ts={task.accepted_ts ?? task.ts} />
        </td>
      </tr>
      {isOpen && (
        <tr class="under">
          <td colSpan={HEADS.length}>
            <TaskDetail id={task.id} task={task} />
          </td>
        </tr>
      )}
    </Fragment>
  )
}

function Took({ task: { accepted_ts: from, ended_ts: until } }: { readonly task: TaskRow }) {
  if (from === undefined) return <>{UNKNOWN}</>
  return <>{formatSpan((until ?? now.value + clockOffsetMs.value) - from)}</>
}

function Since({ ts }: { readonly ts: number }) {
  return <time dateTime={new Date(ts).toISOString()}>{formatClock(ts, Date.now())}</time>
}
