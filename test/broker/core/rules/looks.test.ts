import fc from 'fast-check'
import t from 'tap'
import {
  LOOK_DEADLINE_MS,
  LOOKS_MAX,
  LOOKS_OF_CLIENT_MAX,
  SHOWN_MAX,
} from '../../../../broker/core/rules/looks.ts'
import type { Region } from '../../../../shared/grid/geometry.ts'
import {
  ADD,
  cells,
  GatewayBench,
  GET,
  readerOf,
  settledPair,
  TILE_0,
} from '../../../support/gateway-bench.ts'
import { check } from '../../../support/property.ts'

const TILE_1 = { x: 4, y: 0, w: 4, h: 4 }

/** The nodes answer what the last step asked of them: each cell of a tile is `value`. */
function answerAll(bench: GatewayBench, value: number): void {
  const asked = [...bench.nodes.keys()].flatMap((name) =>
    bench.readsTo(name).map((read) => ({ name, read })),
  )
  for (const { name, read } of asked) {
    const { tiles, unborn } = read.grid!
    const [tile] = new Uint32Array(new Uint8Array([...tiles, ...unborn]).buffer)
    bench.answer(name, read, { value: cells(tile!, value) })
  }
}

/** A look that is answered, and its value. */
function see(bench: GatewayBench, value: number, wish: object = GET): number {
  const ticket = bench.look(wish)
  const kept = bench.shown(ticket)
  if (kept === undefined) answerAll(bench, value)
  const shown = bench.shown(ticket)
  if (shown?.ok !== true) throw new Error(`the look was not answered: ${JSON.stringify(shown)}`)
  return (shown.value as { fields: { value: number[] } }).fields.value[0]!
}

t.test('a look is given its value, and nothing else is left of it', async (t) => {
  const bench = settledPair()
  const before = JSON.stringify(bench.ledger.load())
  const seen = [...bench.effects]
  seen.length = 0
  const ticket = bench.look(GET)
  seen.push(...bench.effects)
  const { reader } = readerOf(bench)
  const [read] = bench.readsTo(reader)
  bench.answer(reader, read!, { value: cells(0, 3) })
  seen.push(...bench.effects)
  t.match(bench.shown(ticket), { ok: true, consistent: true, tag: /^ledger-1-1-\d+$/ })
  t.same(
    [...new Set(seen.map(({ type }) => type))].sort(),
    ['answer-look', 'send'],
    'no persist, no publish, no notice',
  )
  t.equal(JSON.stringify(bench.ledger.load()), before)
  t.same(bench.view.tasks({ limit: 10 }).length, 1, 'the write of before is the only task')
})

t.test('its part goes to the other holder when a node goes, and nobody is told', async (t) => {
  const bench = settledPair()
  const ticket = bench.look(GET)
  const { reader, other } = readerOf(bench)
  bench.close(reader)
  t.same(bench.notices('read-reissued'), [])
  answerAll(bench, 5)
  t.match(bench.shown(ticket), { ok: true })
  t.ok(other)
})

t.test('whoever leaves takes his look with him; the last one ends the read', async (t) => {
  const bench = settledPair()
  const tickets = [bench.look(GET, 'one'), bench.look(GET, 'two')]
  t.same(bench.sent('read'), [], 'the second joined the first')
  bench.step({ type: 'look-cancelled', ticket: tickets[0]! })
  t.same(bench.sent('cancel'), [])
  bench.step({ type: 'look-cancelled', ticket: tickets[1]! })
  t.equal(bench.sent('cancel').length, 1)
  t.equal(bench.view.counts().readsOpen, 0)
  bench.step({ type: 'look-cancelled', ticket: tickets[1]! })
  t.same(bench.effects, [])
})

t.test('what nobody answers in time is over, and so is all of it', async (t) => {
  const bench = settledPair({ suspectAfterMs: 600_000, leaseMs: 600_000 })
  const ticket = bench.look(GET)
  bench.wait(LOOK_DEADLINE_MS - 1)
  t.equal(bench.shown(ticket), undefined)
  bench.wait(1)
  t.match(bench.shown(ticket), { ok: false, error: { code: 'deadline' } })
  t.equal(bench.view.counts().readsOpen, 0)
})

t.test('the trouble of all holders is told as what it is', async (t) => {
  const bench = settledPair()
  const ticket = bench.look(GET)
  const error = { code: 'page-damaged', message: 'tile 0' }
  for (let attempt = 0; attempt < 2; attempt++) {
    const { reader } = readerOf(bench)
    bench.answer(reader, bench.readsTo(reader)[0]!, { error })
  }
  t.match(bench.shown(ticket), { ok: false, error })
})

t.test('so many looks are taken, and so many of one client', async (t) => {
  const bench = settledPair()
  // Each another look.
  const wish = (index: number): object => ({
    op: 'stat',
    region: { x: 0, y: 0, w: 1 + (index % 16), h: 1 + Math.floor(index / 16) },
    args: { field: 'value' },
  })
  for (let index = 0; index < LOOKS_OF_CLIENT_MAX; index++) {
    t.equal(bench.shown(bench.look(wish(index))), undefined)
  }
  const own = bench.look(wish(0))
  t.match(bench.shown(own), { refusal: { code: 'too-many-looks' } }, 'though that is under way')
  for (let index = LOOKS_OF_CLIENT_MAX; index < LOOKS_MAX; index++) {
    t.equal(bench.shown(bench.look(wish(index), `client-${index}`)), undefined)
  }
  const more = bench.look(wish(LOOKS_MAX), 'another')
  t.match(bench.shown(more), { refusal: { code: 'too-many-looks' } })
  const equal = bench.look(wish(0), 'another')
  t.equal(bench.shown(equal), undefined, 'one that is under way can be shared')
})

t.test('only reads of the grid are looked at, and problems are all named', async (t) => {
  const bench = settledPair()
  const write = bench.look({ ...ADD, region: TILE_0 })
  t.match(bench.shown(write), { refusal: { code: 'not-allowed', errors: [{ path: 'op' }] } })
  const items = bench.look({ op: 'digest', items: [{ key: 'a', data: '' }] })
  t.match(bench.shown(items), { refusal: { code: 'not-allowed' } })
  const bad = bench.look({ op: 'stat', region: { x: 99, y: 0, w: 1, h: 1 }, args: { field: 'no' } })
  t.match(bench.shown(bad), {
    refusal: { code: 'invalid', errors: [{ path: 'region.x' }, { path: 'args.field' }] },
  })
  const alone = new GatewayBench()
  t.match(alone.shown(alone.look(GET)), { refusal: { code: 'no-node' } })
})

t.test('a value is shown again until a write touches it', async (t) => {
  const bench = settledPair()
  const tag = (ticket: number): string | undefined => {
    const shown = bench.shown(ticket)
    return shown?.ok === true ? shown.tag : undefined
  }
  t.equal(see(bench, 1), 1)
  const first = tag(bench.look(GET))
  t.match(first, /./)
  t.equal(tag(bench.look({ ...GET, args: { fields: ['value'] } })), first, 'by its normal form')
  bench.submit({ ...ADD, region: TILE_1 })
  for (const name of ['a', 'b']) bench.apply(name, bench.entriesTo(name))
  t.equal(see(bench, 2), 2, 'a tile was born, and so placed')
  const second = tag(bench.look(GET))
  t.not(second, first)
  bench.submit({ ...ADD, region: TILE_1 })
  t.equal(tag(bench.look(GET)), second, 'a write elsewhere')
  bench.submit({ ...ADD, region: TILE_0 })
  t.equal(see(bench, 3), 3)
  t.not(tag(bench.look(GET)), second)
})

t.test('what is asked for once is not kept', async (t) => {
  const bench = settledPair()
  const once = bench.look(GET, 'tester', true)
  t.equal(bench.shown(once), undefined)
  answerAll(bench, 1)
  t.match(bench.shown(once), { ok: true })
  t.equal(bench.shown(bench.look(GET)), undefined, 'it was read, and not kept')
  answerAll(bench, 1)
  t.match(bench.shown(bench.look(GET, 'tester', true)), { ok: true }, 'what is there is shown')
})

t.test('a look that came after a touching write does not join one from before', async (t) => {
  const bench = settledPair()
  const before = bench.look(GET)
  const { reader } = readerOf(bench)
  const [read] = bench.readsTo(reader)
  bench.submit({ ...ADD, region: TILE_0 })
  const after = bench.look(GET)
  t.equal(bench.sent('read').length, 1, 'it is a read of its own')
  bench.answer(reader, read!, { value: cells(0, 1) })
  t.match(bench.shown(before), { ok: true, tag: undefined }, 'and the first is not kept')
  t.equal(bench.shown(after), undefined)
  t.equal(bench.shown(bench.look(GET)), undefined)
})

t.test('so many values are kept, those that were shown last', async (t) => {
  const bench = settledPair()
  const spans = [0, 1, 2, 3].flatMap((from) =>
    [1, 2, 3, 4].filter((size) => from + size <= 4).map((size) => ({ from, size })),
  )
  const regions = spans.flatMap((across) =>
    spans.map((down) => ({ x: across.from, y: down.from, w: across.size, h: down.size })),
  )
  const isKept = (index: number): boolean => {
    const region = regions[index]!
    const ticket = bench.look({ op: 'get', region })
    if (bench.shown(ticket) !== undefined) return true
    const { reader } = readerOf(bench)
    const lsus = region.w * region.h
    const value = {
      tiles: new Uint8Array(4),
      status: new Uint8Array(lsus),
      columns: [new Uint8Array(8 * lsus)],
    }
    bench.answer(reader, bench.readsTo(reader)[0]!, { value })
    return false
  }
  for (let index = 0; index < SHOWN_MAX; index++) t.notOk(isKept(index))
  t.ok(isKept(0), 'and so it was shown last')
  t.notOk(isKept(SHOWN_MAX))
  t.ok(isKept(0))
  t.notOk(isKept(1), 'it made room')
})

type Entries = ReturnType<GatewayBench['entriesTo']>

interface Deed {
  readonly kind: 'write' | 'look' | 'apply' | 'answer'
  readonly region: number
}

t.test('what is shown is what a read without a memory could show', async (t) => {
  const regions = [TILE_0, TILE_1, { x: 0, y: 0, w: 8, h: 4 }, { x: 2, y: 1, w: 4, h: 2 }]
  const deeds = fc.array(
    fc.record<Deed>({
      kind: fc.constantFrom('write', 'look', 'look', 'apply', 'answer', 'answer'),
      region: fc.nat(regions.length - 1),
    }),
    { minLength: 10, maxLength: 60 },
  )
  let fromMemory = 0
  const story = fc.property(deeds, (chosen) => {
    const bench = settledPair({ logBytesMax: 2 ** 30 })
    const { geometry } = bench.options.grid
    /** How often each cell was added to, after each write; the newest last. */
    const states = [new Float64Array(16 * 8)]
    /** Writes that the nodes have, by the number of the last one. */
    let applied = 0
    const entries = { a: [] as Entries, b: [] as Entries }
    const reads: { name: string; read: ReturnType<GatewayBench['readsTo']>[number] }[] = []
    let clients = 0
    const asked = new Map<number, { region: Region; from: number }>()
    const gather = (): void => {
      for (const name of ['a', 'b'] as const) {
        entries[name].push(...bench.entriesTo(name))
        for (const read of bench.readsTo(name)) reads.push({ name, read })
      }
    }
    const checkShown = (): void => {
      for (const [ticket, { region, from }] of asked) {
        const shown = bench.shown(ticket)
        if (shown === undefined) continue
        asked.delete(ticket)
        if ('refusal' in shown && shown.refusal.code === 'too-many-looks') continue
        if (!shown.ok) throw new Error(`the look was refused: ${JSON.stringify(shown)}`)
        const { value } = (shown.value as { fields: { value: number[] } }).fields
        const cellsOf = ({ x, y, w, h }: Region): number[] =>
          Array.from({ length: w * h }, (_, at) => 16 * (y + Math.floor(at / w)) + x + (at % w))
        const at = new Map(cellsOf(region).map((cell, place) => [cell, value![place]]))
        const pieces = shown.consistent
          ? [region]
          : Array.from(geometry.tilesOf(region), (tile) => geometry.overlap(tile, region))
        for (const piece of pieces) {
          const isOf = (state: Float64Array): boolean =>
            cellsOf(piece).every((cell) => at.get(cell) === state[cell])
          if (!states.slice(from).some(isOf)) throw new Error('it was never so since it was asked')
        }
      }
    }
    const done = (): void => {
      gather()
      checkShown()
    }
    for (const { kind, region: index } of chosen) {
      const region = regions[index]!
      if (kind === 'write') {
        const next = Float64Array.from(states.at(-1)!)
        for (let y = region.y; y < region.y + region.h; y++) {
          for (let x = region.x; x < region.x + region.w; x++) next[16 * y + x]! += 1
        }
        states.push(next)
        bench.submit({ ...ADD, region }, { client: `client-${states.length}` })
        done()
      } else if (kind === 'apply') {
        for (const name of ['a', 'b'] as const) {
          bench.apply(name, entries[name].splice(0))
          done()
        }
        applied = states.length - 1
      } else if (kind === 'look') {
        // Not less than what had its place: a memory is no excuse.
        const ticket = bench.look({ op: 'get', region }, `client-${++clients}`)
        asked.set(ticket, { region, from: applied })
        if (bench.shown(ticket) !== undefined) fromMemory += 1
        done()
      } else {
        const next = reads.shift()
        // It waits for the stream, as a node does.
        if (next === undefined) continue
        const { name, read } = next
        if (bench.node(name).position < read.after) {
          reads.push(next)
          continue
        }
        const [x, y, w, h] = read.grid!.region
        const both = new Uint8Array([...read.grid!.tiles, ...read.grid!.unborn])
        const tiles = new Uint32Array(both.buffer).sort()
        const seen = [...tiles].flatMap((tile) => {
          const part = geometry.overlap(tile, { x, y, w, h })
          return Array.from({ length: part.w * part.h }, (_, cell) => {
            const row = part.y + Math.floor(cell / part.w)
            return states[applied]![16 * row + part.x + (cell % part.w)]!
          })
        })
        bench.answer(name, read, {
          value: {
            tiles: new Uint8Array(tiles.buffer),
            status: new Uint8Array(seen.length),
            columns: [new Uint8Array(Float64Array.from(seen).buffer)],
          },
        })
        done()
      }
    }
  })
  check(t, story, 300)
  t.ok(fromMemory > 100, `${fromMemory} came from what was kept`)
})
