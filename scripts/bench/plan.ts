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
import { benchOptions, misused } from './bench-options.ts'
import { appliedTo, FleetInMemory, nodeIdOf } from './fleet-in-memory.ts'
import {
  describeMachine,
  formatMs,
  formatTable,
  measure,
  median,
  type Sample,
  type Timings,
  timeRuns,
  timingsOf,
} from './measure.ts'

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
const STEP_WARM_UPS = 10
const STEP_RUNS = 50
const RECOVERY_RUNS = 15
const BEAT_RUNS = { warmUps: 3, runs: 20 }

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

/** `goalMs` is to hold for the median and the 99th percentile of what was our own time. */
function report(what: string, timings: Timings, goalMs?: number): void {
  const { minMs, p50Ms, p99Ms, ownP50Ms, ownP99Ms, count } = timings
  const figures = [minMs, p50Ms, p99Ms, ownP50Ms, ownP99Ms].map(formatMs)
  const row = [what, ...figures, String(count)]
  if (goalMs !== undefined) row.push(`< ${goalMs}`, verdictOn(timings, goalMs))
  rows.push(row)
}

/** Times `run`, and reports it. */
function bench(
  what: string,
  runs: Parameters<typeof timeRuns>[0],
  run: (index: number) => unknown,
  goalMs?: number,
): void {
  report(what, timeRuns(runs, run), goalMs)
}

function verdictOn({ ownP50Ms, ownP99Ms }: Timings, goalMs: number): string {
  if (ownP99Ms < goalMs) return 'holds'
  return ownP50Ms < goalMs ? 'p50 only' : 'missed'
}

function newPlacement(): Placement {
  const placement = new Placement({
    tiles: geometry.tiles,
    replicas: REPLICAS,
    virtualNodes,
    loadBound,
  })
  placement.setMembers(members)
  return placement
}

function benchPlacement(): void {
  const few = { warmUps: 2, runs: 15 }
  bench(`ring of ${NODES} members × ${virtualNodes} points`, few, () => {
    return new HashRing(members, virtualNodes)
  })
  bench('ring and 262,144 tiles × 2 placed', few, () => newPlacement().slots)
  const placement = newPlacement()
  let count = placement.slots.length
  const change = (run: number): void => {
    placement.setMembers(run % 2 === 0 ? members.slice(0, -1) : members)
    count = placement.slots.length
  }
  bench('one member leaves or joins, no tile born', few, change, RECOVERY_GOAL_MS)
  placement.bear(geometry.tilesOf(geometry.whole))
  bench('one member leaves or joins, all tiles born', few, change, RECOVERY_GOAL_MS)
  const loads = [...newPlacement().tileCounts.values()]
  const mean = count / NODES
  const greatest = Math.max(...loads)
  console.log(
    `efficiency (mean / greatest load): ${(mean / greatest).toFixed(4)}; ${mean.toFixed(1)} tiles on average, ${greatest} at most, ${Math.min(...loads)} at least; bound ${loadBound}`,
  )
}

function benchPlans(): void {
  const { slots } = newPlacement()
  const tiles = geometry.tilesOf(geometry.whole)
  const input = { tiles, slots, replicas: REPLICAS }
  const all = new Uint8Array(NODES).fill(1)
  const most = all.map((_, index) => (index % 100 === 0 ? 0 : 1))
  const many = { warmUps: 100, runs: 1000 }
  const readOf = (op: string, args: Wire): number =>
    readTilesMax(findOperation(op) as ReadOperation, args, tiles, context)
  const write = findOperation('scale') as WriteOperation
  const scale = writeTilesMax(write, { fields: [], values: [] }, tiles, context)
  const reads = (): TilePlan => planReads(input, all)
  const writes = (): TilePlan => planWrites(input)
  const cut = (what: string, plan: () => TilePlan, tilesMax: number): void => {
    const parts = countParts(plan(), tilesMax)
    const named = `plan of a ${what} (${parts} parts)`
    bench(named, many, () => countParts(plan(), tilesMax), PLAN_GOAL_MS)
  }
  bench('floor: all slots read in order', many, () => sumOf(slots))
  bench('floor: a dependent random read a tile', many, () => chase(slots))
  bench('plan of a read', many, reads, PLAN_GOAL_MS)
  bench('plan of a read, 1 member in 100 away', many, () => planReads(input, most), PLAN_GOAL_MS)
  cut('read, cut for stat', reads, readOf('stat', { field: 0 }))
  cut('read, cut as for get', reads, readOf('get', { fields: [0] }))
  bench('plan of a write', many, writes, PLAN_GOAL_MS)
  cut('write, cut for scale', writes, scale)
}

function countParts(plan: TilePlan, tilesMax: number): number {
  return [...partsOf(plan, tilesMax)].length
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

function benchItems(): void {
  const ring = new HashRing(members, virtualNodes)
  const few = { warmUps: 1, runs: 9 }
  const accepts = (): boolean => true
  for (const length of [8, 22]) {
    const keys = Array.from({ length: ITEMS }, (_, index) => {
      const text = mix32(index).toString(16)
      return text.padStart(length, 'item-')
    })
    bench(`floor: 1,000,000 keys of ${length} letters hashed`, few, () => {
      return keys.reduce((sum, key) => sum ^ hashText(key), 0)
    })
    const shard = () => planItems(keys, ring, accepts)
    bench(`1,000,000 items of ${length} letters sharded`, few, shard, ITEMS_GOAL_MS)
  }
}

interface Sent {
  readonly task: string
  readonly sends: Extract<GatewayEffect, { type: 'send' }>[]
  readonly rounds: Extract<GatewayEffect, { type: 'send-round' }>[]
}

/** What an accepted submission sent; nothing else may have come of it. */
function sentBy(effects: readonly GatewayEffect[]): Sent {
  const answer = effects.find((effect) => effect.type === 'answer')
  if (!answer?.outcome.ok) throw new Error('the task was not accepted')
  const sends = effects.filter((effect) => effect.type === 'send')
  const rounds = effects.filter((effect) => effect.type === 'send-round')
  const messages = rounds.reduce((sum, { from, to }) => sum + to - from, sends.length)
  if (messages !== NODES) throw new Error(`${messages} messages for ${NODES} nodes`)
  return { task: answer.outcome.task, sends, rounds }
}

/** As the driver does it, for all nodes. */
function encodeAll({ sends, rounds }: Sent): Uint8Array[] {
  const encoded = sends.map(({ message }) => encodeMessage(message))
  for (const { round, from, to } of rounds) {
    for (let part = from; part < to; part++) encoded.push(round.payloadOf(part))
  }
  return encoded
}

/** The step that accepts a `stat` over the whole grid; each task is cancelled before the next. */
function benchRead(fleet: FleetInMemory, state: string): void {
  const submission = fleet.parse({ op: 'stat', args: { field: 'value' } })
  const steps: Sample[] = []
  const encodings: Sample[] = []
  const cancellations: Sample[] = []
  for (let run = 0; run < STEP_WARM_UPS + STEP_RUNS; run++) {
    const step = measure(() => fleet.submit(submission))
    const sent = sentBy(step.value)
    const encoding = measure(() => encodeAll(sent))
    const cancellation = measure(() => fleet.cancel(sent.task))
    if (run < STEP_WARM_UPS) continue
    steps.push(step.sample)
    encodings.push(encoding.sample)
    cancellations.push(cancellation.sample)
  }
  report(`step that accepts a stat, ${state}`, timingsOf(steps), STEP_GOAL_MS)
  report(`its ${NODES} messages encoded`, timingsOf(encodings), ENCODING_GOAL_MS)
  report('step that cancels it', timingsOf(cancellations), STEP_GOAL_MS)
}

/** The step that sequences a `scale` over the whole grid, what the ledger has of it, and the acknowledgements that end it. */
async function benchWrite(fleet: FleetInMemory): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'obelisk-bench-'))
  const ledger = await LedgerStore.open(directory, LEDGER_TABLES, (error) => {
    throw error
  })
  const commits: number[] = []
  let records: readonly LedgerRecord[] = []
  const steps: Sample[] = []
  const encodings: Sample[] = []
  const acknowledgements: Sample[] = []
  for (let run = 0; run < STEP_WARM_UPS + STEP_RUNS; run++) {
    const submission = fleet.parse({ op: 'scale', args: { fields: { value: run } } })
    const step = measure(() => fleet.submit(submission))
    const sent = sentBy(step.value)
    const encoding = measure(() => encodeAll(sent))
    records = step.value.flatMap((effect) => (effect.type === 'persist' ? effect.records : []))
    const startMs = performance.now()
    await ledger.write(records)
    const commitMs = performance.now() - startMs
    const applied = [...appliedTo(step.value)].map(
      ([index, message]) => [index, encodeMessage(message)] as const,
    )
    const isEnd = (effect: GatewayEffect): boolean => {
      return effect.type === 'announce-end' && effect.task === sent.task
    }
    const ending = measure(() => {
      let ends = 0
      for (const [index, payload] of applied) if (fleet.take(index, payload).some(isEnd)) ends += 1
      return ends
    })
    if (ending.value !== 1) throw new Error('the write did not end')
    if (run < STEP_WARM_UPS) continue
    steps.push(step.sample)
    encodings.push(encoding.sample)
    commits.push(commitMs)
    acknowledgements.push(ending.sample)
  }
  await ledger.close()
  rmSync(directory, { recursive: true })
  const bytes = records.reduce((sum, { value }) => sum + (value ? encodeCbor(value).length : 0), 0)
  console.log(
    `ledger records of a scale: ${records.length}, ${(bytes / 2 ** 20).toFixed(2)} MiB, on disk in ${formatMs(median(commits))} ms (median of ${commits.length}; ${formatMs(Math.min(...commits))} at least)`,
  )
  report('step that sequences a scale', timingsOf(steps), WRITE_GOAL_MS)
  report(`its ${NODES} messages encoded`, timingsOf(encodings), ENCODING_GOAL_MS)
  const ended = `its ${NODES} acknowledgements taken, to its end`
  report(ended, timingsOf(acknowledgements), ACKNOWLEDGED_GOAL_MS)
}

/** A node goes while a `stat` over the whole grid runs: the step that sends its parts elsewhere. */
function benchRecovery(fleet: FleetInMemory, state: string): void {
  const submission = fleet.parse({ op: 'stat', args: { field: 'value' } })
  const steps: Sample[] = []
  for (let run = 0; run < RECOVERY_RUNS; run++) {
    const { task } = sentBy(fleet.submit(submission))
    const step = measure(() => fleet.closeConnection(run))
    if (!step.value.some(({ type }) => type.startsWith('send')))
      throw new Error('no part was sent again')
    steps.push(step.sample)
    fleet.cancel(task)
    fleet.admit(run)
  }
  report(`step that re-issues a lost node's parts, ${state}`, timingsOf(steps), RECOVERY_GOAL_MS)
}

/** A heartbeat of each node, from its bytes to those of its answer. */
function benchBeats(fleet: FleetInMemory, admission: readonly GatewayEffect[]): void {
  const sessions = admission.flatMap((effect) =>
    effect.type === 'send' && effect.message.t === 'welcome' ? [effect.message.session] : [],
  )
  const beat = (session: number, index: number): void => {
    const effects = fleet.receive(index, { t: 'heartbeat', session, beat: 1 })
    for (const effect of effects) if (effect.type === 'send') encodeMessage(effect.message)
  }
  bench(`${NODES} heartbeats answered`, BEAT_RUNS, () => sessions.forEach(beat))
}

async function benchCoordinator(): Promise<void> {
  const fleet = new FleetInMemory({ grid: GRID, replicas: REPLICAS, nodes: NODES })
  const admission = measure(() => fleet.admitAll())
  const settling = measure(() => fleet.settle())
  report(`${NODES} hellos admitted`, timingsOf([admission.sample]))
  report('the step that publishes their ring', timingsOf([settling.sample]))
  benchBeats(fleet, admission.value)
  benchRead(fleet, 'no tile born')
  benchRecovery(fleet, 'no tile born')
  await benchWrite(fleet)
  benchRead(fleet, 'all tiles born')
  benchRecovery(fleet, 'all tiles born')
}

const sections = {
  placement: benchPlacement,
  plans: benchPlans,
  items: benchItems,
  coordinator: benchCoordinator,
}
const { positionals: asked } = benchOptions({}, '[placement] [plans] [items] [coordinator]')
const stranger = asked.find((name) => !Object.hasOwn(sections, name))
if (stranger !== undefined)
  misused(`"${stranger}" is not one of ${Object.keys(sections).join(', ')}`)
console.log(describeMachine())
for (const [name, run] of Object.entries(sections)) {
  if (asked.length === 0 || asked.includes(name)) await run()
}
console.log('Milliseconds.')
console.log(formatTable(rows))
