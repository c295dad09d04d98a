import { useEffect } from 'preact/hooks'
import type { UpgradePlanRow, UpgradeView } from '../../../shared/protocol/views.ts'
import type { PackageRow } from '../answers.ts'
import { asWords, formatBytes } from '../format.ts'
import { upgradeSteps } from '../live.ts'
import { useAsked } from '../parts/asked.ts'
import { confirm } from '../parts/confirm.tsx'
import { useOrder } from '../parts/order.ts'
import { Problem } from '../parts/problem.tsx'
import { typedIn, wordIn } from '../parts/typed.ts'
import { WordField } from '../parts/word-field.tsx'
import { ask, may } from '../session.ts'
import { countsLine, offersOf, planLines, stepsOf } from './upgrades.ts'

/** Steps of many nodes come one after the other. */
const AGAIN_MS = 1_000
const NAMED_MAX = 100

/** How boards are brought to another version. */
export function Upgrades() {
  const { value, problem, again } = useAsked<{ readonly latest: UpgradeView | null }>(
    'api/upgrades',
  )
  const step = upgradeSteps.value
  useEffect(() => {
    const timer = setTimeout(() => void again(), step === 0 ? 0 : AGAIN_MS)
    return () => clearTimeout(timer)
  }, [step, again])
  return (
    <>
      <Problem of={problem} />
      {value?.latest === null && <p class="panel empty">There never was an upgrade.</p>}
      {value?.latest && <Latest upgrade={value.latest} onChanged={again} />}
      {may('operate') && <Packages onChanged={again} />}
    </>
  )
}

interface LatestProps {
  readonly upgrade: UpgradeView
  onChanged(): Promise<void>
}

function Latest({ upgrade, onChanged }: LatestProps) {
  const { version, state, stopped, waits_for: waits, counts, nodes } = upgrade
  const { run, isBusy, problem } = useOrder()
  const demand = state === 'running' ? 'stop' : 'resume'
  const order = (): void => {
    const body = { demand }
    void run(() => ask('api/upgrades/latest', { method: 'POST', body }).then(onChanged))
  }
  const steps = stepsOf(nodes)
  return (
    <div class="panel spaced">
      <h3>
        To {version}: {state}
      </h3>
      {stopped !== undefined && (
        <p class="bad">
          It stopped{stopped.node !== undefined && ` at ${stopped.node}`}: {asWords(stopped.code)}
        </p>
      )}
      <progress max={nodes.length || 1} value={nodes.length - steps.length} aria-label="done" />
      <p role="status">
        {countsLine(counts)}
        {waits !== undefined && ` · waits: ${asWords(waits)}`}
      </p>
      {may('operate') && state !== 'done' && (
        <button type="button" disabled={isBusy} onClick={order}>
          {demand}
        </button>
      )}
      <Problem of={problem} />
      {steps.length > 0 && (
        <table class="small">
          <caption class="unseen">Nodes that are not done</caption>
          <tbody>
            {steps.slice(0, NAMED_MAX).map(({ node, state, code }) => (
              <tr key={node}>
                <th scope="row">
                  <a href={`#fleet/${encodeURIComponent(node)}`}>{node}</a>
                </th>
                <td>
                  {asWords(state)}
                  {code !== undefined && <span class="soft"> {asWords(code)}</span>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </div>
  )
}

function Packages({ onChanged }: { onChanged(): Promise<void> }) {
  const { value: packages, again } = useAsked<readonly PackageRow[]>('api/packages')
  const { run, isBusy, problem } = useOrder()
  const offers = offersOf(packages ?? [])
  const take = (event: Event): void => {
    const input = event.currentTarget as HTMLInputElement
    const [given] = input.files ?? []
    if (given === undefined) return
    const file = given.slice(0, given.size, 'application/gzip')
    void run(() => ask('api/packages', { method: 'POST', file, timeoutMs: 600_000 })).then(() => {
      input.value = ''
      return again()
    })
  }
  const begin = (event: SubmitEvent): void => {
    const form = typedIn(event)
    const pace = { wave: wordIn(form, 'wave'), pause: Number(form.get('pause')) }
    const { value: version } = event.submitter as HTMLButtonElement
    const [, offered] = offers.find(([one]) => one === version)!
    const wish = {
      packages: offered.map(({ sha256 }) => sha256),
      wave: pace.wave.endsWith('%') ? pace.wave : Number(pace.wave),
      pause_seconds: pace.pause,
    }
    const post = <T,>(more: object): Promise<T> =>
      ask<T>('api/upgrades', { method: 'POST', body: { ...wish, ...more } })
    void run(async () => {
      const plan = await post<{ readonly nodes: readonly UpgradePlanRow[] }>({ dry_run: true })
      confirm({
        title: `Upgrade to ${version}?`,
        lines: [...planLines(plan.nodes, pace), 'It stops at the first that fails.'],
        verb: 'upgrade',
        run: () => post({}).then(onChanged),
      })
    })
  }
  return (
    <>
      <h3>Packages</h3>
      <form class="panel spaced" onSubmit={begin}>
        {offers.length === 0 && packages !== undefined && <p class="soft">The gateway has none.</p>}
        {offers.map(([version, offered]) => (
          <p key={version} class="line">
            <b>{version}</b>
            <span class="soft">
              {offered.map((one) => `${one.architecture}, ${formatBytes(one.bytes)}`).join(' · ')}
            </span>
            <button type="submit" value={version} disabled={isBusy}>
              upgrade…
            </button>
          </p>
        ))}
        {offers.length > 0 && (
          <div class="buttons">
            <WordField
              title="nodes at a time"
              name="wave"
              defaultValue="1"
              placeholder="3 or 10%"
            />
            <label>
              seconds between <input type="number" name="pause" min={0} defaultValue={0} />
            </label>
          </div>
        )}
        {may('administer') && (
          <label>
            add a package <input type="file" accept=".gz" disabled={isBusy} onChange={take} />
          </label>
        )}
        <Problem of={problem} />
      </form>
    </>
  )
}
