import { useState } from 'preact/hooks'
import type { ProgramView, VersionView } from '../../../shared/protocol/codex-views.ts'
import { formatTime, UNKNOWN } from '../format.ts'
import { confirm } from '../parts/confirm.tsx'
import { Heads } from '../parts/heads.tsx'
import { formatRoute } from '../route.ts'
import { ask } from '../session.ts'
import { Allowed } from './allowed.tsx'
import { currentIn, kindWords, MAIN, takesWords } from './words.ts'

const HASH_SHOWN = 12

interface Props {
  readonly program: ProgramView
  readonly shown: VersionView
  onChanged(): Promise<void>
}

/** Where each version comes from, and which is meant where. */
export function Versions({ program: { name, versions }, shown, onChanged }: Props) {
  return (
    <>
      <div class="panel">
        <table class="wide">
          <caption class="unseen">Versions of {name}, the newest first</caption>
          <Heads of={['version', 'from', 'does', 'defined', 'chain', 'current in']} />
          <tbody>
            {versions.map((one) => (
              <Row key={one.version} of={one} isShown={one === shown} />
            ))}
          </tbody>
        </table>
      </div>
      <Use of={shown} versions={versions} onChanged={onChanged} />
    </>
  )
}

function Row({ of, isShown }: { readonly of: VersionView; readonly isShown: boolean }) {
  const { name, version, parent, kind, parameters, by, ts, chain, verified } = of
  const address = formatRoute({ view: 'programs', item: name, query: { version: `${version}` } })
  return (
    <tr class={isShown ? 'open' : ''}>
      <th scope="row">
        <a class="chip" href={address} aria-current={isShown ? 'true' : undefined}>
          version {version}
        </a>
      </th>
      <td data-title="from">{parent ?? UNKNOWN}</td>
      <td data-title="does">
        {kindWords(kind)} {takesWords(parameters)}
      </td>
      <td data-title="defined">
        {formatTime(ts)} {by !== null && <span class="soft">{by}</span>}
      </td>
      <td data-title="chain">
        <code title={chain}>{chain.slice(0, HASH_SHOWN)}</code>
        {!verified && <b class="bad"> not as it was defined</b>}
      </td>
      <td data-title="current in">{of.current_in.join(', ')}</td>
    </tr>
  )
}

interface UseProps {
  readonly of: VersionView
  readonly versions: readonly VersionView[]
  onChanged(): Promise<void>
}

/** The inline patch: refused if another version than the one that is shown as current is it by then. */
function Use({ of: { name, version }, versions, onChanged }: UseProps) {
  const [context, setContext] = useState(MAIN)
  const current = currentIn(versions, context)?.version
  const use = (): void =>
    confirm({
      title: `Use version ${version} of ${name} in ${context}?`,
      lines: [
        `Tasks that are accepted from now on get version ${version} there, in place of version ${current}. Those of before keep theirs.`,
      ],
      verb: `use version ${version}`,
      run: () => {
        const body = { version, context, if_version: current }
        const path = `api/codex/${encodeURIComponent(name)}/current`
        return ask(path, { method: 'POST', body }).finally(onChanged)
      },
    })
  return (
    <Allowed title="Saying what is current" right="operate">
      <div class="tools">
        <label>
          in context{' '}
          <input
            autocapitalize="none"
            spellcheck={false}
            value={context}
            onInput={(event) => setContext(event.currentTarget.value.trim())}
          />
        </label>
        <button type="button" disabled={current === version} onClick={use}>
          use version {version}…
        </button>
        {current === version && <span class="soft">It is current there.</span>}
      </div>
    </Allowed>
  )
}
