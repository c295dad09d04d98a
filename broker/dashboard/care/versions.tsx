import { useEffect, useState } from 'preact/hooks'
import type { NodeRow } from '../answers.ts'
import { conditionOf } from '../fleet/rows.ts'
import { formatNumber, UNKNOWN } from '../format.ts'
import { isLoaded } from '../live.ts'
import { isLarge, nodes, readEveryNode } from '../nodes.ts'
import { Heads } from '../parts/heads.tsx'
import { Mark } from '../parts/mark.tsx'
import { versionsOf } from './versions.ts'

const NAMED_MAX = 100

/** Of a large fleet as they were when this was opened; nothing until they are here. */
function useEveryNode(): readonly NodeRow[] | undefined {
  const [every, setEvery] = useState<readonly NodeRow[] | undefined>(undefined)
  const isPart = isLarge.value
  useEffect(() => {
    if (isPart) readEveryNode().then(setEvery, () => {})
  }, [isPart])
  return isPart ? every : nodes.value
}

/** What each board runs. */
export function Versions() {
  const every = useEveryNode()
  if (!isLoaded.value || every === undefined) return null
  const members = every.filter(({ state }) => state !== 'left')
  return (
    <div class="panel">
      <table>
        <caption class="unseen">Version of each node</caption>
        <Heads of={['version', 'nodes', 'which']} numbers={['nodes']} />
        <tbody>
          {versionsOf(members).map(({ version, nodes }) => (
            <tr key={version}>
              <th scope="row">{version ?? UNKNOWN}</th>
              <td class="number">{formatNumber(nodes.length)}</td>
              <td class="wraps">
                {nodes.slice(0, NAMED_MAX).map((node) => {
                  const { shape, mood, word } = conditionOf(node)
                  return (
                    <a key={node.id} class="chip" href={`#fleet/${encodeURIComponent(node.id)}`}>
                      <Mark shape={shape} mood={mood} />
                      {node.id} <span class="unseen">{word}</span>
                    </a>
                  )
                })}
                {nodes.length > NAMED_MAX && (
                  <span class="soft">and {formatNumber(nodes.length - NAMED_MAX)} more</span>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
