import { formatNumber } from './format.ts'
import { isLoaded, nodes } from './live.ts'

export function Fleet() {
  if (!isLoaded.value) return null
  return (
    <section aria-labelledby="fleet">
      <h2 id="fleet">Fleet</h2>
      <table>
        <thead>
          <tr>
            <th scope="col">node</th>
            <th scope="col">state</th>
            <th scope="col" class="number">
              tiles
            </th>
          </tr>
        </thead>
        <tbody>
          {nodes.value.map((node) => (
            <tr key={node.id}>
              <th scope="row">{node.id}</th>
              <td>{node.state}</td>
              <td class="number">{formatNumber(node.tiles)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}
