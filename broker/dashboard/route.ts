/** Where in the page one is, as the part of the address behind `#`: `tasks/load-7`, `fleet?troubles=1`. */
import { signal } from '@preact/signals'

export interface Route {
  readonly view: string
  /** What is opened in it. */
  readonly item?: string
  readonly query: Readonly<Record<string, string>>
}

export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#/, '').split('?')
  const [view = '', item] = path.split('/').map(decoded)
  const pairs = Object.fromEntries(new URLSearchParams(query))
  return { view, ...(item === undefined || item === '' ? {} : { item }), query: pairs }
}

export function formatRoute({ view, item, query }: Route): string {
  const path = item === undefined ? view : `${view}/${encodeURIComponent(item)}`
  const pairs = `${new URLSearchParams(Object.entries(query).filter(([, value]) => value !== ''))}`
  return pairs === '' ? `#${path}` : `#${path}?${pairs}`
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export const route = signal<Route>({ view: '', query: {} })

/** Changes what stands behind `?`, and makes no step to go back to. */
export function setQuery(change: Readonly<Record<string, string>>): void {
  const { query, ...rest } = route.peek()
  history.replaceState(null, '', formatRoute({ ...rest, query: { ...query, ...change } }))
  readAddress()
}

export function readAddress(): void {
  route.value = parseRoute(location.hash)
}
