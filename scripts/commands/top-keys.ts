/** What a key does in `obelisk top`: from one state to the next, and what has to be done for it. */

/** By what nodes can be sorted, in the order in which `s` goes through them. */
export const SORTS = [
  'id',
  'state',
  'heard',
  'tiles',
  'behind',
  'cpu',
  'memory',
  'temperature',
  'trip',
] as const
export type Sort = (typeof SORTS)[number]

export type Pane = 'nodes' | 'node' | 'tasks' | 'moves' | 'events'

export interface TopState {
  readonly pane: Pane
  readonly sort: Sort
  readonly filter: string
  /** What is typed goes into the filter. */
  readonly isTyping: boolean
  /** The row that keys are about. */
  readonly row: number
  /** The node that would be drained, if that is confirmed. */
  readonly asked?: string
}

export type Deed = { readonly do: 'quit' } | { readonly do: 'drain'; readonly node: string }

const PANES: ReadonlyMap<string, Pane> = new Map([
  ['t', 'tasks'],
  ['m', 'moves'],
  ['e', 'events'],
  ['n', 'nodes'],
])
const ESCAPE = '\u001b'
const [UP, DOWN] = ['\u001b[A', '\u001b[B']
const ENDS = ['\u0003', '\u0004']
const BACKSPACES = ['\u007f', '\b']

/** `ids` are those of the rows that are shown. */
export function pressed(
  state: TopState,
  key: string,
  ids: readonly string[],
): { readonly state: TopState; readonly deed?: Deed } {
  if (ENDS.includes(key)) return { state, deed: { do: 'quit' } }
  if (state.isTyping) return { state: typed(state, key) }
  const { asked, ...rest } = state
  if (asked !== undefined) {
    return key === 'y' ? { state: rest, deed: { do: 'drain', node: asked } } : { state: rest }
  }
  const node = ids[state.row]
  const isOfNode = (state.pane === 'nodes' || state.pane === 'node') && node !== undefined
  const pane = PANES.get(key)
  if (key === 'q') return { state, deed: { do: 'quit' } }
  if (key === '/') return { state: { ...state, pane: 'nodes', isTyping: true } }
  if (key === 's') return { state: { ...state, pane: 'nodes', sort: after(state.sort) } }
  if (key === 'd' && isOfNode) return { state: { ...state, asked: node } }
  if (key === '\r' && isOfNode) return { state: { ...state, pane: 'node' } }
  if (pane !== undefined) return { state: { ...state, pane: pane === state.pane ? 'nodes' : pane } }
  if (key === ESCAPE) return { state: { ...state, pane: 'nodes' } }
  if (key === UP || key === 'k') return { state: { ...state, row: Math.max(0, state.row - 1) } }
  if (key === DOWN || key === 'j') {
    return { state: { ...state, row: Math.max(0, Math.min(ids.length - 1, state.row + 1)) } }
  }
  return { state }
}

function typed(state: TopState, key: string): TopState {
  if (key === '\r') return { ...state, isTyping: false }
  if (key === ESCAPE) return { ...state, isTyping: false, filter: '', row: 0 }
  if (BACKSPACES.includes(key)) return { ...state, filter: state.filter.slice(0, -1), row: 0 }
  return /^[\w-]$/.test(key) ? { ...state, filter: state.filter + key, row: 0 } : state
}

function after(sort: Sort): Sort {
  return SORTS[(SORTS.indexOf(sort) + 1) % SORTS.length]!
}
