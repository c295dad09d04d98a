import type { CodexView, ProgramView, SourceView } from '../../../shared/protocol/codex-views.ts'
import { useAsked } from '../parts/asked.ts'
import { Problem } from '../parts/problem.tsx'
import { route } from '../route.ts'
import { useTold } from './told.ts'
import { Versions } from './versions.tsx'
import { currentIn, MAIN } from './words.ts'
import { Workbench } from './workbench.tsx'

/** One program of the codex. The address names the version that is shown; it is the current one otherwise. */
export function Detail({
  name,
  contexts,
}: { readonly name: string } & Pick<CodexView, 'contexts'>) {
  const path = `api/codex/${encodeURIComponent(name)}`
  const { value: program, problem, again } = useTold<ProgramView>(path)
  if (program === undefined) return <Problem of={problem} />
  const { glyph, number, versions } = program
  const current = currentIn(versions, MAIN)
  const wanted = Number(route.value.query.version)
  const shown = versions.find(({ version }) => version === wanted) ?? current ?? versions[0]!
  const op = shown === current ? name : `${name}@${shown.version}`
  return (
    <>
      <h3>
        {glyph} {name} <span class="soft">number {number}</span>
      </h3>
      <Versions program={program} shown={shown} onChanged={again} />
      <h3>Version {shown.version}</h3>
      <Version
        key={shown.version}
        path={`${path}/${shown.version}`}
        op={op}
        contexts={shown === current ? contexts : []}
      />
    </>
  )
}

interface VersionProps extends Pick<CodexView, 'contexts'> {
  readonly path: string
  readonly op: string
}

function Version({ path, op, contexts }: VersionProps) {
  const { value, problem } = useAsked<SourceView>(path)
  if (value === undefined) return <Problem of={problem} />
  return <Workbench of={value} op={op} contexts={contexts} />
}
