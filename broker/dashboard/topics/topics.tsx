import { useEffect, useState } from 'preact/hooks'
import { formatBytes, formatClock, formatNumber } from '../format.ts'
import { useAsked } from '../parts/asked.ts'
import { Heads } from '../parts/heads.tsx'
import { Problem } from '../parts/problem.tsx'
import { Segments } from '../parts/segments.tsx'
import { typedIn, wordIn } from '../parts/typed.ts'
import { WordField } from '../parts/word-field.tsx'
import { route, setQuery } from '../route.ts'
import { isCut, previewOf, type TopicRow, wholeOf, withNewest } from './rows.ts'

const PAGE = 100

/** What is retained below a filter, and what is published now. */
export function Topics() {
  const { filter = '#', live } = route.value.query
  const submit = (event: SubmitEvent): void => {
    const typed = wordIn(typedIn(event), 'filter')
    setQuery({ filter: typed === '#' ? '' : typed })
  }
  return (
    <>
      <search class="tools">
        <form class="line" onSubmit={submit}>
          <WordField title="filter" key={filter} name="filter" defaultValue={filter} />
          <button type="submit">show</button>
        </form>
        <Segments
          title="Which messages"
          options={[
            ['', 'retained'],
            ['1', 'live'],
          ]}
          chosen={live === '1' ? '1' : ''}
          choose={(live) => setQuery({ live })}
        />
      </search>
      {live === '1' ? (
        <Tail key={filter} filter={filter} />
      ) : (
        <Retained key={filter} filter={filter} />
      )}
    </>
  )
}

function Retained({ filter }: { readonly filter: string }) {
  const [after, setAfter] = useState('')
  const query = new URLSearchParams({ filter, limit: `${PAGE}`, ...(after !== '' && { after }) })
  const { value: rows, problem } = useAsked<readonly TopicRow[]>(`api/topics?${query}`)
  if (problem !== '') return <Problem of={problem} />
  if (rows === undefined) return null
  return (
    <>
      <Messages rows={rows} caption="Retained messages" nothing="Nothing is retained there." />
      <div class="buttons pages">
        {after !== '' && (
          <button type="button" onClick={() => setAfter('')}>
            from the beginning
          </button>
        )}
        {rows.length === PAGE && (
          <button type="button" onClick={() => setAfter(rows.at(-1)!.topic)}>
            more
          </button>
        )}
      </div>
    </>
  )
}

function Tail({ filter }: { readonly filter: string }) {
  const [rows, setRows] = useState<readonly TopicRow[]>([])
  const [left, setLeft] = useState(0)
  useEffect(() => {
    const stream = new EventSource(`api/topics/live?${new URLSearchParams({ filter })}`)
    stream.onmessage = ({ data }) => setRows((tail) => withNewest(tail, JSON.parse(data)))
    stream.addEventListener('left-out', ({ data }) => {
      setLeft((count) => count + JSON.parse(data).events)
    })
    return () => stream.close()
  }, [filter])
  return (
    <>
      {left > 0 && (
        <p class="soft spaced-after">
          {formatNumber(left)} more came than 20 a second, and are not shown.
        </p>
      )}
      <Messages rows={rows} caption="Messages, the newest first" nothing="Nothing has come yet." />
    </>
  )
}

interface MessagesProps {
  readonly rows: readonly TopicRow[]
  readonly caption: string
  readonly nothing: string
}

function Messages({ rows, caption, nothing }: MessagesProps) {
  if (rows.length === 0) return <p class="panel empty">{nothing}</p>
  return (
    <div class="panel">
      <table class="wide messages">
        <caption class="unseen">{caption}</caption>
        <Heads of={['topic', 'message', 'bytes']} numbers={['bytes']} />
        <tbody>
          {rows.map((row) => (
            <tr key={`${row.ts ?? ''} ${row.topic}`}>
              <th scope="row">
                {row.topic}
                {row.ts !== undefined && (
                  <span class="soft when"> {formatClock(row.ts, Date.now())}</span>
                )}
              </th>
              <td class="value">
                <Value row={row} />
              </td>
              <td class="number">
                {formatBytes(row.bytes)} <span class="soft">{row.kind}</span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Value({ row }: { readonly row: TopicRow }) {
  if (!isCut(row)) return <code>{previewOf(row)}</code>
  return (
    <details>
      <summary>
        <code>{previewOf(row)}</code>
      </summary>
      <pre>{wholeOf(row)}</pre>
    </details>
  )
}
