import { readFileSync } from 'node:fs'
import t from 'tap'
import { footprintIn, footprintOf, sampleFootprints } from '../../scripts/bench/footprint.ts'

const mapping = (range: string, rss: number, anonymous: number): string =>
  `${range} rw-p 00000000 00:00 0 \nSize: 9999 kB\nRss:  ${rss} kB\nAnonymous:  ${anonymous} kB\n`

t.test('only what lies in the window is counted', async (t) => {
  const smaps = [
    mapping('0fff000-1000000', 1, 1),
    mapping('1000000-1001000', 20, 10),
    mapping('1fff000-2000000', 300, 100),
    mapping('2000000-2001000', 4000, 4000),
    mapping('ffffffffff600000-ffffffffff601000', 50_000, 50_000),
  ].join('')
  const window = { start: 0x100_0000n, bytes: 0x100_0000n }
  t.same(footprintIn(smaps, window), { rss: 320 * 1024, anonymous: 110 * 1024 })
})

t.test('a window of all addresses has what the kernel sums up', async (t) => {
  const all = { start: 0n, bytes: 2n ** 64n }
  const inAll = footprintIn(readFileSync('/proc/self/smaps', 'utf8'), all)
  const whole = footprintOf(process.pid)
  const difference = Math.abs(inAll.anonymous - whole.anonymous)
  t.ok(difference < 0.1 * whole.anonymous, `${inAll.anonymous} and ${whole.anonymous} bytes`)
  t.ok(whole.rss > whole.anonymous)
})

t.test('memory that is written to is anonymous', async (t) => {
  const before = footprintOf(process.pid)
  const held = Buffer.alloc(64 * 1024 * 1024, 1)
  const after = footprintOf(process.pid)
  t.ok(after.anonymous - before.anonymous > 0.9 * held.length)
})

t.test('medians and the greatest', async (t) => {
  const looks = [5, 1].map((rss) => ({ rss, anonymous: 10 * rss }))
  const found = await sampleFootprints(
    () => looks.shift()!,
    (samples) => samples === 2,
  )
  t.same(found, { rss: 1, anonymous: 10, anonymousMax: 50 })
})
