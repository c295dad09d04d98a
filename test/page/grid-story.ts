import { rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { eventually, Fleet, type Gateway } from '../support/processes.ts'
import { SecuredGateway } from '../support/secured-gateway.ts'
import { AWAY, DESKTOP, PHONE, REFUSED, visit } from './browser.ts'
import { colours, drawn, MAP_SIZE, mapOf, READ, reading, type Spot, spotOf } from './map.ts'

const { width: WIDTH, height: HEIGHT } = MAP_SIZE
const QUICK = ['--grid', `${WIDTH}x${HEIGHT}`, '--heartbeat-ms', '200', '--suspect-after-ms', '700']
const NO_NODE = /with a status of 503/
async function submit(gateway: Gateway, task: object): Promise<Record<string, unknown>> {
  const headers = { 'content-type': 'application/json' }
  const order = { method: 'POST', headers, body: JSON.stringify(task) }
  const answer = await fetch(`${gateway.http}/process?wait=30s`, order)
  if (answer.status !== 200) throw new Error(`${answer.status}: ${await answer.text()}`)
  const { state, value } = (await answer.json()) as { state: string; value: never }
  if (state !== 'completed') throw new Error(`the task is ${state}`)
  return value
}

/** Each cell holds a number of its own: `x + y / 64`. */
async function filledFleet(t: Test): Promise<Gateway> {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...QUICK)
  await fleet.agents(['edge-1', 'edge-2'], gateway.url)
  const values = Array.from(
    { length: WIDTH * HEIGHT },
    (_, cell) => (cell % WIDTH) + Math.floor(cell / WIDTH) / HEIGHT,
  )
  const region = { x: 0, y: 0, w: WIDTH, h: HEIGHT }
  await submit(gateway, { op: 'put', region, args: { field: 'value', values } })
  return gateway
}

async function heldIn(gateway: Gateway, { x, y }: Spot): Promise<number> {
  const region = { x, y, w: 1, h: 1 }
  const { fields } = await submit(gateway, { op: 'get', region, args: {} })
  return (fields as { value: number[] }).value[0]!
}

t.test('the map is zoomed by wheel, keys and touch, and a cell is read as it is', async (t) => {
  const gateway = await filledFleet(t)
  const cell = { x: 70, y: 20 }
  const value = await heldIn(gateway, cell)
  await visit(t, `${gateway.http}/#grid`, { expected: [READ] }, async (page) => {
    await drawn(page)
    const at = await spotOf(page, cell)
    await page.mouse.move(at.x, at.y)
    const hovered = page.locator('.readout p')
    await hovered.getByText(`70, 20: ${value}`).waitFor()
    t.match(await page.locator('main').innerText(), /Shift[\s\S]*Arrows/)
    t.match(
      await hovered.textContent(),
      /tile 12 on edge-[12], edge-[12] · write 1 at \d\d:\d\d:\d\d$/,
    )

    const [left] = await colours(page, [{ x: at.x - 60, y: at.y }])
    for (let turn = 0; turn < 6; turn++) await page.mouse.wheel(0, -240)
    await eventually('other colours beside the pointer', async () => {
      const [now] = await colours(page, [{ x: at.x - 60, y: at.y }])
      return now !== left
    })
    await page.mouse.click(at.x, at.y)
    t.match(await reading(page, '70, 20'), `70, 20: ${value} · tile 12 on edge-`)

    await mapOf(page).focus()
    for (const key of ['0', 'Escape', '+', '+', '+', '+', 'ArrowRight', 'ArrowDown']) {
      await page.keyboard.press(key)
    }
    await page.keyboard.press('Enter')
    const text = await eventually('another reading', async () => {
      const found = (await page.locator('.readout output').textContent()) ?? ''
      return found.startsWith('70, 20') ? undefined : found
    })
    const [, x, y, number] = /^(\d+), (\d+): (\S+) /.exec(text)!.map(Number) as number[]
    t.ok(x! > 70 && y! > 20, `right of it and below: ${text}`)
    t.equal(number, await heldIn(gateway, { x: x!, y: y! }))
    await page.keyboard.press('0')
  })
  const phone = {
    viewport: PHONE,
    hasTouch: true,
    isMobile: true,
    deviceScaleFactor: 2,
    expected: [READ],
  }
  await visit(t, `${gateway.http}/#grid`, phone, async (page) => {
    await drawn(page)
    t.notMatch(await page.locator('main').innerText(), /Shift|Arrows/, 'no word of keys')
    const at = await spotOf(page, cell)
    await page.touchscreen.tap(at.x, at.y)
    t.match(await reading(page, '70, 20'), `70, 20: ${value} `)
    const [before] = await colours(page, [{ x: at.x - 40, y: at.y }])
    await pinch(page, at)
    await eventually('other colours beside the fingers', async () => {
      const [now] = await colours(page, [{ x: at.x - 40, y: at.y }])
      return now !== before
    })
    await page.touchscreen.tap(at.x, at.y)
    t.match(await reading(page, '70, 20'), `70, 20: ${value} `)
  })
})

/** Two fingers go apart around a place. */
async function pinch(page: Page, { x, y }: Spot): Promise<void> {
  const session = await page.context().newCDPSession(page)
  for (const [type, far] of [
    ['touchStart', 20],
    ['touchMove', 50],
    ['touchMove', 100],
    ['touchEnd', undefined],
  ] as const) {
    const touchPoints =
      far === undefined
        ? []
        : [
            { x: x - far, y, id: 0 },
            { x: x + far, y, id: 1 },
          ]
    await session.send('Input.dispatchTouchEvent', { type, touchPoints })
  }
}

t.test('a write elsewhere changes the map, within three seconds', async (t) => {
  const gateway = await filledFleet(t)
  await visit(t, `${gateway.http}/#grid`, { expected: [READ] }, async (page) => {
    await drawn(page)
    const spot = await spotOf(page, { x: 5, y: 5 })
    await page.mouse.click(spot.x, spot.y)
    await reading(page, '5, 5')
    let writes = 1
    for (const value of [120, 3, 90]) {
      const [before] = await colours(page, [spot])
      const region = { x: 4, y: 4, w: 3, h: 3 }
      await submit(gateway, { op: 'set', region, args: { fields: { value } } })
      const doneMs = performance.now()
      await eventually('another colour', async () => (await colours(page, [spot]))[0] !== before)
      const lateMs = Math.round(performance.now() - doneMs)
      t.ok(lateMs < 3000, `${lateMs} ms after it was done`)
      const output = page.locator('.readout output', { hasText: `5, 5: ${value} ` })
      await output.getByText(`write ${++writes} at `).waitFor()
    }
  })
})

t.test('a region is dragged or typed, counted, saved, set and filled from a file', async (t) => {
  const gateway = await filledFleet(t)
  await visit(
    t,
    `${gateway.http}/#grid`,
    { acceptDownloads: true, expected: [READ, REFUSED] },
    async (page) => {
      await drawn(page)
      const [from, to] = [
        await spotOf(page, { x: 10, y: 10 }),
        await spotOf(page, { x: 29, y: 19 }),
      ]
      await page.keyboard.down('Shift')
      await page.mouse.move(from.x, from.y)
      await page.mouse.down()
      await page.mouse.move(to.x, to.y, { steps: 4 })
      await page.mouse.up()
      await page.keyboard.up('Shift')
      const typed = page.getByLabel('x, y, width, height')
      t.equal(await typed.inputValue(), '10, 10, 20, 10')

      const region = { x: 10, y: 10, w: 20, h: 10 }
      const stat = await submit(gateway, { op: 'stat', region, args: { field: 'value' } })
      await page.getByRole('button', { name: 'stat' }).click()
      const figures = page.locator('dl.figures')
      await figures.getByText('200', { exact: true }).waitFor()
      t.match(await figures.textContent(), `max${Number((stat.max as number).toPrecision(7))}`)
      await page.getByRole('img', { name: /^Histogram of 32 bins/ }).waitFor()

      const waiting = page.waitForEvent('download')
      await page.getByRole('link', { name: '.csv' }).click()
      const download = await waiting
      const text = await readFile((await download.path())!, 'utf8')
      const rows = text.trim().split('\r\n')
      t.equal(rows.length, 10)
      t.equal(Number(rows[9]!.split(',')[19]), 29 + 19 / HEIGHT)

      await typed.fill('0, 0, 129, 1')
      await page.keyboard.press('Enter')
      await page.getByText('x + width is 129, at most 128').waitFor()
      await typed.fill('10, 10, 2, 2')
      await page.keyboard.press('Enter')
      await page.getByLabel('set all to').fill('77.5')
      await page.getByRole('button', { name: 'set…' }).click()
      const asked = page.getByRole('dialog', { name: 'Set 4 cells of value?' })
      t.match(await asked.textContent(), 'Each cell of 10, 10, 2, 2 becomes 77.5.')
      await asked.getByRole('button', { name: 'set them' }).click()
      await asked.waitFor({ state: 'detached' })
      t.equal(await heldIn(gateway, { x: 11, y: 11 }), 77.5)
      t.equal(await heldIn(gateway, { x: 12, y: 11 }), 12 + 11 / HEIGHT)

      const file = (content: string) => ({
        ...{ name: 'three.csv', mimeType: 'text/csv', buffer: Buffer.from(content) },
      })
      const other = { ...file('1,2\n'), name: 'notes.txt' }
      await page.getByLabel('upload here').setInputFiles(other)
      await page.locator('.problem', { hasText: 'ends in .npy or .csv' }).waitFor()
      t.equal(await page.getByRole('dialog').count(), 0, 'nobody is asked about it')
      await page.getByLabel('upload here').setInputFiles(file('1,2\n3,oops\n'))
      await page.getByRole('button', { name: 'put it there' }).click()
      await page.locator('.problem', { hasText: 'oops' }).waitFor()
      await page.getByLabel('upload here').setInputFiles(file('1,2\n3,4.25\n'))
      await page.getByRole('button', { name: 'put it there' }).click()
      await page.getByText('4 cells are written').waitFor()
      t.equal(await heldIn(gateway, { x: 11, y: 11 }), 4.25)
    },
  )
})

t.test('tiles that nobody has are hatched, those never written are dotted', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...QUICK, '--replicas', '1', '--dead-after-ms', '2000')
  const [first] = await fleet.agents(['edge-1', 'edge-2'], gateway.url)
  const region = { x: 0, y: 0, w: WIDTH, h: 48 }
  await submit(gateway, { op: 'set', region, args: { fields: { value: 5 } } })
  const held = await heldBy(gateway, 'edge-1')
  const lost = held.find(({ y }) => y < 48)!
  await first!.run.kill()
  rmSync(first!.directory, { recursive: true })
  await first!.restart()
  await visit(t, `${gateway.http}/#grid`, { expected: [READ] }, async (page) => {
    await page.locator('canvas.map').waitFor()
    const across = async ({ x, y }: Spot): Promise<number> => {
      const [from, to] = [await spotOf(page, { x, y }), await spotOf(page, { x: x + 8, y })]
      const steps = Math.floor(to.x - from.x)
      const spots = Array.from({ length: steps }, (_, step) => ({ x: from.x + step, y: from.y }))
      return new Set(await colours(page, spots)).size
    }
    await eventually('lines across a tile', async () => (await across(lost)) > 3)
    const unborn = await spotOf(page, { x: 4, y: 52 })
    const [dotted] = await colours(page, [unborn])
    const at = await spotOf(page, lost)
    await page.mouse.click(at.x, at.y)
    t.match(await reading(page, `${lost.x}, ${lost.y}`), /: missing \(every copy is lost\)/)
    const other = (await heldBy(gateway, 'edge-2')).find(({ y }) => y < 48)!
    t.equal(await across(other), 1, 'one colour where all cells hold the same')
    await page.getByLabel('never written').uncheck()
    await eventually('no dots', async () => (await colours(page, [unborn]))[0] !== dotted)
    await page.getByLabel('missing').uncheck()
    const below = { x: lost.x, y: lost.y + 4 }
    await eventually('no lines', async () => (await across(below)) === 1)
    await page.getByLabel('holders').check()
    await page.getByRole('button', { name: /^edge-2/ }).waitFor()
  })
})

/** Cells in the middle of the tiles that a node holds. */
async function heldBy(gateway: Gateway, node: string): Promise<Spot[]> {
  const answer = await fetch(`${gateway.http}/api/ring?holders=true`)
  const { members, holders } = (await answer.json()) as {
    members: { id: string }[]
    holders: number[][]
  }
  const index = members.findIndex(({ id }) => id === node)
  return holders.flatMap((own, tile) => {
    const [column, row] = [tile % (WIDTH / 16), Math.floor(tile / (WIDTH / 16))]
    return own.includes(index) ? [{ x: column * 16 + 4, y: row * 16 + 4 }] : []
  })
}

t.test('who may only look has no button that changes anything', async (t) => {
  const gateway = await SecuredGateway.start(t)
  const file = join(gateway.fleet.directory, 'password')
  writeFileSync(file, 'correct horse')
  for (const role of ['viewer', 'operator']) {
    await gateway.done('user', 'add', role, '--role', role, '--password-file', file)
    const options = { viewport: DESKTOP, expected: [REFUSED, AWAY, NO_NODE] }
    await visit(t, `${gateway.url}/#grid`, options, async (page) => {
      const dialog = page.getByRole('dialog', { name: 'Who are you?' })
      await dialog.getByLabel('Name').fill(role)
      await dialog.getByLabel('Password or token').fill('correct horse')
      await dialog.getByRole('button', { name: 'log in' }).click()
      await page.getByLabel('x, y, width, height').fill('0 0 4 4')
      await page.keyboard.press('Enter')
      await page.getByRole('link', { name: '.npy' }).waitFor()
      const buttons = await page.locator('aside button').allTextContents()
      const expected = role === 'viewer' ? ['show', 'clear'] : ['show', 'clear', 'stat', 'set…']
      t.same(buttons, expected, role)
      t.equal(await page.getByLabel('upload here').count(), role === 'viewer' ? 0 : 1)
    })
  }
})
