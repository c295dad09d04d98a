import type { Happening } from '../answers.ts'
import { formatClock } from '../format.ts'
import { happenings } from '../live.ts'
import { Code } from '../parts/code.tsx'
import type { Mood, Shape } from '../parts/condition.ts'
import { Mark } from '../parts/mark.tsx'
import { Segments } from '../parts/segments.tsx'
import { route, setQuery } from '../route.ts'
import { chosenEvents, codesOf, LEVELS, type Level } from './choice.ts'

const NAMES: Readonly<Record<Level, string>> = { info: 'all', warn: 'warnings', error: 'errors' }
const MARKS: Readonly<Record<Level, readonly [Shape, Mood]>> = {
  info: ['ring', 'none'],
  warn: ['half', 'mild'],
  error: ['cross', 'bad'],
}

export function Events() {
  const { level, find = '' } = route.value.query
  const least = LEVELS.find((one) => one === level) ?? 'info'
  const shown = chosenEvents(happenings.value, { least, find })
  return (
    <>
      <search class="tools">
        <Segments
          title="Which events"
          options={LEVELS.map((one) => [
            one,
            `${NAMES[one]} ${chosenEvents(happenings.value, { least: one, find: '' }).length}`,
          ])}
          chosen={least}
          choose={(one) => setQuery({ level: one === 'info' ? '' : one })}
        />
        <label>
          <span class="unseen">Find by code, node or words</span>
          <input
            type="search"
            placeholder="find"
            list="codes"
            value={find}
            onInput={(event) => setQuery({ find: event.currentTarget.value })}
          />
        </label>
        <datalist id="codes">
          {codesOf(happenings.value).map(([code, count]) => (
            <option key={code} value={code}>
              {count}
            </option>
          ))}
        </datalist>
      </search>
      <div class="panel">
        {shown.length === 0 ? (
          <p class="empty">
            {happenings.value.length === 0
              ? 'Nothing has happened since the gateway was started.'
              : 'None is like that.'}
          </p>
        ) : (
          <ol class="events">
            {shown.map((one) => (
              <Line key={`${one.ts} ${one.code} ${one.message}`} happening={one} />
            ))}
          </ol>
        )}
      </div>
    </>
  )
}

function Line({ happening }: { readonly happening: Happening }) {
  const { ts, level, code, message, count } = happening
  const [shape, mood] = MARKS[level]
  return (
    <li>
      <time dateTime={new Date(ts).toISOString()}>{formatClock(ts, Date.now())}</time>
      <span class="what">
        <Mark shape={shape} mood={mood} />
        <span class="unseen">{level}: </span>
        {message}
        {count !== undefined && count > 1 && <span class="soft"> ({count} times)</span>}
      </span>
      <Code code={code} />
    </li>
  )
}
