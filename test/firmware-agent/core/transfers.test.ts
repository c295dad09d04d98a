/** Pages to and from a node, through its agent: when they are read, staged and told of. */
import t from 'tap'
import { packTiles } from '../../../shared/operations/columns.ts'
import type { Chunk, Copy } from '../../../shared/protocol/messages.ts'
import { AgentBench, chainOf, SESSION } from '../../support/agent-bench.ts'

const DIGEST = new Uint8Array(8).fill(7)
const copyOf = (tile: number, over: Partial<Copy> = {}): Copy => {
  return { t: 'copy', session: SESSION, move: 10 + tile, tile, after: 0, ...over }
}
const chunkOf = (tile: number, over: Partial<Chunk> = {}): Chunk => ({
  t: 'chunk',
  session: SESSION,
  move: 10 + tile,
  tile,
  at: 5,
  digest: DIGEST,
  index: 0,
  of: 1,
  bytes: Uint8Array.of(tile),
  ...over,
})
const pageOf = (tile: number, bytes = Uint8Array.of(tile)) => {
  return { move: 10 + tile, tile, at: 5, digest: DIGEST, bytes }
}
const tilesOf = (pages: readonly { readonly tile: number }[]): number[] =>
  pages.map(({ tile }) => tile)

function admitted(): AgentBench {
  const bench = new AgentBench()
  bench.admit()
  return bench
}

t.test('a page for another node', async (t) => {
  t.test('is read once the stream stands where it must', async (t) => {
    const bench = admitted()
    const entries = chainOf(2)
    bench.receive(copyOf(3, { after: 2 }))
    t.same(bench.of('copy-page'), [])
    bench.entries(entries)
    t.same(bench.of('copy-page'), [], 'taken is not applied')
    bench.applied(entries.slice(0, 1))
    t.same(bench.of('copy-page'), [])
    bench.applied(entries.slice(1))
    t.match(bench.of('copy-page'), [{ copy: { tile: 3 } }])
    bench.receive(copyOf(4, { after: 2 }))
    t.match(bench.of('copy-page'), [{ copy: { tile: 4 } }], 'at once where it stands already')
  })

  t.test('goes in pieces that together are the page', async (t) => {
    const bench = admitted()
    const bytes = Uint8Array.from({ length: 70_000 }, (_, at) => at)
    bench.step({ type: 'page-copied', copy: copyOf(3), page: pageOf(3, bytes) })
    const pieces = bench.sent('chunk')
    t.match(
      pieces.map(({ index, of, move }) => ({ index, of, move })),
      [0, 1, 2].map((index) => ({ index, of: 3, move: 13 })),
    )
    t.same(Buffer.concat(pieces.map((piece) => piece.bytes)), Buffer.from(bytes))
  })

  t.test('that was asked for in another session goes nowhere', async (t) => {
    const bench = admitted()
    bench.receive(copyOf(3, { after: 1 }))
    bench.disconnect()
    bench.wait(3000)
    bench.admit({ session: SESSION + 1 })
    const entries = chainOf(1)
    bench.entries(entries, { session: SESSION + 1 })
    bench.applied(entries)
    t.same(bench.of('copy-page'), [], 'one that waited is forgotten')
    bench.step({ type: 'page-copied', copy: copyOf(4), page: pageOf(4) })
    t.same(bench.sent('chunk'), [], 'one that was being read is not sent')
  })

  t.test('that cannot be given is said so', async (t) => {
    const bench = admitted()
    const trouble = { code: 'tile-missing', message: 'tile 3 is not held here' }
    bench.step({ type: 'copy-failed', copy: copyOf(3), ...trouble })
    t.match(bench.sent('copy-failed'), [{ move: 13, tile: 3, ...trouble }])
  })

  t.test('the same tile asked for again is read once', async (t) => {
    const bench = admitted()
    const entries = chainOf(1)
    bench.receive(copyOf(3, { after: 1, move: 1 }))
    bench.receive(copyOf(3, { after: 1, move: 2 }))
    bench.entries(entries)
    bench.applied(entries)
    t.match(bench.of('copy-page'), [{ copy: { move: 2 } }])
  })
})

t.test('a page that comes', async (t) => {
  t.test('is staged with all that became whole during the flush before', async (t) => {
    const bench = admitted()
    bench.receive(chunkOf(1))
    t.same(tilesOf(bench.of('stage-pages')[0]!.pages), [1])
    for (const tile of [2, 3]) {
      bench.receive(chunkOf(tile))
      t.same(bench.of('stage-pages'), [], 'one flush at a time')
    }
    bench.step({ type: 'pages-staged', pages: [pageOf(1)] })
    t.match(bench.sent('staged'), [{ move: 11, tile: 1, at: 5, digest: DIGEST }])
    t.same(tilesOf(bench.of('stage-pages')[0]!.pages), [2, 3])
    const full = { code: 'store-full', message: 'no room' }
    bench.step({ type: 'staging-failed', pages: [pageOf(2), pageOf(3)], ...full })
    t.match(bench.sent('copy-failed'), [
      { move: 12, tile: 2, code: 'store-full' },
      { move: 13, tile: 3, code: 'store-full' },
    ])
    bench.receive(chunkOf(4))
    t.same(tilesOf(bench.of('stage-pages')[0]!.pages), [4], 'a failed flush holds up nothing')
  })

  t.test('and is discarded is neither staged nor kept', async (t) => {
    const bench = admitted()
    bench.receive(chunkOf(1))
    bench.receive(chunkOf(2))
    bench.receive({ t: 'discard', session: SESSION, move: 12, tile: 2 })
    t.match(bench.of('discard-page'), [{ tile: 2, move: 12 }])
    bench.step({ type: 'pages-staged', pages: [pageOf(1)] })
    t.same(bench.of('stage-pages'), [])
  })

  t.test('in pieces over two connections is not whole', async (t) => {
    const bench = admitted()
    bench.receive(chunkOf(1, { of: 2 }))
    bench.disconnect()
    bench.wait(3000)
    bench.admit({ session: SESSION + 1 })
    bench.receive(chunkOf(1, { session: SESSION + 1, of: 2, index: 1 }))
    t.same(bench.of('stage-pages'), [])
  })
})

t.test('damaged pages', async (t) => {
  t.test('are said in the hello and in every acknowledgement', async (t) => {
    const bench = new AgentBench({ broken: [4, 2] })
    bench.connect()
    t.same(bench.sent('hello')[0]!.broken, packTiles([4, 2]))
    bench.receive({
      ...{ t: 'welcome', version: 1, session: SESSION, ledgerId: 'ledger', heartbeatMs: 2000 },
      ...{ grid: { width: 16, height: 8, tile: 4, fields: 'value:f64' }, confirmed: 0 },
    } as never)
    t.same(bench.sent('applied')[0]!.broken, packTiles([4, 2]))
  })

  t.test('are said as soon as they are found, and no more once they are mended', async (t) => {
    const bench = admitted()
    bench.step({ type: 'pages-broken', tiles: [6, 2] })
    t.match(bench.sent('applied'), [{ position: 0, broken: packTiles([2, 6]) }])
    bench.step({ type: 'pages-broken', tiles: [6] })
    t.same(bench.sent('applied'), [], 'one less is told with what mended it')
    const entries = chainOf(1)
    bench.entries(entries)
    bench.applied(entries)
    t.match(bench.sent('applied'), [{ position: 1, broken: packTiles([6]) }])
    bench.step({ type: 'pages-broken', tiles: [] })
    bench.entries(entries)
    t.notOk('broken' in bench.sent('applied')[0]!)
  })

  t.test('of a whole card are taken in at once', async (t) => {
    const bench = admitted()
    // To compare each with each would take minutes.
    const tiles = Array.from({ length: 300_000 }, (_, tile) => tile)
    bench.step({ type: 'pages-broken', tiles })
    bench.step({ type: 'pages-broken', tiles: [...tiles, tiles.length] })
    t.match(bench.sent('applied'), [{ broken: packTiles([...tiles, tiles.length]) }])
  })

  t.test('that are found while the gateway is away wait for the hello', async (t) => {
    const bench = new AgentBench()
    bench.step({ type: 'pages-broken', tiles: [1] })
    t.same(bench.of('send'), [])
    bench.connect()
    t.same(bench.sent('hello')[0]!.broken, packTiles([1]))
  })
})

t.test('what was examined is told in one message', async (t) => {
  const bench = admitted()
  bench.receive({ t: 'examine', session: SESSION, tiles: packTiles([3, 5]) })
  t.same(bench.of('examine-pages')[0]!.tiles, Uint32Array.of(3, 5))
  const none = new Uint8Array(8)
  bench.step({
    type: 'pages-examined',
    pages: [
      { tile: 3, at: 9, digest: DIGEST },
      { tile: 5, at: 0, digest: none },
    ],
  })
  t.match(bench.sent('examined'), [
    { tiles: packTiles([3, 5]), ats: [9, 0], digests: Uint8Array.of(...DIGEST, ...none) },
  ])
})
