/** What `obelisk top` shows, as lines that fit. */
import { count } from '../../shared/core/count.ts'
import { isEnded } from '../../shared/protocol/states.ts'
import type { MovesView, NodeView, TaskView } from '../../shared/protocol/views.ts'
import { colourOf, linesOf, stateOf } from './node.ts'
import { type Colour, hasColours, paint, printable, type Streams } from './streams.ts'
import type { TopState } from './top-keys.ts'

export interface TopFacts {
  readonly address: string
  readonly nodes: readonly NodeView[]
  readonly total: number
  readonly troubled: number
  /** What else is so of the fleet. */
  readonly notes: readonly string[]
  readonly tasks: readonly TaskView[]
  readonly moves: MovesView | undefined
  readonly events: readonly string[]
  /** Why nothing is known now. */
  readonly away: string | undefined
  /** How the last deed went. */
  readonly said: string
}

interface Column {
  readonly title: string
  readonly width: number
  readonly text: (node: NodeView, nowMs: number) => string
}

const COLUMNS: readonly Column[] = [
  { title: 'STATE', width: 12, text: stateOf },
  {
    title: 'HEARD',
    width: 6,
    text: ({ heard_ts: ts }, now) => (ts === undefined ? '' : age(now - ts)),
  },
  { title: 'TILES', width: 7, text: ({ tiles }) => String(tiles) },
  { title: 'BEHIND', width: 7, text: ({ behind }) => String(behind ?? '') },
  { title: 'CPU%', width: 5, text: (node) => number(node, 'cpu_percent') },
  { title: 'MEM%', width: 5, text: memory },
  { title: '°C', width: 4, text: (node) => number(node, 'temp_celsius') },
  { title: 'TRIP', width: 7, text: trip },
]
const ID_WIDTH_MIN = 16
const LEFT_ALIGNED = ['STATE']

/** The table of nodes alone, for a pipe. */
export function nodeTable(
  nodes: readonly NodeView[],
  nowMs: number,
  streams: Streams,
  columns = 80,
): string[] {
  // Those that have no room are left out.
  const fits = COLUMNS.filter((_, n) => ID_WIDTH_MIN + widthOf(COLUMNS.slice(0, n + 1)) <= columns)
  const idWidth = columns - widthOf(fits)
  const line = (id: string, cells: readonly string[]): string =>
    [id.padEnd(idWidth), ...cells].join(' ').trimEnd()
  const head = line(
    'NODE',
    fits.map(({ title, width }) => aligned(title, title, width)),
  )
  return [
    head,
    ...nodes.map((node) => {
      const cells = fits.map(({ title, width, text }) => {
        const cell = aligned(title, cut(text(node, nowMs), width), width)
        return title === 'STATE' ? paint(streams, colourOf(node), cell) : cell
      })
      return line(cut(node.id, idWidth), cells)
    }),
  ]
}

function widthOf(columns: readonly Column[]): number {
  return columns.reduce((sum, { width }) => sum + width + 1, 0)
}

/** Exactly `rows` lines of at most `columns` characters. */
export function screenOf(
  state: TopState,
  facts: TopFacts,
  {
    rows,
    columns,
    nowMs,
  }: { readonly rows: number; readonly columns: number; readonly nowMs: number },
  streams: Streams,
): string[] {
  const { address, total, troubled, away, said } = facts
  const shade = (colour: Colour, text: string): string => paint(streams, colour, cut(text, columns))
  const filter =
    state.isTyping || state.filter !== '' ? `  /${state.filter}${state.isTyping ? '_' : ''}` : ''
  const trouble = troubled === 0 ? '' : `, ${troubled} in trouble`
  const head = `${address}  ${count(total, 'node')}${trouble}  by ${state.sort}${filter}`
  const top = away === undefined ? cut(head, columns) : shade('red', away)
  const keys = 's sort  / filter  Enter node  d drain  t tasks  m moves  e events  q quit'
  const asked = state.asked && `empty ${state.asked}, so that it can go? y/n`
  const foot = asked
    ? shade('yellow', asked)
    : said !== ''
      ? shade('yellow', said)
      : shade('grey', keys)
  const body = bodyOf(state, facts, { rows: rows - 3, columns, nowMs }, streams)
  const filled = [...body, ...Array<string>(Math.max(0, rows - 3 - body.length)).fill('')]
  return [top, '', ...filled.slice(0, rows - 3), foot]
}

function bodyOf(
  state: TopState,
  facts: TopFacts,
  { rows, columns, nowMs }: { rows: number; columns: number; nowMs: number },
  streams: Streams,
): string[] {
  switch (state.pane) {
    case 'nodes': {
      const [head, ...lines] = nodeTable(facts.nodes, nowMs, streams, columns)
      const notes = facts.notes.flatMap((note) => folded(note, columns)).slice(0, rows - 2)
      const room = rows - notes.length
      const from = Math.max(0, state.row - (room - 2))
      const marked = lines.map((line, n) => (n === state.row ? reversed(line, streams) : line))
      return [...notes, head!, ...marked.slice(from, from + room - 1)]
    }
    case 'node': {
      const node = facts.nodes[state.row]
      if (node === undefined) return ['there is no such node']
      return linesOf('', { ...node }).map((line) => cut(line.trimEnd(), columns))
    }
    case 'tasks':
      return facts.tasks.map((task) => cut(taskLine(task), columns))
    case 'moves':
      return facts.moves === undefined
        ? []
        : moveLines(facts.moves).map((line) => cut(line, columns))
    case 'events':
      return facts.events.slice(-rows).map((line) => cut(line, columns))
  }
}

function taskLine({ id, op, state, shards, waiting_for }: TaskView): string {
  const part = isEnded(state) ? '' : `  ${shards.done}/${shards.total}`
  return `${id.padEnd(24)} ${op.padEnd(10)} ${state}${part}${waiting_for ? `  waits for ${waiting_for}` : ''}`
}

function moveLines(moves: MovesView): string[] {
  const { open, planned, planned_tiles, eta_seconds: eta } = moves
  const left = eta === undefined ? 'nothing gets on' : `about ${eta} s left`
  return [
    `${open.length} on the way, ${planned_tiles} planned, ${left}`,
    '',
    ...[...open, ...planned].map(
      ({ tile, from, to, reason, stage }) => `${tile}  ${from ?? '–'} → ${to}  ${reason}  ${stage}`,
    ),
  ]
}

function reversed(line: string, streams: Streams): string {
  if (!hasColours(streams)) return `>${line.slice(1)}`
  return `\u001b[7m${line.replaceAll('\u001b[0m', '\u001b[0;7m')}\u001b[0m`
}

function aligned(title: string, text: string, width: number): string {
  return LEFT_ALIGNED.includes(title) ? text.padEnd(width) : text.padStart(width)
}

function cut(text: string, width: number): string {
  const line = printable(text)
  return line.length > width ? `${line.slice(0, width - 1)}…` : line
}

/** At blanks, into lines that fit. */
function folded(text: string, width: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`.trimStart()
    if (lines.at(-1) === '' || longer.length <= width) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines.map((line) => cut(line, width))
}

function number({ telemetry }: NodeView, name: string): string {
  const value = telemetry?.[name]
  return typeof value === 'number' ? value.toFixed(0) : ''
}

function trip({ telemetry }: NodeView): string {
  const ms = telemetry?.broker_rtt_ms
  return typeof ms === 'number' ? `${ms.toFixed(0)} ms` : ''
}

function memory({ telemetry }: NodeView): string {
  const { mem_total_bytes: total, mem_available_bytes: free } = telemetry ?? {}
  if (typeof total !== 'number' || typeof free !== 'number' || total === 0) return ''
  return (100 * (1 - free / total)).toFixed(0)
}

function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 100) return `${seconds} s`
  return seconds < 6000 ? `${Math.round(seconds / 60)} m` : `${Math.round(seconds / 3600)} h`
}
