import type { CheckedView } from '../../../shared/protocol/codex-views.ts'
import { Folded } from '../parts/folded.tsx'
import { Heads } from '../parts/heads.tsx'

/** What a program becomes: each microglyph with its line, its registers, and what it costs. */
export function Explained({ of: { microglyphs, hash } }: { readonly of: CheckedView }) {
  return (
    <Folded title="microglyphs">
      <div class="scroll">
        <table class="small">
          <Heads of={['line', 'microglyph', 'cost']} numbers={['line', 'cost']} />
          <tbody>
            {microglyphs.map(({ text, cost }, index) => (
              <tr key={index}>
                <td class="number">{index + 1}</td>
                <td>
                  <code class="drawn">{text}</code>
                </td>
                <td class="number">{cost}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="soft hash">hash {hash}</p>
    </Folded>
  )
}
