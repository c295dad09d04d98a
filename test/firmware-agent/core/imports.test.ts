import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { Imports } from '../../../firmware-agent/core/imports.ts'
import { concatBytes } from '../../../shared/operations/columns.ts'
import type { Chunk } from '../../../shared/protocol/messages.ts'
import { check } from '../../support/property.ts'

/** The pieces of one copy of a page; what is in them tells the copy. */
function piecesOf(tile: number, { move, at, seal, of }: Record<string, number>): Chunk[] {
  return Array.from({ length: of! }, (_, index) => ({
    t: 'chunk',
    session: 1,
    move: move!,
    tile,
    at: at!,
    digest: new Uint8Array(8).fill(seal!),
    index,
    of: of!,
    bytes: Uint8Array.of(tile, move!, at!, seal!, of!, index),
  }))
}

const copy = fc.record({
  move: fc.nat(2),
  at: fc.nat(2),
  seal: fc.nat(2),
  of: fc.integer({ min: 1, max: 4 }),
})
const sameCopy = (left: Chunk, right: Chunk): boolean =>
  left.tile === right.tile &&
  left.move === right.move &&
  left.at === right.at &&
  left.of === right.of &&
  left.digest[0] === right.digest[0]

t.test('a page is made of the pieces of one copy, in whatever order they come', (t) => {
  let whole = 0
  const delivered = fc
    .record({
      copies: fc.array(fc.tuple(fc.nat(2), copy), { minLength: 1, maxLength: 5 }),
      picks: fc.array(fc.tuple(fc.nat(4), fc.nat(3)), { maxLength: 60 }),
    })
    .map(({ copies, picks }) => {
      const pieces = copies.map(([tile, one]) => piecesOf(tile, one))
      return picks.map(([at, index]) => {
        const own = pieces[at % pieces.length]!
        return own[index % own.length]!
      })
    })
  check(
    t,
    fc.property(delivered, (chunks) => {
      const imports = new Imports()
      /** Of each tile, the pieces since another copy of it, or a whole page, was met. */
      const since = new Map<number, Chunk[]>()
      for (const chunk of chunks) {
        const before = since.get(chunk.tile) ?? []
        const run = before.length > 0 && sameCopy(before[0]!, chunk) ? before : []
        run.push(chunk)
        since.set(chunk.tile, run)
        const page = imports.receive(chunk)
        const isWhole = new Set(run.map(({ index }) => index)).size === chunk.of
        assert.equal(page !== undefined, isWhole)
        if (page === undefined) continue
        since.delete(chunk.tile)
        whole += 1
        const { tile, move, at, digest, of } = chunk
        const expected = piecesOf(tile, { move, at, seal: digest[0]!, of })
        assert.deepEqual(page, {
          ...{ move, tile, at, digest },
          bytes: concatBytes(expected.map(({ bytes }) => bytes)),
        })
      }
    }),
    500,
  )
  t.ok(whole > 0, `${whole} pages`)
  t.end()
})

t.test('a piece that can be of no page is not taken', (t) => {
  const imports = new Imports()
  const [piece] = piecesOf(0, { move: 1, at: 1, seal: 1, of: 1 })
  t.equal(imports.receive({ ...piece!, index: 1 }), undefined)
  t.equal(imports.receive({ ...piece!, of: 1025 }), undefined)
  t.ok(imports.receive(piece!), 'and changes nothing')
  t.end()
})

t.test('pages that never become whole take no more memory than the bound', (t) => {
  const imports = new Imports()
  const mib = new Uint8Array(1024 * 1024)
  const piece = (tile: number, index: number): Chunk => ({
    ...piecesOf(tile, { move: 1, at: 1, seal: 1, of: 2 })[index]!,
    bytes: mib,
  })
  for (let tile = 0; tile < 5; tile++) imports.receive(piece(tile, 0))
  t.equal(imports.receive(piece(0, 1)), undefined, 'the oldest had to go')
  t.ok(imports.receive(piece(4, 1)), 'the newest is there')
  imports.discard(3)
  t.equal(imports.receive(piece(3, 1)), undefined, 'what was discarded begins anew')
  imports.clear()
  t.equal(imports.receive(piece(2, 1)), undefined)
  t.end()
})

t.test('a page that is larger than the bound by itself still arrives', (t) => {
  const imports = new Imports()
  const pieces = piecesOf(0, { move: 1, at: 1, seal: 1, of: 6 })
  const pages = pieces.map((piece) => {
    return imports.receive({ ...piece, bytes: new Uint8Array(1024 * 1024) })
  })
  t.equal(pages.at(-1)?.bytes.length, 6 * 1024 * 1024)
  t.end()
})

t.test('a page that comes again in another form is none of the pieces of the first', (t) => {
  const imports = new Imports()
  const first = piecesOf(0, { move: 1, at: 1, seal: 1, of: 2 })
  const second = first.map((piece) => ({ ...piece, bytes: Uint8Array.of(9, piece.index) }))
  t.equal(imports.receive(first[0]!), undefined)
  t.equal(imports.receive(second[0]!), undefined)
  t.same(imports.receive(second[1]!)?.bytes, Uint8Array.of(9, 0, 9, 1))
  t.equal(imports.receive(first[1]!), undefined, 'nothing of the first is kept')
  t.end()
})
