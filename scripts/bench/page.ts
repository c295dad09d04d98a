/**
 * What the web page costs and how soon it is there, in a real browser, beside a gateway and three agents with a grid of
 * 1024 × 1024 f32, each cell written.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Browser, chromium, type Page } from 'playwright-core'
import { type BenchGateway, startFullGrid } from './bench-gateway.ts'
import { benchOptions, chosenOf } from './bench-options.ts'
import { withProcesses } from './bench-processes.ts'
import { formatMs, judged, median, quantile, report } from './measure.ts'

const WRITE_MS = 1000
/** After a view was opened, until it has asked for all that it shows. */
const SETTLE_MS = 4000

const flags = benchOptions({
  ...{ browser: '/usr/bin/chromium', seconds: 20, runs: 10, only: 'paint,load,live' },
} as const)
const { seconds, runs, browser: executablePath = '/usr/bin/chromium' } = flags

type Row = readonly string[]

function times(what: string, found: readonly number[], goalMs?: number): Row {
  const middle = median(found)
  const numbers = [quantile(found, 0), middle, quantile(found, 1)].map(formatMs)
  return [what, ...numbers, ...judged(middle, goalMs)]
}

/** A browser that has never been there, each time. */
async function measurePaint(browser: Browser, { base }: BenchGateway): Promise<Row[]> {
  const [paints, maps]: [number[], number[]] = [[], []]
  for (let run = 0; run < runs; run++) {
    const page = await (await browser.newContext()).newPage()
    await page.goto(`${base}/`)
    await page.getByRole('table').first().waitFor()
    paints.push(
      await page.evaluate<number>(
        "performance.getEntriesByName('first-contentful-paint')[0].startTime",
      ),
    )
    const startMs = performance.now()
    await page.goto(`${base}/#grid`)
    await painted(page, 0.5, 0.9)
    maps.push(performance.now() - startMs)
    await page.context().close()
  }
  return [times('first paint', paints, 500), times('from another view to the whole map', maps)]
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
async function write(gateway: BenchGateway, value: number): Promise<void> {
  const region = { x: 512, y: 512, w: 16, h: 16 }
  await gateway.run({ op: 'set', region, args: { fields: { value } } })
}

async function percentOf(gateway: BenchGateway, isWriting: boolean): Promise<number> {
  const { wallMs, gatewayMs } = await gateway.cost(async () => {
    const startMs = performance.now()
    for (let value = 1; performance.now() - startMs < seconds * 1000; value++) {
      if (isWriting) await write(gateway, value % 5)
      await sleep(Math.max(0, value * WRITE_MS - (performance.now() - startMs)))
    }
  })
  return (100 * gatewayMs) / wallMs
}

async function measureLoad(browser: Browser, gateway: BenchGateway): Promise<Row[]> {
  const rows: Row[] = []
  const page = await browser.newPage()
  for (const [what, view, isWriting, goal] of [
    ['nobody looks', undefined, false, undefined],
    ['nobody looks, a write a second', undefined, true, undefined],
    ['fleet', '#fleet', false, 1.5],
    ['grid at rest', '#grid', false, undefined],
    ['grid, a write a second', '#grid', true, 4],
  ] as const) {
    await page.goto(view === undefined ? 'about:blank' : `${gateway.base}/${view}`)
    await sleep(SETTLE_MS)
    const percent = await percentOf(gateway, isWriting)
    const name = `gateway, % of a core: ${what}`
    rows.push([name, '', percent.toFixed(2), '', ...judged(percent, goal)])
  }
  await page.close()
  return rows
}

async function measureLive(browser: Browser, first: BenchGateway): Promise<Row[]> {
  const page = await browser.newPage()
  await page.goto(`${first.base}/#grid`)
  const [changed, said, back]: [number[], number[], number[]] = [[], [], []]
  const place = [0.503, 0.508] as const
  // Whatever was written before.
  await write(first, 1)
  for (let run = 0; run < runs; run++) {
    await sleep(SETTLE_MS)
    const before = await painted(page, ...place)
    await write(first, run % 2 === 0 ? 4 : 1)
    const startMs = performance.now()
    await painted(page, ...place, before)
    changed.push(performance.now() - startMs)
  }
  const status = page.getByRole('status').first()
  let gateway = first
  for (let run = 0; run < Math.min(runs, 5); run++) {
    await status.filter({ hasText: 'alive' }).waitFor()
    const killedMs = performance.now()
    await gateway.end('SIGKILL')
    await status.filter({ hasText: 'does not answer' }).waitFor()
    said.push(performance.now() - killedMs)
    const startMs = performance.now()
    gateway = await gateway.again()
    await status.filter({ hasText: 'alive' }).waitFor()
    back.push(performance.now() - startMs)
  }
  await page.close()
  return [
    times('a write elsewhere is done, until the map shows it', changed, 3000),
    times('gateway killed, until the page says so', said, 1000),
    times('gateway started, until the page is live', back, 6000),
  ]
}

const MEASURES = { paint: measurePaint, load: measureLoad, live: measureLive }
const chosen = chosenOf(['paint', 'load', 'live'], flags.only)
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
const rows: Row[] = [['What', 'least', 'median', 'most', 'Goal', 'Verdict']]
try {
  await withProcesses(async (processes) => {
    const setup = { name: 'page', side: 1024, type: 'f32', agents: 3, replicas: 2 }
    const gateway = await startFullGrid(processes, setup)
    for (const part of chosen) rows.push(...(await MEASURES[part](browser, gateway)))
  })
} finally {
  await browser.close()
}
const units = `Milliseconds where nothing else is said, ${runs} runs, ${seconds} s each.`
report(rows, `Chromium ${browser.version()}. ${units}`)
