/**
 * What planning costs at 10,000 nodes and 262,144 tiles: plans of one task, 1,000,000 items through
 * the ring, the ring and the placement themselves, and a whole step of the coordinator. Floors are
 * measured in the same run.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LedgerStore } from '../../broker/adapters/ledger-store.ts'
import { GATEWAY_OPTIONS } from '../../broker/config.ts'
import type { GatewayEffect } from '../../broker/core/effects.ts'
import { LEDGER_TABLES, type LedgerRecord } from '../../broker/core/ledger-records.ts'
import {
  cutPlan,
  partsOf,
  planItems,
  planReads,
  planWrites,
  readTilesMax,
  type TilePlan,
  writeTilesMax,
} from '../../broker/core/rules/planner.ts'
import { HashRing, type RingMember } from '../../broker/core/state/hash-ring.ts'
import { Placement } from '../../broker/core/state/placement.ts'
import { hashText, mix32 } from '../../shared/core/hash.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { findOperation } from '../../shared/operations/catalog.ts'
import type { ReadOperation, Wire, WriteOperation } from '../../shared/operations/operation.ts'
import { encodeCbor } from '../../shared/protocol/cbor.ts'
import { encodeMessage } from '../../shared/protocol/messages.ts'
import { benchOptions, chosenOf } from './bench-options.ts'
import { appliedTo, FleetInMemory, sessionsIn, taskOf } from './fleet-in-memory.ts'
import { nodeIdOf } from './light-node.ts'
import { formatMs, measure, median, quantile, report, type Sample } from './measure.ts'

const GRID = { width: 8192, height: 8192, tile: 16 }
const NODES = 10_000
const REPLICAS = 2
const ITEMS = 1_000_000
const PLAN_GOAL_MS = 3
const STEP_GOAL_MS = 5
const WRITE_GOAL_MS = 12
const ENCODING_GOAL_MS = 6
const ACKNOWLEDGED_GOAL_MS = 40
const ITEMS_GOAL_MS = 1000
/** To have the parts of a failed node on their way again (mission.md, fault tolerance). */
const RECOVERY_GOAL_MS = 100
const STEPS = { warmUps: 10, runs: 50 }
const RECOVERIES = { warmUps: 0, runs: 15 }

const virtualNodes = GATEWAY_OPTIONS.virtualNodes.default
const loadBound = GATEWAY_OPTIONS.loadBound.default
const geometry = new Geometry(GRID)
const context = { geometry, fields: GATEWAY_OPTIONS.fields.default }
const members: RingMember[] = Array.from({ length: NODES }, (_, index) => ({
  index,
  id: nodeIdOf(index),
  weight: 1,
}))

const rows = [['what', 'min', 'p50', 'p99', 'p50 own', 'p99 own', 'runs', 'goal', 'verdict']]
const notes: string[] = []

/** Times something by its name; `goalMs` is to hold for the median and the 99th percentile of what was our own time. */
type Time = <T>(what: string, act: () => T, goalMs?: number) => T

/** The last thing that was timed: the optimizer cannot leave out work that ends here. */
const sink: unknown[] = [undefined]

/** After warm-up, each thing that a run times becomes a row. */
async function bench(
  { warmUps, runs }: { readonly warmUps: number; readonly runs: number },
  run: (time: Time, index: number) => unknown,
): Promise<void> {
  const timed = new Map<string, { samples: Sample[]; goalMs: number | undefined }>()
  for (let index = 0; index < warmUps + runs; index++) {
    await run((what, act, goalMs) => {
      const { sample, value } = measure(act)
      sink[0] = value
      if (index < warmUps) return value
      if (!timed.has(what)) timed.set(what, { samples: [], goalMs })
      timed.get(what)!.samples.push(sample)
      return value
    }, index)
  }
  for (const [what, { samples, goalMs }] of timed) rows.push(rowOf(what, samples, goalMs))
}

function rowOf(what: string, samples: readonly Sample[], goalMs: number | undefined): string[] {
  const wall = samples.map(({ wallMs }) => wallMs)
  const own = samples.map(({ ownMs }) => ownMs)
  const [p50, p99] = [median(own), quantile(own, 0.99)]
  const figures = [quantile(wall, 0), median(wall), quantile(wall, 0.99), p50, p99].map(formatMs)
  const row = [what, ...figures, String(samples.length)]
  if (goalMs === undefined) return row
  const verdict = p99 < goalMs ? 'holds' : p50 < goalMs ? 'p50 only' : 'missed'
  return [...row, `< ${goalMs}`, verdict]
}

function newPlacement(): Placement {
  const placement = new Placement({
    tiles: geometry.tiles,
    replicas: REPLICAS,
    virtualNodes,
    loadBound,
  })
  placement.setMembers(() => members)
  return placement
}

async function benchPlacement(): Promise<void> {
  const few = { warmUps: 2, runs: 15 }
  await bench(few, (time) => {
    time(`ring of ${NODES} members × ${virtualNodes} points`, () => {
      return new HashRing(members, virtualNodes)
    })
    time('ring and 262,144 tiles × 2 placed', () => newPlacement().slots)
  })
  const placement = newPlacement()
  const change = (state: string): Promise<void> =>
    bench(few, (time, run) => {
      const some = run % 2 === 0 ? members.slice(0, -1) : members
      const act = (): unknown => {
        placement.setMembers(() => some)
        return placement.slots
      }
      time(`one member leaves or joins, ${state}`, act, RECOVERY_GOAL_MS)
    })
  await change('no tile born')
  placement.bear(geometry.tilesOf(geometry.whole))
  await change('all tiles born')
  const loads = [...newPlacement().tileCounts.values()]
  const mean = placement.slots.length / NODES
  const greatest = Math.max(...loads)
  notes.push(
    `efficiency (mean / greatest load): ${(mean / greatest).toFixed(4)}; ${mean.toFixed(1)} tiles on average, ${greatest} at most, ${Math.min(...loads)} at least; bound ${loadBound}`,
  )
}

async function benchPlans(): Promise<void> {
  const { slots } = newPlacement()
  const tiles = geometry.tilesOf(geometry.whole)
  const input = { tiles, slots, replicas: REPLICAS }
  const all = new Uint8Array(NODES).fill(1)
  const most = all.map((_, index) => (index % 100 === 0 ? 0 : 1))
  const readOf = (op: string, args: Wire): number =>
    readTilesMax(findOperation(op) as ReadOperation, args, tiles, context)
  const write = findOperation('scale') as WriteOperation
  const scale = writeTilesMax(write, { fields: [], values: [] }, tiles, context)
  const reads = (): TilePlan => planReads(input, all)
  const writes = (): TilePlan => planWrites(input)
  const one = (what: string, act: () => unknown, goalMs?: number): Promise<void> =>
    bench({ warmUps: 100, runs: 1000 }, (time) => time(what, act, goalMs))
  const cut = (what: string, plan: () => TilePlan, tilesMax: number): Promise<void> => {
    const named = `plan of a ${what} (${countParts(plan(), tilesMax)} parts)`
    return one(named, () => countParts(plan(), tilesMax), PLAN_GOAL_MS)
  }
  await one('floor: all slots read in order', () => sumOf(slots))
  await one('floor: a dependent random read a tile', () => chase(slots))
  await one('plan of a read', reads, PLAN_GOAL_MS)
  await one('plan of a read, 1 member in 100 away', () => planReads(input, most), PLAN_GOAL_MS)
  await cut('read, cut for stat', reads, readOf('stat', { field: 0 }))
  await cut('read, cut as for get', reads, readOf('get', { fields: [0] }))
  await one('plan of a write', writes, PLAN_GOAL_MS)
  await cut('write, cut for scale', writes, scale)
}

function countParts(plan: TilePlan, tilesMax: number): number {
  return [...partsOf(cutPlan(plan, tilesMax))].length
}

function sumOf(slots: Uint32Array): number {
  let sum = 0
  for (let slot = 0; slot < slots.length; slot++) sum += slots[slot]!
  return sum
}

/** As many reads as there are tiles, each at a place that only the one before it tells. */
function chase(slots: Uint32Array): number {
  const mask = slots.length - 1
  let at = 0
  for (let count = 0; count < geometry.tiles; count++) {
    at = (Math.imul(at + slots[at]!, 0x9e3779b1) >>> 7) & mask
  }
  return at
}

async function benchItems(): Promise<void> {
  const ring = new HashRing(members, virtualNodes)
  const accepts = (): boolean => true
  for (const length of [8, 22]) {
    const keys = Array.from({ length: ITEMS }, (_, index) => {
      return mix32(index).toString(16).padStart(length, 'item-')
    })
    await bench({ warmUps: 1, runs: 9 }, (time) => {
      time(`floor: 1,000,000 keys of ${length} letters hashed`, () => {
        return keys.reduce((sum, key) => sum ^ hashText(key), 0)
      })
      const shard = (): unknown => planItems(keys, ring, accepts)
      time(`1,000,000 items of ${length} letters sharded`, shard, ITEMS_GOAL_MS)
    })
  }
}

interface Sent {
  readonly task: string
  readonly rounds: Extract<GatewayEffect, { type: 'send-round' }>[]
}

/** What an accepted submission sent; nothing else may have come of it. */
function sentBy(effects: readonly GatewayEffect[]): Sent {
  const task = taskOf(effects)
  const rounds = effects.filter((effect) => effect.type === 'send-round')
  const messages = rounds.reduce((sum, { from, to }) => sum + to - from, 0)
  if (messages !== NODES) throw new Error(`${messages} messages for ${NODES} nodes`)
  return { task, rounds }
}

/** As the driver does it, for all nodes. */
function encodeAll({ rounds }: Sent): Uint8Array[] {
  const encoded: Uint8Array[] = []
  for (const { round, from, to } of rounds) {
    for (let part = from; part < to; part++) encoded.push(round.payloadOf(part))
  }
  return encoded
}

/** The step that accepts a `stat` over the whole grid; each task is cancelled before the next. */
async function benchRead(fleet: FleetInMemory, state: string): Promise<void> {
  const submission = fleet.parse({ op: 'stat', args: { field: 'value' } })
  await bench(STEPS, (time) => {
    const submit = (): GatewayEffect[] => fleet.submit(submission)
    const sent = sentBy(time(`step that accepts a stat, ${state}`, submit, STEP_GOAL_MS))
    time(`its ${NODES} messages encoded`, () => encodeAll(sent), ENCODING_GOAL_MS)
    time('step that cancels it', () => fleet.cancel(sent.task), STEP_GOAL_MS)
  })
}

/** The step that sequences a `scale` over the whole grid, what the ledger has of it, and the acknowledgements that end it. */
async function benchWrite(fleet: FleetInMemory): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'obelisk-bench-'))
  const ledger = await LedgerStore.open(directory, LEDGER_TABLES, (error) => {
    throw error
  })
  const commits: number[] = []
  let records: readonly LedgerRecord[] = []
  await bench(STEPS, async (time, run) => {
    const submission = fleet.parse({ op: 'scale', args: { fields: { value: run } } })
    const submit = (): GatewayEffect[] => fleet.submit(submission)
    const effects = time('step that sequences a scale', submit, WRITE_GOAL_MS)
    const sent = sentBy(effects)
    time(`its ${NODES} messages encoded`, () => encodeAll(sent), ENCODING_GOAL_MS)
    records = effects.flatMap((effect) => (effect.type === 'persist' ? effect.records : []))
    const startMs = performance.now()
    await ledger.write(records)
    if (run >= STEPS.warmUps) commits.push(performance.now() - startMs)
    const applied = [...appliedTo(effects)].map(
      ([index, message]) => [index, encodeMessage(message)] as const,
    )
    const isEnd = (effect: GatewayEffect): boolean => {
      return effect.type === 'announce-end' && effect.task === sent.task
    }
    const acknowledge = (): number => {
      let ends = 0
      for (const [index, payload] of applied) if (fleet.take(index, payload).some(isEnd)) ends += 1
      return ends
    }
    const what = `its ${NODES} acknowledgements taken, to its end`
    const ends = time(what, acknowledge, ACKNOWLEDGED_GOAL_MS)
    if (ends !== 1) throw new Error('the write did not end')
  })
  await ledger.close()
  rmSync(directory, { recursive: true })
  const bytes = records.reduce((sum, { value }) => sum + (value ? encodeCbor(value).length : 0), 0)
  notes.push(
    `ledger records of a scale: ${records.length}, ${(bytes / 2 ** 20).toFixed(2)} MiB, on disk in ${formatMs(median(commits))} ms (median of ${commits.length}; ${formatMs(Math.min(...commits))} at least)`,
  )
}

/** A node goes while a `stat` over the whole grid runs: the step that sends its parts elsewhere. */
async function benchRecovery(fleet: FleetInMemory, state: string): Promise<void> {
  const submission = fleet.parse({ op: 'stat', args: { field: 'value' } })
  const what = `step that re-issues a lost node's parts, ${state}`
  await bench(RECOVERIES, (time, run) => {
    const { task } = sentBy(fleet.submit(submission))
    const effects = time(what, () => fleet.closeConnection(run), RECOVERY_GOAL_MS)
    if (!effects.some(({ type }) => type.startsWith('send')))
      throw new Error('no part was sent again')
    fleet.cancel(task)
    fleet.admit(run)
  })
}

/** A heartbeat of each node, from its bytes to those of its answer. */
async function benchBeats(
  fleet: FleetInMemory,
  admission: readonly GatewayEffect[],
): Promise<void> {
  const sessions = sessionsIn(admission)
  const beat = (session: number, index: number): void => {
    const effects = fleet.receive(index, { t: 'heartbeat', session, beat: 1 })
    for (const effect of effects) if (effect.type === 'send') encodeMessage(effect.message)
  }
  await bench({ warmUps: 3, runs: 20 }, (time) => {
    time(`${NODES} heartbeats answered`, () => sessions.forEach(beat))
  })
}

async function benchCoordinator(): Promise<void> {
  const fleet = new FleetInMemory({ grid: GRID, replicas: REPLICAS, nodes: NODES })
  let admission: GatewayEffect[] = []
  await bench({ warmUps: 0, runs: 1 }, (time) => {
    admission = time(`${NODES} hellos admitted`, () => fleet.admitAll())
  })
  fleet.settle()
  await benchBeats(fleet, admission)
  await benchRead(fleet, 'no tile born')
  await benchRecovery(fleet, 'no tile born')
  await benchWrite(fleet)
  await benchRead(fleet, 'all tiles born')
  await benchRecovery(fleet, 'all tiles born')
}

const SECTIONS = {
  placement: benchPlacement,
  plans: benchPlans,
  items: benchItems,
  coordinator: benchCoordinator,
}
const { only } = benchOptions({ only: 'placement,plans,items,coordinator' })
for (const name of chosenOf(Object.keys(SECTIONS) as (keyof typeof SECTIONS)[], only)) {
  await SECTIONS[name]()
}
report(rows, [...notes, 'Milliseconds.'].join('\n'))
