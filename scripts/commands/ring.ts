import type { GatewayClient } from '../../shared/client/http.ts'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import { count } from '../../shared/core/count.ts'
import type {
  DetectorView,
  MovesView,
  MoveView,
  NodeView,
  PlanView,
} from '../../shared/protocol/views.ts'
import { EXIT_FAILED } from '../../shared/runtime/errors.ts'
import { usage } from '../fault.ts'
import {
  type Asked,
  type CommandGroup,
  demand,
  type Flags,
  queryOf,
  say,
  show,
} from './command-place.ts'
import { named, recoveryLines } from './detector.ts'
import { interruptible } from './interruption.ts'
import { printable, type Streams, table } from './streams.ts'
import { ask, isTyped } from './typed-input.ts'

export function addRingCommands(obelisk: CommandGroup): void {
  const ring = obelisk.group('ring', 'look at how tiles move between nodes')
  ring.asks('moves', listMoves).description('list the tiles that move, and why others wait')
  ring
    .asks('plan', showPlan)
    .description('show what would move, and how long it would take')
    .option('--join <ids>', 'if these nodes joined: ids with commas between them')
    .option('--leave <ids>', 'if these nodes left')
  ring
    .asks('recreate', recreateMissing)
    .description('give up the tiles whose every copy is lost: they begin anew, as zeros')
    .option('--yes', 'do not ask')
}

/** `ring moves`. */
async function listMoves(asked: Asked): Promise<number> {
  const moves = await asked.gateway.json<MovesView>({ path: '/api/ring/moves' })
  return show(asked, moves, () => describeMoves(moves, asked.streams))
}

function describeMoves(moves: MovesView, streams: Streams): string {
  const { open, planned } = moves
  const rows = [...open, ...planned]
  const list = rows.length === 0 ? '' : `${movesTable(rows, streams)}\n`
  const isCut = moves.planned_tiles > planned.length
  const lines = [
    `${count(open.length, 'tile')} on the way, ${moves.planned_tiles} planned${isCut ? ` (the first ${planned.length} are shown)` : ''}`,
    ...planLine(moves),
    ...waitingLine(moves.waiting),
    ...pausedLine(moves),
    ...probationLines(moves),
    ...stallLines(moves),
    `since the gateway started: ${count(moves.ended_total, 'tile')} moved, ${moves.rolled_back_total} given up, ${bytes(moves.copied_bytes_total)} copied`,
  ]
  return `${list}${lines.join('\n')}\n`
}

function planLine(moves: MovesView): string[] {
  const left = printable(timeLeft(moves))
  if (moves.planned_tiles > 0) return [`planned: ${bytes(moves.planned_bytes)}, ${left}`]
  return moves.stands_still === undefined ? [] : [left]
}

function movesTable(rows: readonly MoveView[], streams: Streams): string {
  return table(streams, rows, [
    { title: 'TILE', text: ({ tile }) => String(tile), isNumber: true },
    { title: 'FROM', text: ({ from }) => from ?? '–' },
    { title: 'TO', text: ({ to }) => to },
    { title: 'WHY', text: ({ reason }) => reason },
    {
      title: 'STAGE',
      text: ({ stage }) => stage,
      colour: ({ stage }) => (stage === 'planned' ? 'grey' : undefined),
    },
    { title: 'WAITS FOR', text: (move) => move.waits_for ?? '', colour: () => 'yellow' },
    { title: 'AGE', text: (move) => ageOf(move), isNumber: true },
  ])
}

function ageOf({ seconds: age }: MoveView): string {
  return age === undefined ? '' : seconds(age)
}

function waitingLine(waiting: MovesView['waiting']): string[] {
  const reasons = Object.entries(waiting).map(([reason, count]) => `${reason} ${count}`)
  return reasons.length === 0 ? [] : [`waiting: ${printable(reasons.join(', '))}`]
}

const PAUSES: Readonly<Record<NonNullable<MovesView['paused_for']>, string>> = {
  recovering: 'nothing is planned while the ledger is rebuilt from the nodes: obelisk node ls',
  doubting: 'nothing is planned while the gateway doubts its view of the fleet',
  unsettled: 'nothing is planned before the fleet has settled: a node is away, or has just come',
}

function pausedLine({ paused_for }: MovesView): string[] {
  return paused_for === undefined ? [] : [PAUSES[paused_for]]
}

/** A node that has just come looks forgotten otherwise. */
function probationLines({ probation }: Pick<MovesView, 'probation'>): string[] {
  return probation.map(({ node, seconds: left }) =>
    printable(`on-probation: node ${node} is given tiles of others in ${seconds(left)}`),
  )
}

/** What never leaves its node as the fleet is, of one node or of all. */
export function stallLines({ stalled }: Pick<MovesView, 'stalled'>, node?: string): string[] {
  return stalled
    .filter((stall) => node === undefined || stall.node === node)
    .map(({ reason, message }) => printable(`${reason}: ${message}`))
}

/** `ring recreate`. What is given up is shown before: a board that comes back later is emptied of it. */
async function recreateMissing(asked: Asked<Flags<never, 'yes'>>): Promise<number> {
  const { gateway, streams, flags } = asked
  const says = (lines: readonly string[]): unknown =>
    streams.stderr.write(lines.map((line) => `${line}\n`).join(''))
  for (;;) {
    const fleet = await gateway.json<DetectorView>({ path: '/api/detector' })
    if (fleet.recovery !== undefined) {
      says(recoveryLines(fleet.recovery))
      return EXIT_FAILED
    }
    if (fleet.tiles_missing === undefined) {
      return say(asked, { tiles: 0 }, 'no tile is missing')
    }
    says(lossLines(fleet))
    if (flags.yes !== true && !(await isGivenUp(streams))) {
      says([NOTHING_GIVEN_UP])
      return EXIT_FAILED
    }
    try {
      const answer = await giveUp(gateway, fleet)
      return say(
        asked,
        answer,
        `${count(answer.tiles, 'tile')} ${answer.tiles === 1 ? 'begins' : 'begin'} anew, as zeros`,
      )
    } catch (error) {
      const areMore = error instanceof ObeliskError && error.code === 'more-missing'
      if (flags.yes === true || !areMore) throw error
      says([error.message])
    }
  }
}

/** No more than was shown, which a gateway of an earlier version cannot tell. */
function giveUp(
  gateway: GatewayClient,
  { tiles_missing_mark: shown }: DetectorView,
): Promise<{ tiles: number }> {
  const body = { recreate: 'missing', ...(shown === undefined ? {} : { shown }) }
  return demand(gateway, 'POST', '/api/ring/recreate', body)
}

const NOTHING_GIVEN_UP = 'nothing is given up'

async function isGivenUp(streams: Streams): Promise<boolean> {
  if (!isTyped(streams)) throw usage(`${NOTHING_GIVEN_UP}: --yes says that it is to be`)
  const answer = await interruptible(NOTHING_GIVEN_UP, (signal) =>
    ask('give them up? [y/N] ', streams, signal),
  )
  return /^y(es)?$/i.test(answer)
}

function lossLines({
  tiles_missing: missing = 0,
  tiles_missing_written: written = 0,
  nodes_absent: absent = [],
  nodes_absent_more: more = 0,
}: DetectorView): string[] {
  const isKnown = written === missing
  const known = `${written} of them known to have been written, and of the others nobody can tell`
  const names = named(absent, more)
  const boards =
    names === '' ? 'boards that are off since the recovery' : `${names}, not back since the restore`
  return [
    `missing: ${count(missing, 'tile')}; ${isKnown ? 'all of them were written' : known}`,
    ...(isKnown && names === '' ? [] : [`may have them: ${boards}`]),
    'they begin anew, as zeros: what boards have of them that come later is gone for good',
  ]
}

/** `ring plan`. */
async function showPlan(asked: Asked<Flags<'join' | 'leave'>>): Promise<number> {
  const { gateway, streams, flags } = asked
  const query = queryOf({ join: flags.join, leave: flags.leave })
  const plan = await gateway.json<PlanView>({ path: `/api/ring/plan?${query}` })
  const text = plan.tiles === 0 ? 'nothing would move\n' : describePlan(plan, streams)
  const notes = [...probationLines(plan), ...stallLines(plan)]
  return show(asked, plan, [text, ...notes.map((line) => `${line}\n`)].join(''))
}

function describePlan(plan: PlanView, streams: Streams): string {
  const list = table(streams, plan.moves, [
    { title: 'FROM', text: ({ from }) => from ?? '–' },
    { title: 'TO', text: ({ to }) => to },
    { title: 'TILES', text: ({ tiles: count }) => String(count), isNumber: true },
  ])
  return `${list}\n${count(plan.tiles, 'tile')} would move: ${bytes(plan.bytes)}, about ${seconds(plan.seconds)}\n`
}

/** How far a node is emptied, in one line, for who waits for that. */
export function progressOf(moves: MovesView, node: NodeView): string {
  const { open, planned_tiles, waiting } = moves
  const reasons = waitingLine(waiting).map((line) => `, ${line}`)
  const isTold = node.eta_seconds !== undefined || node.waits_for !== undefined
  const isOver = open.length + planned_tiles === 0
  const yet = moves.stalled.length === 0 && node.tiles_written > 0 ? ' yet' : ''
  const left = isTold ? `, ${timeLeft(node)}` : isOver ? yet : `, ${timeLeft(moves)}`
  return `${open.length} on the way, ${planned_tiles} planned${left}${reasons.join('')}`
}

function timeLeft(moves: {
  readonly rate?: number
  readonly eta_seconds?: number
  readonly stands_still?: string
  readonly waits_for?: string
}): string {
  const { rate = 0, eta_seconds: eta, stands_still, waits_for } = moves
  if (eta === undefined) return `stands still: ${stands_still ?? waits_for ?? 'nothing gets on'}`
  return `${rate > 0 ? `${rate} tiles/s, ` : ''}about ${seconds(eta)} left`
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const

function bytes(count: number): string {
  let size = count
  let unit = 0
  for (; size >= 1024 && unit < UNITS.length - 1; unit++) size /= 1024
  return `${unit === 0 ? size : size.toFixed(1)} ${UNITS[unit]}`
}

function seconds(count: number): string {
  if (count < 120) return `${count} s`
  return count < 7200 ? `${Math.round(count / 60)} min` : `${(count / 3600).toFixed(1)} h`
}
