import fc from 'fast-check'
import t from 'tap'
import {
  History,
  type HistoryQuery,
  type HistoryView,
  TICK_MS,
} from '../../../../broker/core/views/history.ts'
import { MINUTE_TICKS, NodeRings } from '../../../../broker/core/views/history-rings.ts'
import type { NodeId } from '../../../../shared/core/ids.ts'
import { HISTORY_METRICS } from '../../../../shared/protocol/history.ts'
import { check } from '../../../support/property.ts'
import { ended } from '../../../support/slices.ts'

const MIB = 1024 * 1024
const A = 'a' as NodeId
const ALL: HistoryQuery = { nodes: [A], metrics: HISTORY_METRICS, span: '1h', points: 360 }

/** A fleet whose first metric is the number of the tick, unless a test says otherwise. */
class Fleet {
  readonly history: History
  readonly ids: NodeId[]

  constructor(bytesMax: number, count = 1) {
    this.history = new History(bytesMax)
    this.ids = Array.from({ length: count }, (_, n) => (n === 0 ? A : `n${n}`) as NodeId)
  }

  tick(tick: number, figure = tick, ids: readonly NodeId[] = this.ids): boolean {
    const isNew = this.history.begin({ nowMs: tick * TICK_MS + 3, ts: tick * TICK_MS }, ids.length)
    if (!isNew) return false
    for (const id of ids) this.history.record(id, [figure, 1, 2, 3, 4, 5])
    const known = new Set(ids)
    this.history.end((id) => known.has(id))
    return true
  }

  read(query: Partial<HistoryQuery> = {}): HistoryView {
    return ended(this.history.read({ ...ALL, ...query }))
  }

  /** The first metric of the first node; -1 for a gap. */
  column(query: Partial<HistoryQuery> = {}): number[] {
    const [row] = this.read({ metrics: ['cpu_percent'], ...query }).nodes
    return Array.from(row!.columns[0]!, (value) => (Number.isNaN(value) ? -1 : value))
  }
}

t.test('an hour is told by ten seconds, and what was before the start is a gap', async (t) => {
  const fleet = new Fleet(MIB)
  for (let tick = 1000; tick <= 1003; tick++) fleet.tick(tick)
  t.match(fleet.read(), { stepSeconds: 10, points: 360, ts: 1003 * TICK_MS, nodes: [{ id: 'a' }] })
  t.same(fleet.column().slice(-5), [-1, 1000, 1001, 1002, 1003])
  t.ok(
    fleet
      .column()
      .slice(0, -4)
      .every((value) => value === -1),
  )
  t.equal(fleet.tick(1003), false, 'a tick is there once')
  fleet.tick(1006)
  t.same(fleet.column().slice(-4), [1003, -1, -1, 1006], 'where nobody looked there is a gap')
  fleet.tick(1007, Number.NaN)
  t.same(fleet.column().slice(-2), [1006, -1], 'and where nothing was known')
  fleet.tick(9000)
  t.same(fleet.column().slice(-2), [-1, 9000])
  t.ok(
    fleet
      .column()
      .slice(0, -1)
      .every((value) => value === -1),
    'nothing of rounds before',
  )
})

t.test('a day is told by minutes, each the mean of what is known', async (t) => {
  const fleet = new Fleet(MIB)
  const first = 60 * MINUTE_TICKS
  for (let tick = first; tick < first + 12; tick++)
    fleet.tick(tick, tick === first ? Number.NaN : tick)
  const day = fleet.column({ span: '24h', points: 360 })
  t.equal(day.length, 360)
  t.match(fleet.read({ span: '24h' }), { stepSeconds: 240, points: 360 })
  t.equal(
    fleet.read({ span: '24h', points: 100 }).stepSeconds,
    15 * 60,
    'never more points than asked for',
  )
  const [mean1, mean2] = [first + 3, first + 8.5]
  t.equal(day.at(-1), (mean1 + mean2) / 2)
})

t.test('points are as a plain list would have them, whatever came and was asked for', async (t) => {
  const ticks = fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.option(fc.nat(1000))), {
    maxLength: 120,
  })
  const one = (gaps: [number, number | null][], points: number, isDay: boolean): boolean => {
    const fleet = new Fleet(MIB)
    const known = new Map<number, number>()
    let last = 0
    for (const [gap, figure] of [[5, 1] as const, ...gaps]) {
      last += gap
      if (figure !== null) known.set(last, figure)
      fleet.tick(last, figure ?? Number.NaN)
    }
    const mean = (ticks: number[]): number => {
      const values = ticks.flatMap((tick) => known.get(tick) ?? [])
      return values.length === 0 ? -1 : values.reduce((a, b) => a + b, 0) / values.length
    }
    const stepTicks = isDay ? MINUTE_TICKS : 1
    const many = Math.ceil((isDay ? 1440 : 360) / points)
    const lastStep = Math.floor(last / stepTicks / many)
    const got = fleet.column({ span: isDay ? '24h' : '1h', points })
    return got.every((value, at) => {
      const first = (lastStep - (got.length - 1 - at)) * many
      const steps = Array.from({ length: many }, (_, step) =>
        mean(Array.from({ length: stepTicks }, (_, tick) => (first + step) * stepTicks + tick)),
      ).filter((value) => value !== -1)
      const expected = steps.length === 0 ? -1 : steps.reduce((a, b) => a + b, 0) / steps.length
      return Math.abs(value - expected) <= 1e-4 * Math.abs(expected)
    })
  }
  check(t, fc.property(ticks, fc.integer({ min: 1, max: 360 }), fc.boolean(), one))
})

t.test('more nodes have shorter rings, and all together stay within the bound', async (t) => {
  const bytesMax = 1.5 * MIB
  const shapes = new Set<string>()
  let tick = 0
  for (const count of [1, 30, 36, 40, 60, 100, 400, 1000, 20_000, 100_000]) {
    const fleet = new Fleet(bytesMax, count)
    fleet.tick(++tick)
    fleet.tick(++tick)
    t.ok(fleet.history.bytes <= bytesMax, `${count}: ${fleet.history.bytes}`)
    const { points, stepSeconds } = fleet.read()
    shapes.add(`${count}: ${points} of ${stepSeconds}, ${fleet.read({ span: '24h' }).points}`)
  }
  t.same(
    [...shapes],
    [
      '1: 360 of 10, 360',
      '30: 360 of 10, 360',
      '36: 360 of 10, 360',
      '40: 60 of 60, 360',
      '60: 60 of 60, 360',
      '100: 60 of 60, 360',
      '400: 60 of 60, 120',
      '1000: 60 of 60, 64',
      '20000: 2 of 60, 2',
      '100000: 0 of 60, 0',
    ],
  )
  t.same(new Fleet(0).read().points, 0)
})

t.test('the default bound keeps what was promised', async (t) => {
  const shapeOf = (count: number) => {
    const fleet = new Fleet(16 * MIB, count)
    fleet.tick(1)
    return [fleet.read().stepSeconds, fleet.read({ span: '24h', points: 360 }).points]
  }
  t.same(shapeOf(380), [10, 360])
  t.same(shapeOf(480), [60, 360])
  t.same(shapeOf(10_000), [60, 64])
})

t.test('a fleet that grows and shrinks keeps the newest, and forgets who is gone', async (t) => {
  const fleet = new Fleet(MIB, 1)
  for (let tick = 600; tick < 660; tick++) fleet.tick(tick)
  const many = Array.from({ length: 100 }, (_, n) => (n === 0 ? A : `n${n}`) as NodeId)
  fleet.tick(660, 660, many)
  t.same(fleet.column().slice(-3), [650.5, 656.5, 660], 'minutes are still there')
  t.ok(fleet.history.bytes <= MIB)
  fleet.tick(661, 661, [A])
  t.same(fleet.column().slice(-3), [-1, -1, 661], 'the tens of seconds begin anew')
  t.same(fleet.read({ nodes: ['n1' as NodeId] }).nodes, [])
})

t.test('rings of another length hold the same as far as they go', async (t) => {
  const shapes = fc.record({ fine: fc.nat(20), coarse: fc.nat(8) })
  check(
    t,
    fc.property(shapes, shapes, fc.array(fc.integer({ min: 1, max: 9 })), (from, to, gaps) => {
      const rings = new NodeRings(1, from)
      let tick = 0
      for (const gap of gaps) rings.record((tick += gap), [tick])
      const other = rings.reshaped(to)
      const isSame = (a: number, b: number): boolean =>
        a === b || (Number.isNaN(a) && Number.isNaN(b))
      for (let at = Math.max(0, tick - Math.min(from.fine, to.fine) + 1); at <= tick; at++) {
        if (!isSame(rings.fineAt(0, at), other.fineAt(0, at))) return false
      }
      for (let at = 0; at < Math.min(from.coarse, to.coarse); at++) {
        const minute = Math.floor(tick / MINUTE_TICKS) - at
        if (!isSame(rings.coarseAt(0, minute), other.coarseAt(0, minute))) return false
      }
      return true
    }),
  )
})
