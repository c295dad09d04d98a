import fc from 'fast-check'
import t from 'tap'
import { piecesOf } from '../../../../broker/dashboard/grid/levels.ts'
import {
  PIECES_MAX,
  type PieceName,
  type PieceRequest,
  Pieces,
  REQUESTS_MAX,
} from '../../../../broker/dashboard/grid/pieces.ts'
import type { Region } from '../../../../shared/grid/geometry.ts'
import { check } from '../../../support/property.ts'

const GRID = { width: 4096, height: 2048, tile: 16 }

function names(region: Region, step = 1, field = 'value'): PieceName[] {
  return piecesOf(region, step).map((start) => ({ field, of: 'mean', step, ...start }))
}

/** Squares of the request, all of one value. */
function squares({ region, piece }: PieceRequest, value: number): Float32Array {
  const count = Math.ceil(region.w / piece.step) * Math.ceil(region.h / piece.step)
  return new Float32Array(count).fill(value)
}

/** All that is wanted, at once. */
function filled(region: Region, step = 1): Pieces {
  const pieces = new Pieces(GRID)
  pieces.want(names(region, step))
  for (;;) {
    const { ask } = pieces.due(0)
    if (ask.length === 0) return pieces
    for (const request of ask) pieces.arrived(request, squares(request, 1), 0)
  }
}

t.test('three requests at most are under way, the others follow', (t) => {
  const pieces = new Pieces(GRID)
  pieces.want(names({ x: 0, y: 0, w: 2048, h: 512 }))
  const first = pieces.due(0).ask
  t.equal(first.length, REQUESTS_MAX)
  t.same(pieces.due(0).ask, [])
  t.equal(pieces.nextMs(), undefined, 'an answer comes first')
  pieces.arrived(first[0]!, squares(first[0]!, 1), 5)
  t.equal(pieces.due(5).ask.length, 1)
  t.equal(pieces.underWay, REQUESTS_MAX)
  t.end()
})

t.test('what is out of sight is given up for what is in sight, and can come later', (t) => {
  const pieces = new Pieces(GRID)
  const there = names({ x: 0, y: 0, w: 768, h: 256 })
  pieces.want(there)
  const old = pieces.due(0).ask
  pieces.want(names({ x: 2048, y: 512, w: 512, h: 256 }))
  const { ask, drop } = pieces.due(1)
  t.same(drop, old)
  t.same(ask, [], 'not before the gateway knows that')
  t.same(pieces.due(60), { ask: [], drop: [] })
  t.equal(pieces.nextMs(), 61)
  t.equal(pieces.due(61).ask.length, 2)
  t.ok(pieces.arrived(drop[0]!, squares(drop[0]!, 9), 62), 'an answer that is late is no fault')
  t.same(pieces.all(), [])
  pieces.want(there)
  pieces.due(63)
  const again = pieces.due(123).ask.map(({ piece }) => piece)
  t.ok(again.includes(drop[0]!.piece), 'as soon as it is in sight again')
  t.end()
})

t.test('where there is room nothing is given up', (t) => {
  const pieces = new Pieces(GRID)
  pieces.want(names({ x: 0, y: 0, w: 256, h: 256 }))
  pieces.due(0)
  pieces.want(names({ x: 2048, y: 512, w: 512, h: 256 }))
  const { ask, drop } = pieces.due(1)
  t.equal(ask.length, 2)
  t.same(drop, [])
  t.end()
})

t.test('a write makes only the squares stale that it touched', (t) => {
  const pieces = filled({ x: 0, y: 0, w: 512, h: 512 }, 2)
  t.same(pieces.due(10_000).ask, [])
  pieces.touch({ x: 5, y: 7, w: 1, h: 3 })
  const [request, ...others] = pieces.due(10_000).ask
  t.same(others, [])
  t.same(request!.region, { x: 4, y: 6, w: 2, h: 4 })
  const before = request!.piece.version
  pieces.arrived(request!, new Float32Array([5, 6]), 10_010)
  const { values, columns, version } = request!.piece
  t.ok(version > before)
  t.equal(values![3 * columns + 2], 5)
  t.equal(values![4 * columns + 2], 6)
  t.equal(values![5 * columns + 2], 1)
  t.equal(values![3 * columns + 1], 1)
  t.end()
})

t.test('a piece is asked for again after two seconds, for all that was touched meanwhile', (t) => {
  const pieces = filled({ x: 0, y: 0, w: 256, h: 256 })
  pieces.touch({ x: 1, y: 1, w: 1, h: 1 })
  t.same(pieces.due(1_999).ask, [])
  t.equal(pieces.nextMs(), 2_000)
  pieces.touch({ x: 10, y: 3, w: 2, h: 1 })
  const [request] = pieces.due(2_000).ask
  t.same(request!.region, { x: 1, y: 1, w: 11, h: 3 })
  pieces.touch({ x: 200, y: 200, w: 1, h: 1 })
  pieces.arrived(request!, squares(request!, 2), 2_100)
  t.same(pieces.due(3_999).ask, [], 'nor is what a write touched while it was under way')
  t.same(pieces.due(4_000).ask[0]!.region, { x: 200, y: 200, w: 1, h: 1 })
  t.end()
})

t.test('what nobody sees is not asked for', (t) => {
  const pieces = filled({ x: 0, y: 0, w: 256, h: 256 })
  pieces.want(names({ x: 1024, y: 0, w: 256, h: 256 }))
  pieces.due(0).ask.map((request) => pieces.arrived(request, squares(request, 1), 0))
  pieces.touch({ x: 0, y: 0, w: 4, h: 4 })
  t.same(pieces.due(9_000).ask, [])
  t.equal(pieces.nextMs(), undefined)
  pieces.want(names({ x: 0, y: 0, w: 256, h: 256 }))
  t.equal(pieces.due(9_000).ask.length, 1)
  t.end()
})

t.test('what fails is asked for again later and later', (t) => {
  const pieces = new Pieces(GRID)
  pieces.want(names({ x: 0, y: 0, w: 256, h: 256 }))
  let nowMs = 0
  const waits = Array.from({ length: 6 }, () => {
    const [request] = pieces.due(nowMs).ask
    pieces.failed(request!, nowMs)
    const wait = pieces.nextMs()! - nowMs
    nowMs += wait
    return wait
  })
  t.same(waits, [2_000, 4_000, 8_000, 16_000, 16_000, 16_000])
  t.end()
})

t.test('an answer of another size counts as failed', (t) => {
  const pieces = new Pieces(GRID)
  pieces.want(names({ x: 0, y: 0, w: 256, h: 256 }))
  const [request] = pieces.due(0).ask
  t.notOk(pieces.arrived(request!, new Float32Array(5), 100))
  t.equal(pieces.nextMs(), 2_100)
  t.same(pieces.all(), [])
  t.end()
})

t.test('a write without a region makes everything stale', (t) => {
  const pieces = filled({ x: 0, y: 0, w: 512, h: 256 })
  pieces.touch()
  const { ask } = pieces.due(5_000)
  t.same(
    ask.map(({ region }) => region.w * region.h),
    [65_536, 65_536],
  )
  t.end()
})

t.test('whatever happens, bounds hold, and in the end what is seen is what is there', (t) => {
  // A world of one number a cell of 64 × 64, in which a piece of step 1 is clipped; a square is the sum of its cells.
  const grid = { width: 600, height: 520, tile: 16 }
  const acts = fc.array(
    fc.oneof(
      fc.record({
        act: fc.constant('look' as const),
        ...{ x: fc.nat(599), y: fc.nat(519), step: fc.constantFrom(1, 2, 4) },
      }),
      fc.record({ act: fc.constant('write' as const), x: fc.nat(595), y: fc.nat(515) }),
      fc.record({ act: fc.constantFrom('arrive' as const, 'fail' as const), which: fc.nat(3) }),
      fc.record({ act: fc.constant('wait' as const), ms: fc.nat(3_000) }),
    ),
    { maxLength: 60 },
  )
  check(
    t,
    fc.property(acts, (list) => {
      const world = new Float32Array(grid.width * grid.height)
      const pieces = new Pieces(grid)
      const open: { request: PieceRequest; seen: Float32Array }[] = []
      const askedMs = new Map<unknown, number>()
      let nowMs = 0
      let writes = 0
      let wanted: readonly PieceName[] = []

      const look = ({ piece, region }: PieceRequest): Float32Array => {
        const across = Math.ceil(region.w / piece.step)
        const found = new Float32Array(across * Math.ceil(region.h / piece.step))
        for (let y = 0; y < region.h; y++) {
          for (let x = 0; x < region.w; x++) {
            const square = Math.floor(y / piece.step) * across + Math.floor(x / piece.step)
            found[square]! += world[(region.y + y) * grid.width + region.x + x]!
          }
        }
        return found
      }
      const ask = (): void => {
        const { ask, drop } = pieces.due(nowMs)
        for (const request of drop) {
          open.splice(
            open.findIndex((one) => one.request === request),
            1,
          )
          askedMs.delete(request.piece)
        }
        for (const request of ask) {
          const before = askedMs.get(request.piece)
          if (before !== undefined && nowMs - before < 2_000) throw new Error('too soon')
          askedMs.set(request.piece, nowMs)
          open.push({ request, seen: look(request) })
        }
        if (pieces.underWay !== open.length || open.length > REQUESTS_MAX) throw new Error('open')
        if (pieces.all().length > PIECES_MAX) throw new Error('too many')
      }
      for (const one of list) {
        if (one.act === 'look') {
          const { x, y, step } = one
          const w = Math.min(400, grid.width - x)
          const h = Math.min(300, grid.height - y)
          wanted = names({ x, y, w, h }, step)
          pieces.want(wanted)
        } else if (one.act === 'write') {
          for (let cell = 0; cell < 16; cell++) {
            world[(one.y + (cell >> 2)) * grid.width + one.x + (cell & 3)] = ++writes % 7
          }
          pieces.touch({ x: one.x, y: one.y, w: 4, h: 4 })
        } else if (one.act === 'wait') {
          nowMs += one.ms
        } else {
          const [ended] = open.splice(one.which, 1)
          if (ended === undefined) continue
          if (one.act === 'fail') pieces.failed(ended.request, nowMs)
          else pieces.arrived(ended.request, ended.seen, nowMs)
        }
        ask()
      }
      for (let round = 0; round < 200; round++) {
        for (const { request, seen } of open.splice(0)) pieces.arrived(request, seen, nowMs)
        nowMs = Math.max(nowMs, pieces.nextMs() ?? nowMs)
        ask()
      }
      return pieces.want(wanted).every((piece) => {
        const all = look({ number: 0, piece, region: piece.region })
        return all.every((value, index) => value === piece.values![index])
      })
    }),
    40,
  )
  t.end()
})

t.test('the pieces that were wanted last are kept', (t) => {
  const pieces = new Pieces({ width: 8192, height: 8192, tile: 16 })
  for (let column = 0; column < 20; column++) {
    pieces.want(names({ x: column * 256, y: 0, w: 256, h: 1024 }))
    for (let round = 0; round < 2; round++) {
      for (const request of pieces.due(0).ask) pieces.arrived(request, squares(request, 1), 0)
    }
  }
  const kept = pieces.all()
  t.equal(kept.length, PIECES_MAX)
  t.same([...new Set(kept.map(({ x }) => x / 256))], [8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
  t.end()
})
