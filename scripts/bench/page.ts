/**
 * What the web page costs and how soon it is there, in a real browser, beside a gateway and three agents with a grid of
 * 1024 × 1024 f32, each cell written.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Browser, chromium, type Page } from 'playwright-core'
import { benchOptions, misused } from './bench-options.ts'
import { type BenchProcesses, cpuSecondsOf, withProcesses } from './bench-processes.ts'
import { fillGrid, type GridFleet, runTask, startGridFleet } from './grid-fleet.ts'
import { formatMs, judged, median, quantile, report } from './measure.ts'

const SETUP = { name: 'page', side: 1024, type: 'f32', agents: 3, replicas: 2 }
const WRITE_MS = 1000
/** After a view was opened, until it has asked for all that it shows. */
const SETTLE_MS = 4000
const PARTS = ['paint', 'load', 'live']

const { flags } = benchOptions({
  ...{ browser: '/usr/bin/chromium', seconds: 20, runs: 10, only: 'paint,load,live' },
} as const)
const { seconds, runs, browser: executablePath = '/usr/bin/chromium' } = flags
const parts = flags.only?.split(',') ?? PARTS
if (!parts.every((part) => PARTS.includes(part))) misused(`--only: ${PARTS.join(', ')}`)

type Row = readonly string[]

function times(what: string, found: readonly number[], goalMs?: number): Row {
  const middle = median(found)
  const numbers = [quantile(found, 0), middle, quantile(found, 1)].map(formatMs)
  if (goalMs === undefined) return [what, ...numbers]
  return [what, ...numbers, `< ${goalMs}`, middle < goalMs ? 'holds' : 'missed']
}

/** A browser that has never been there, each time. */
async function measurePaint(browser: Browser, base: string): Promise<Row[]> {
  const [paints, maps]: [number[], number[]] = [[], []]
  let bytes = 0
  for (let run = 0; run < runs; run++) {
    const page = await (await browser.newContext()).newPage()
    await page.goto(`${base}/`)
    await page.getByRole('table').first().waitFor()
    paints.push(
      await page.evaluate<number>(
        "performance.getEntriesByName('first-contentful-paint')[0].startTime",
      ),
    )
    bytes = await page.evaluate<number>(
      "performance.getEntries().filter(({ name, entryType }) => entryType === 'navigation' || name.includes('/page/')).reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)",
    )
    const startMs = performance.now()
    await page.goto(`${base}/#grid`)
    await painted(page, 0.5, 0.9)
    maps.push(performance.now() - startMs)
    await page.context().close()
  }
  return [
    times('first paint', paints, 500),
    times('from another view to the whole map', maps),
    ['first load, KiB', '', (bytes / 1024).toFixed(1), '', ...judged(bytes / 1024, 35)],
  ]
}

/** Waits until the map has a colour at this place, of 0 to 1 across and down, that is another than `before`. */
async function painted(page: Page, x: number, y: number, before = '0,0,0,0'): Promise<string> {
  return await page.evaluate<string>(`new Promise((resolve) => {
    const look = () => {
      const map = document.querySelector('canvas.map')
      const pen = map?.getContext('2d')
      const [x, y] = [map?.width * ${x}, map?.height * ${y}]
      const found = pen === undefined ? '' : pen.getImageData(x, y, 1, 1).data.join()
      if (found !== '' && found !== '${before}') resolve(found)
      else requestAnimationFrame(look)
    }
    look()
  })`)
}

/** A write of a tile, in the middle of the map. */
async function write(base: string, value: number): Promise<void> {
  const region = { x: 512, y: 512, w: 16, h: 16 }
  await runTask(base, { op: 'set', region, args: { fields: { value } } })
}

async function percentOf(fleet: GridFleet, isWriting: boolean): Promise<number> {
  const from = cpuSecondsOf(fleet.pid)
  const startMs = performance.now()
  for (let value = 1; performance.now() - startMs < seconds * 1000; value++) {
    if (isWriting) await write(fleet.base, value % 5)
    await sleep(Math.max(0, value * WRITE_MS - (performance.now() - startMs)))
  }
  return (100 * (cpuSecondsOf(fleet.pid) - from)) / ((performance.now() - startMs) / 1000)
}

async function measureLoad(browser: Browser, fleet: GridFleet): Promise<Row[]> {
  const rows: Row[] = []
  const page = await browser.newPage()
  for (const [what, view, isWriting, goal] of [
    ['nobody looks', undefined, false, undefined],
    ['nobody looks, a write a second', undefined, true, undefined],
    ['fleet', '#fleet', false, 1.5],
    ['grid at rest', '#grid', false, undefined],
    ['grid, a write a second', '#grid', true, 4],
  ] as const) {
    await page.goto(view === undefined ? 'about:blank' : `${fleet.base}/${view}`)
    await sleep(SETTLE_MS)
    const percent = await percentOf(fleet, isWriting)
    const verdict = goal === undefined ? [] : judged(percent, goal)
    rows.push([`gateway, % of a core: ${what}`, '', percent.toFixed(2), '', ...verdict])
  }
  await page.close()
  return rows
}

async function measureLive(
  browser: Browser,
  fleet: GridFleet,
  processes: BenchProcesses,
): Promise<Row[]> {
  const page = await browser.newPage()
  await page.goto(`${fleet.base}/#grid`)
  const [changed, said, back]: [number[], number[], number[]] = [[], [], []]
  const place = [0.503, 0.508] as const
  for (let run = 0; run < runs; run++) {
    await sleep(SETTLE_MS)
    const before = await painted(page, ...place)
    await write(fleet.base, run % 2 === 0 ? 4 : 1)
    const startMs = performance.now()
    await painted(page, ...place, before)
    changed.push(performance.now() - startMs)
  }
  const status = page.getByRole('status').first()
  let { pid } = fleet
  for (let run = 0; run < Math.min(runs, 5); run++) {
    await status.filter({ hasText: 'alive' }).waitFor()
    process.kill(pid, 'SIGKILL')
    const killedMs = performance.now()
    await status.filter({ hasText: 'does not answer' }).waitFor()
    said.push(performance.now() - killedMs)
    const startMs = performance.now()
    const { child } = await processes.start('page-gateway-again', fleet.gatewayArgv)
    await status.filter({ hasText: 'alive' }).waitFor()
    back.push(performance.now() - startMs)
    pid = child.pid!
  }
  await page.close()
  return [
    times('a write elsewhere is done, until the map shows it', changed, 3000),
    times('gateway killed, until the page says so', said, 1000),
    times('gateway started, until the page is live', back, 6000),
  ]
}

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
const rows: Row[] = [['What', 'least', 'median', 'most', 'Goal', 'Verdict']]
try {
  await withProcesses(async (processes) => {
    const fleet = await startGridFleet(SETUP, processes)
    await fillGrid(SETUP, fleet.base)
    if (parts.includes('paint')) rows.push(...(await measurePaint(browser, fleet.base)))
    if (parts.includes('load')) rows.push(...(await measureLoad(browser, fleet)))
    if (parts.includes('live')) rows.push(...(await measureLive(browser, fleet, processes)))
  })
} finally {
  await browser.close()
}
const units = `Milliseconds where nothing else is said, ${runs} runs, ${seconds} s each.`
report(rows, `Chromium ${browser.version()}. ${units}`)
