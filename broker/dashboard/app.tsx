/** What stands around each view: where the fleet is, who looks at it, and the way to the other views. */
import { computed } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { NodeRow } from './answers.ts'
import { counted, formatAge, formatNumber } from './format.ts'
import { link, lostTs } from './link.ts'
import { doubts, isLoaded, recovery } from './live.ts'
import { isMissing, useLoaded } from './loading.ts'
import { Login } from './login.tsx'
import { counts, isLarge, nodes } from './nodes.ts'
import { now } from './now.ts'
import { Confirmation } from './parts/confirm.tsx'
import { Withheld } from './parts/withheld.tsx'
import { route } from './route.ts'
import { isAsked, isReader, logout, may, who } from './session.ts'
import { VIEWS } from './views.ts'

const shownViews = computed(() => VIEWS.filter(({ right }) => may(right)))
const view = computed(
  () => shownViews.value.find(({ id }) => id === route.value.view) ?? shownViews.value[0],
)
export function App() {
  const current = view.value
  useEffect(() => {
    if (current !== undefined) document.title = `${current.title} · Obelisk`
  }, [current])
  const Content = useLoaded(current)
  return (
    <>
      <Header />
      <main class={link.value === 'lost' ? 'stale' : ''}>
        {isMissing.value && <Reload />}
        <Withheld all={VIEWS} of={route.value.view} />
        {Content && (
          <section aria-labelledby="view">
            <h2 id="view" class="unseen">
              {current?.title}
            </h2>
            <Content />
          </section>
        )}
      </main>
      <Confirmation />
      {isAsked.value && <Login />}
    </>
  )
}

function Header() {
  return (
    <header>
      <div class="bar">
        <a class="brand" href="#fleet">
          <img src="icon.svg" alt="" width="24" height="24" />
          <h1>Obelisk</h1>
        </a>
        <Status />
        <Person />
      </div>
      <nav aria-label="Views">
        {shownViews.value.map(({ id, title }) => (
          <a key={id} href={`#${id}`} aria-current={view.value?.id === id ? 'page' : undefined}>
            {title}
          </a>
        ))}
      </nav>
    </header>
  )
}

/** Said by a screen reader when it changes; how old it all is changes each second, and is not. */
function Status() {
  const state = link.value
  const waits = recovery.value === undefined ? '' : ' waits'
  return (
    <p class={`status ${state}${waits}`}>
      <span class="dot" aria-hidden="true" />
      <span role="status">{wordsOf()}</span>
      {state === 'lost' && isLoaded.value && (
        <span class="soft"> · shown as of {formatAge(now.value - lostTs.value)} ago</span>
      )}
    </p>
  )
}

function wordsOf(): string {
  switch (link.value) {
    case 'lost':
      return 'gateway does not answer, trying again'
    case 'connecting':
      return 'connecting'
    case 'paused':
      return 'paused while nobody looks'
    case 'live':
      return isReader.value && isLoaded.value ? fleetWords() : 'connected'
  }
}

function fleetWords(): string {
  const now = recovery.value
  if (now !== undefined) {
    const what = now.copy_ts === undefined ? 'rebuilding' : 'restoring'
    return `${what} the ledger: ${now.shown} of ${counted(now.expected, 'node')} have come`
  }
  const { alive, members } = counts.value
  const parts = [`${formatNumber(alive)} of ${formatNumber(members)} alive`]
  if (doubts.value.length > 0) parts.push(counted(doubts.value.length, 'doubt'))
  const behind = isLarge.value ? 0 : nodes.value.reduce(plusBehind, 0)
  if (behind > 0) parts.push(`${formatNumber(behind)} behind`)
  return parts.join(' · ')
}

function plusBehind(sum: number, { state, stream }: NodeRow): number {
  return state === 'left' || stream === undefined ? sum : sum + stream.head - stream.acked
}

function Person() {
  const user = who.value?.user
  if (user === undefined || user === null) return null
  return (
    <p class="person">
      <span>
        {user} <span class="soft">{who.value?.roles.join(', ')}</span>
      </span>
      <button type="button" class="quiet" onClick={() => void logout()}>
        log out
      </button>
    </p>
  )
}

function Reload() {
  return (
    <p class="note bad" role="alert">
      A part of the page could not be loaded: the gateway may be of another version now.{' '}
      <button type="button" onClick={() => location.reload()}>
        load the page anew
      </button>
    </p>
  )
}
