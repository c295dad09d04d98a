/**
 * How fast the coordinator works off failures of nodes: 1,000 members with all tiles born and a read
 * of the whole grid leased on them, in memory, with one replica more than one. They fail one after
 * the other: the connection closes, the leases of that member must go to others, and it comes back
 * with a hello. Each failed member has at least one lease, and a book that the coordinator knows
 * nothing of says after each failure whether all of them were given to others.
 */
import type { GatewayEffect } from '../../broker/core/effects.ts'
import { ReadRound } from '../../broker/core/rules/read-round.ts'
import { Random } from '../../shared/core/random.ts'
import { unpackTiles } from '../../shared/operations/columns.ts'
import { decodeUp, encodeMessage, type Read } from '../../shared/protocol/messages.ts'
import { benchOptions } from './bench-options.ts'
import { appliedTo, connectionOf, FleetInMemory, sessionsIn, taskOf } from './fleet-in-memory.ts'
import { report } from './measure.ts'

const NODES = 1000
const REPLICAS = 2
/** What is to be shown: so many failures in so much time. */
const GOAL_FAILURES = 1_000_000
const GOAL_SECONDS = 100
/** The fleet's own clock goes as fast as the goal asks for. */
const MS_BETWEEN_FAILURES = (GOAL_SECONDS * 1000) / GOAL_FAILURES
/** After so many, the read has become one part a tile: another one begins. */
const FAILURES_A_READ = 1000
const FAILURES_A_BEAT = 20_000
const FAILURES_A_FLOOR = 20

const { failures, seconds } = benchOptions({ failures: GOAL_FAILURES, seconds: 300 })

const grid = { width: 1024, height: 1024, tile: 16 }
const fleet = new FleetInMemory({ grid, replicas: REPLICAS, nodes: NODES })
const indexes = new Map(Array.from({ length: NODES }, (_, index) => [connectionOf(index), index]))
/** The book: who has the lease of each tile (-1: nobody), and of how many each member. */
const holders = new Int32Array(fleet.grid.geometry.tiles)
const counts = new Uint32Array(NODES)
const random = new Random(1)
const whole = fleet.parse({ op: 'stat', args: { field: 'value' } })
/** Of the coordinator's steps alone, ms. */
const spent = { failing: 0, returning: 0, floor: 0 }
let reissued = 0

function timed(what: keyof typeof spent, step: () => GatewayEffect[]): GatewayEffect[] {
  const startMs = performance.now()
  const effects = step()
  spent[what] += performance.now() - startMs
  return effects
}

/** The member is sent these tiles, which `from` had until now (-1: nobody). */
function move(tiles: Uint32Array, { from, to }: { from: number; to: number }): void {
  if (from === to) throw new Error(`tiles of member ${from} went to itself`)
  for (const tile of tiles) {
    const holder = holders[tile]
    if (holder !== from) throw new Error(`tile ${tile} was with ${holder}, not with ${from}`)
    holders[tile] = to
  }
  if (from >= 0) counts[from]! -= tiles.length
  counts[to]! += tiles.length
}

/** Notes the leases that were given, of those that `from` had. Returns how many parts. */
function note(effects: readonly GatewayEffect[], from: number): number {
  let parts = 0
  for (const effect of effects) {
    if (effect.type === 'send' && effect.message.t === 'read') {
      move(tilesOf(effect.message), { from, to: indexes.get(effect.connection)! })
      parts++
    }
    // A read that has just begun is sent to all as one.
    if (effect.type !== 'send-round') continue
    const { round } = effect
    if (!(round instanceof ReadRound) || round.hasUnborn)
      throw new Error('not a read of born tiles')
    for (let part = effect.from; part < effect.to; part++) {
      move(round.tilesOf(part), { from, to: indexes.get(round.connectionOf(part))! })
      parts++
    }
  }
  return parts
}

function tilesOf({ grid }: Read): Uint32Array {
  if (grid === undefined || grid.unborn.length > 0) throw new Error('not a read of born tiles')
  return unpackTiles(grid.tiles)
}

function admit(index: number): void {
  const effects = timed('returning', () => fleet.take(index, hellos[index]!))
  if (effects.some((effect) => effect.type === 'send' && effect.message.t === 'read'))
    throw new Error('a lease was given anew with a hello')
  const [session] = sessionsIn(effects)
  if (session !== undefined) sessions[index] = session
}

function beginRead(): string {
  const effects = fleet.submit(whole)
  holders.fill(-1)
  counts.fill(0)
  if (note(effects, -1) < NODES / 2) throw new Error('few have a part of a read of the whole grid')
  return taskOf(effects)
}

function beat(): void {
  for (const [index, session] of sessions.entries()) {
    const message = { t: 'heartbeat', session, beat: 1 } as const
    const isAnswered = fleet.receive(index, message).some(({ type }) => type === 'send')
    if (!isAnswered) throw new Error('a heartbeat was not answered')
  }
}

/** What no return of a member can do without. */
function decodeHello(): GatewayEffect[] {
  if (!decodeUp(hellos[0]!).ok) throw new Error('a hello was not decoded')
  return []
}

/** A member that has a lease. */
function pickVictim(): number {
  let victim = random.integer(NODES)
  while (counts[victim] === 0) victim = (victim + 1) % NODES
  return victim
}

function fail(victim: number): void {
  const effects = timed('failing', () => fleet.closeConnection(victim))
  reissued += note(effects, victim)
  const left = counts[victim]!
  if (left > 0) throw new Error(`${left} leased tiles of member ${victim} went to nobody`)
  admit(victim)
}

const sessions = sessionsIn(fleet.admitAll())
fleet.settle()
// Bears every tile.
const scale = fleet.parse({ op: 'scale', args: { fields: { value: 1 } } })
for (const [index, applied] of appliedTo(fleet.submit(scale))) fleet.receive(index, applied)
/** As the nodes send them: to make them is not the gateway's work. */
const hellos = Array.from({ length: NODES }, (_, index) => encodeMessage(fleet.helloOf(index)))

const startMs = performance.now()
const cpu = process.cpuUsage()
const secondsSince = (): number => (performance.now() - startMs) / 1000
let read = ''
let done = 0
for (; done < failures && secondsSince() < seconds; done++) {
  if (done % FAILURES_A_READ === 0) {
    if (read !== '') fleet.cancel(read)
    read = beginRead()
  }
  if (done % FAILURES_A_BEAT === 0) beat()
  if (done % FAILURES_A_FLOOR === 0) timed('floor', decodeHello)
  fail(pickVictim())
  fleet.pass(MS_BETWEEN_FAILURES)
}
const tookSeconds = secondsSince()
const { user, system } = process.cpuUsage(cpu)

const eachUs = (ms: number): string => ((ms * 1000) / done).toFixed(1)
const projected = (tookSeconds / done) * GOAL_FAILURES
const isFast = projected < GOAL_SECONDS ? 'holds' : 'missed'
report([
  ['what', 'value'],
  ['failures worked off, each with leases given to others', String(done)],
  ['parts issued again', String(reissued)],
  ['seconds, with the checks', tookSeconds.toFixed(1)],
  ['CPU seconds of all threads', ((user + system) / 1e6).toFixed(1)],
  ['µs a failure: the close and the parts', eachUs(spent.failing)],
  ['µs a failure: the hello that follows', eachUs(spent.returning)],
  ['µs: floor, one hello decoded', eachUs(spent.floor * FAILURES_A_FLOOR)],
  [`seconds for ${GOAL_FAILURES} (goal < ${GOAL_SECONDS})`, `${projected.toFixed(1)}, ${isFast}`],
])
