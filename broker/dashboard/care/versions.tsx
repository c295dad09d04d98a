import { conditionOf } from '../fleet/rows.ts'
import { UNKNOWN } from '../format.ts'
import { isLoaded, members } from '../live.ts'
import { Mark } from '../parts/mark.tsx'
import { versionsOf } from './versions.ts'

/** What each board runs. */
export function Versions() {
  if (!isLoaded.value) return null
  return (
    <div class="panel">
      <table>
        <caption class="unseen">Version of each node</caption>
        <thead>
          <tr>
            <th scope="col">version</th>
            <th scope="col">nodes</th>
          </tr>
        </thead>
        <tbody>
          {versionsOf(members.value).map(({ version, nodes }) => (
            <tr key={version}>
              <th scope="row">{version ?? UNKNOWN}</th>
              <td class="wraps">
                {nodes.map((node) => {
                  const { shape, mood, word } = conditionOf(node)
                  return (
                    <a key={node.id} class="chip" href={`#fleet/${encodeURIComponent(node.id)}`}>
                      <Mark shape={shape} mood={mood} />
                      {node.id} <span class="unseen">{word}</span>
                    </a>
                  )
                })}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
