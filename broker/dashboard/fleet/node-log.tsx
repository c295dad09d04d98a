import { useEffect, useState } from 'preact/hooks'
import {
  LOG_AGAIN_MS,
  LOG_FOLLOWED_MS,
  LOG_LINES_AT_ONCE,
  LOG_LINES_MAX,
  LOG_TIMEOUT_MS,
  logLineText,
} from '../../../shared/protocol/log-line.ts'
import type { LogView } from '../../../shared/protocol/views.ts'
import { formatNumber, formatTime } from '../format.ts'
import { Folded } from '../parts/folded.tsx'
import { Problem } from '../parts/problem.tsx'
import { Segments } from '../parts/segments.tsx'
import { ask } from '../session.ts'

/** The last lines that a board has logged, and those that come while they are followed. */
export function NodeLog({ node }: { readonly node: string }) {
  return (
    <Folded title="log">
      <Lines node={node} />
    </Folded>
  )
}

function Lines({ node }: { readonly node: string }) {
  const [level, setLevel] = useState('debug')
  const [isFollowed, setFollowed] = useState(false)
  const [log, setLog] = useState<Omit<LogView, 'next'>>({ lines: [], left: 0 })
  const [problem, setProblem] = useState('')
  useEffect(() => {
    const end = new AbortController()
    const { signal } = end
    const path = `api/nodes/${encodeURIComponent(node)}/log?level=${level}&lines=`
    const untilMs = performance.now() + LOG_FOLLOWED_MS
    let timer: ReturnType<typeof setTimeout> | undefined
    let next: string | undefined
    const more = async (): Promise<void> => {
      const isFirst = next === undefined
      const wish = isFirst ? `${LOG_LINES_MAX}` : `${LOG_LINES_AT_ONCE}&after=${next}`
      const came = await ask<LogView>(path + wish, { signal, timeoutMs: LOG_TIMEOUT_MS })
      next = encodeURIComponent(came.next)
      setProblem('')
      setLog(({ lines, left }) =>
        isFirst
          ? came
          : { lines: [...lines, ...came.lines].slice(-LOG_LINES_MAX), left: left + came.left },
      )
    }
    const read = async (): Promise<void> => {
      if (!document.hidden) {
        await more().catch((error: Error) => signal.aborted || setProblem(error.message))
      }
      if (!isFollowed || signal.aborted) return
      if (performance.now() > untilMs) setFollowed(false)
      else timer = setTimeout(read, LOG_AGAIN_MS)
    }
    void read()
    return () => {
      end.abort()
      clearTimeout(timer)
    }
  }, [node, level, isFollowed])
  return (
    <div class="history">
      <div class="buttons">
        <Segments
          title="Which lines"
          options={[
            ['debug', 'all'],
            ['warn', 'warnings'],
          ]}
          chosen={level}
          choose={setLevel}
        />
        <button type="button" aria-pressed={isFollowed} onClick={() => setFollowed(!isFollowed)}>
          {isFollowed ? 'stop' : 'follow'}
        </button>
      </div>
      <Problem of={problem} />
      <pre class="log" role="log" aria-label={`log of ${node}`}>
        <code>{log.lines.map((line) => `${logLineText(line, formatTime)}\n`)}</code>
      </pre>
      <p class="soft">
        {log.left > 0 && `${formatNumber(log.left)} lines were left out. `}Older ones are in the
        journal of the board.
      </p>
    </div>
  )
}
