import type { CodexView, ProgramRowView } from '../../../shared/protocol/codex-views.ts'
import { formatNumber, formatTime } from '../format.ts'
import { Folded } from '../parts/folded.tsx'
import { Heads } from '../parts/heads.tsx'
import { Problem } from '../parts/problem.tsx'
import { formatRoute, route } from '../route.ts'
import { Detail } from './detail.tsx'
import { Rules } from './rules.tsx'
import { useTold } from './told.ts'
import { kindWords, MAIN, takesWords } from './words.ts'
import { Workbench } from './workbench.tsx'

/** Programs that have a name, one of them with its versions, and the rules. */
export function Programs() {
  const { item, query } = route.value
  const isRules = item === undefined && query.show === 'rules'
  const parts = [
    { title: 'Codex', address: '#programs', isShown: !isRules },
    { title: 'Rules', address: '#programs?show=rules', isShown: isRules },
  ]
  return (
    <>
      <nav class="parts" aria-label="Parts of programs">
        {parts.map(({ title, address, isShown }) => (
          <a key={title} href={address} aria-current={isShown ? 'page' : undefined}>
            {title}
          </a>
        ))}
      </nav>
      {isRules ? <Rules /> : <Codex item={item} />}
    </>
  )
}

function Codex({ item }: { readonly item: string | undefined }) {
  const { value: codex, problem } = useTold<CodexView>('api/codex')
  if (codex === undefined) return <Problem of={problem} />
  if (item !== undefined) return <Detail key={item} name={item} contexts={codex.contexts} />
  return (
    <>
      <List codex={codex} />
      <Folded title="New program">
        <Workbench contexts={codex.contexts} />
      </Folded>
    </>
  )
}

const HEADS = ['program', 'number', 'current', 'does', 'cost', 'defined']

function List({ codex: { programs, contexts, integrity } }: { readonly codex: CodexView }) {
  return (
    <>
      {integrity < 1 && (
        <p class="note bad" role="alert">
          {formatNumber(100 * integrity, 1)} % of all versions are as they were defined.
        </p>
      )}
      <div class="panel">
        {programs.length === 0 ? (
          <p class="empty">No program has a name yet.</p>
        ) : (
          <table class="wide">
            <caption class="unseen">Programs</caption>
            <Heads of={HEADS} numbers={['number', 'cost']} />
            <tbody>
              {programs.map((one) => (
                <Row key={one.name} of={one} />
              ))}
            </tbody>
          </table>
        )}
      </div>
      {contexts
        .filter(({ name }) => name !== MAIN)
        .map(({ name, programs: named }) => (
          <p key={name} class="context">
            context {name}:{' '}
            {Object.entries(named)
              .map(([program, version]) => `${program}@${version}`)
              .join(', ')}
          </p>
        ))}
    </>
  )
}

function Row({ of }: { readonly of: ProgramRowView }) {
  const { name, number, glyph, version, latest, kind, parameters, cost, by, ts } = of
  return (
    <tr>
      <th scope="row">
        <a class="chip" href={formatRoute({ view: 'programs', item: name, query: {} })}>
          {glyph} {name}
        </a>
      </th>
      <td class="number" data-title="number">
        {number}
      </td>
      <td data-title="current">
        version {version}
        {latest !== version && <span class="soft"> · newest {latest}</span>}
      </td>
      <td data-title="does">
        {kindWords(kind)} {takesWords(parameters)}
      </td>
      <td class="number" data-title="cost">
        {formatNumber(cost)}
      </td>
      <td data-title="defined">
        {formatTime(ts)} {by !== null && <span class="soft">{by}</span>}
      </td>
    </tr>
  )
}
