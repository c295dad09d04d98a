import t from 'tap'
import { bundlePage } from '../../scripts/package/page.ts'
import { Fleet } from '../support/processes.ts'
import { visit } from './browser.ts'

const KIB = 1024
/** Compressed. */
const FIRST_MAX = 35_000
/** All but what programs and tasks are written with, which comes once somebody does. */
const COMMON_MAX = 60_000
const PROGRAMS_MAX = 9_000
/** A browser keeps about 1 KiB of each click for itself, and compiles what was used often. */
const GROWTH_MAX = 400 * KIB
const VIEWS = ['Grid', 'Tasks', 'Events', 'Topics', 'Programs', 'Care', 'Fleet']
const ROUNDS = 9

t.test('it is light: what is loaded first, all views, and programs apart', async (t) => {
  const gateway = await new Fleet(t).gateway('--grid', '32x32')
  const { files } = await bundlePage()
  const sizes = new Map(files.map(({ path, bytes }) => [path, bytes.length]))
  let first = 0
  await visit(t, gateway.http, {}, async (page) => {
    await page.getByText('No node has joined yet.').waitFor()
    const { asked, paintMs } = await page.evaluate(() => ({
      asked: performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname),
      paintMs: performance.getEntriesByName('first-contentful-paint')[0]!.startTime,
    }))
    t.comment(`first paint after ${Math.round(paintMs)} ms`)
    const files = new Set(['/index.html', ...asked.filter((path) => !path.startsWith('/api/'))])
    first = [...files].reduce((sum, path) => sum + sizes.get(`${path.slice(1)}.gz`)!, 0)
    t.ok(files.size > 3, [...files].join(' '))
  })
  const sent = [...sizes].filter(([path]) => path.endsWith('.gz'))
  const sumOf = (some: typeof sent): number => some.reduce((sum, [, bytes]) => sum + bytes, 0)
  const ofPrograms = sent.filter(([path]) => /^page\/programs-\w+\.js\.gz$/.test(path))
  const common = sumOf(sent) - sumOf(ofPrograms)
  t.equal(ofPrograms.length, 1)
  t.ok(first <= FIRST_MAX, `first load: ${first} bytes`)
  t.ok(common <= COMMON_MAX, `all but programs: ${common} bytes`)
  t.ok(sumOf(ofPrograms) <= PROGRAMS_MAX, `programs: ${sumOf(ofPrograms)} bytes`)
})

t.test('to go back and forth takes no memory', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway('--grid', '64x64')
  await fleet.agents(['edge-1', 'edge-2'], gateway.url)
  await visit(t, gateway.http, {}, async (page) => {
    const session = await page.context().newCDPSession(page)
    const heapAfter = async (rounds: number) => {
      for (let at = 0; at < rounds * VIEWS.length; at++) {
        const title = VIEWS[at % VIEWS.length]!
        await page.getByRole('link', { name: title, exact: true }).click()
        await page.getByRole('heading', { name: title, level: 2 }).waitFor({ state: 'attached' })
      }
      // What is freed in one go may hold others until the next.
      for (let go = 0; go < 2; go++) await session.send('HeapProfiler.collectGarbage')
      const { usedSize } = await session.send('Runtime.getHeapUsage')
      return { usedSize, ...(await session.send('Memory.getDOMCounters')) }
    }
    const before = await heapAfter(5)
    const after = await heapAfter(ROUNDS)
    const growth = after.usedSize - before.usedSize
    t.ok(
      growth < GROWTH_MAX,
      `${ROUNDS * VIEWS.length} clicks: ${Math.round(growth / KIB)} KiB more`,
    )
    t.ok(after.nodes <= before.nodes + 50, `${before.nodes} elements, then ${after.nodes}`)
    t.ok(after.jsEventListeners <= before.jsEventListeners + 10, 'and no more listeners')
  })
})
