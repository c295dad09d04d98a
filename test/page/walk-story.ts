/** One day at a secured gateway, by those who may and one who may not. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import t from 'tap'
import { Agent } from '../support/processes.ts'
import type { SecuredGateway } from '../support/secured-gateway.ts'
import { AWAY, DESKTOP, PHONE, REFUSED, visit } from './browser.ts'
import { drawn, READ, reading, type Spot, spotOf } from './map.ts'
import { login, secured } from './people.ts'

const SIZE = { width: 256, height: 128 }
const QUICK = ['--heartbeat-ms', '200', '--suspect-after-ms', '700', '--dead-after-ms', '2500']
const SLOWLY = ['--move-bytes-per-second', '60000']
const EXPECTED = { expected: [READ, REFUSED, AWAY] }
const CELL = { x: 70, y: 20 }
const VALUE = 42.5
const [FROM, TO] = [
  { x: 64, y: 16 },
  { x: 83, y: 25 },
]

async function enrolled(gateway: SecuredGateway, id: string): Promise<Agent> {
  const { fleet, port } = gateway
  const token = join(fleet.directory, `token-${id}`)
  writeFileSync(token, await gateway.done('token', 'create', id))
  const place = ['--data', join(fleet.directory, id), '--url', `mqtts://localhost:${port}`]
  const argv = ['agent', '--id', id, ...place, '--enroll-token-file', token]
  return await new Agent(id, join(fleet.directory, id), () => fleet.start(argv)).ready()
}

const row = (page: Page, id: string) =>
  page.locator('tbody tr', { has: page.locator(`text="${id}"`) })

const view = (page: Page, name: string) =>
  page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name }).click()

/** From the one cell to the other. */
async function drag(page: Page, from: Spot, to: Spot): Promise<void> {
  const [start, end] = [await spotOf(page, from, SIZE), await spotOf(page, to, SIZE)]
  await page.mouse.move(start.x, start.y)
  await page.mouse.down()
  await page.mouse.move(end.x, end.y, { steps: 4 })
  await page.mouse.up()
}

async function zoomed(page: Page): Promise<void> {
  const at = await spotOf(page, CELL, SIZE)
  await page.mouse.move(at.x, at.y)
  for (let turn = 0; turn < 5; turn++) await page.mouse.wheel(0, -240)
  await page.mouse.click(at.x, at.y)
}

async function counted(page: Page): Promise<string> {
  await page.getByRole('button', { name: 'stat' }).click()
  const figures = page.locator('dl.figures')
  await figures.getByText('200', { exact: true }).waitFor()
  return (await figures.textContent())!
}

t.test('a day: a node dies and comes back, the map is read, a node is emptied', async (t) => {
  const users = { vera: ['--role', 'viewer'], otto: ['--role', 'operator'] }
  const size = ['--grid', `${SIZE.width}x${SIZE.height}`]
  const gateway = await secured(t, users, ...size, ...QUICK, ...SLOWLY)
  const agents = await Promise.all(
    ['edge-1', 'edge-2', 'edge-3'].map((id) => enrolled(gateway, id)),
  )
  const admin = { authorization: `Bearer ${await gateway.user('robot', 'operator')}` }
  const submit = (body: object) =>
    gateway.ask('/process?wait=30s', { method: 'POST', headers: admin, body })
  await submit({ op: 'add', args: { field: 'value', value: 1 } })
  const half = { x: 0, y: 0, w: 90, h: SIZE.height }
  await submit({ op: 'set', region: half, args: { fields: { value: 7 } } })
  const region = { ...CELL, w: 1, h: 1 }
  const set = await submit({ op: 'set', region, args: { fields: { value: VALUE } } })
  t.match(set.body, '"completed"')

  await visit(t, gateway.url, { ...EXPECTED, colorScheme: 'light' }, async (page) => {
    await login(page, 'otto')
    const status = page.getByRole('status')
    await status.getByText('3 of 3 alive').waitFor()
    await agents[1]!.run.kill()
    await row(page, 'edge-2').getByText('suspect', { exact: true }).waitFor()
    await row(page, 'edge-2').getByText('dead', { exact: true }).waitFor()
    await status.getByText('2 of 3 alive').waitFor()
    await agents[1]!.restart()
    await row(page, 'edge-2').getByText('alive', { exact: true }).waitFor()
    await status.getByText('3 of 3 alive').waitFor()

    await view(page, 'Grid')
    await drawn(page, SIZE)
    await zoomed(page)
    t.match(await reading(page, '70, 20'), `70, 20: ${VALUE} · tile `)
    await page.keyboard.press('0')
    await page.keyboard.down('Shift')
    await drag(page, FROM, TO)
    await page.keyboard.up('Shift')
    t.equal(await page.getByLabel('x, y, width, height').inputValue(), '64, 16, 20, 10')
    t.match(await counted(page), `max${VALUE}`)

    await view(page, 'Fleet')
    await page.getByRole('button', { name: 'edge-3' }).click()
    await page.getByRole('button', { name: 'drain…' }).click()
    await page.getByRole('button', { name: 'drain edge-3' }).click()
    await page.getByText(/\d+ of \d+ tiles moved/).waitFor()
    await page.locator('td.state', { hasText: 'left' }).waitFor()
    await status.getByText('2 of 2 alive').waitFor()
  })

  const phone = { viewport: PHONE, hasTouch: true, isMobile: true, deviceScaleFactor: 2 }
  await visit(t, gateway.url, { ...EXPECTED, ...phone, colorScheme: 'dark' }, async (page) => {
    await login(page, 'otto')
    await page.getByRole('status').getByText('2 of 2 alive').waitFor()
    await view(page, 'Grid')
    await drawn(page, SIZE)
    const at = await spotOf(page, CELL, SIZE)
    await page.touchscreen.tap(at.x, at.y)
    t.match(await reading(page, '70, 20'), `70, 20: ${VALUE} · tile `)
    await page.getByLabel('x, y, width, height').fill('64, 16, 20, 10')
    await page.keyboard.press('Enter')
    t.match(await counted(page), `max${VALUE}`)
  })

  const dark = { viewport: DESKTOP, colorScheme: 'dark' } as const
  await visit(t, gateway.url, { ...EXPECTED, ...dark }, async (page) => {
    await login(page, 'vera')
    await page.getByRole('button', { name: 'edge-1' }).click()
    await page.getByText('tiles written').waitFor()
    t.equal(await page.getByRole('button', { name: 'drain…' }).count(), 0, 'no button')
    t.equal(await page.locator('summary', { hasText: 'log' }).count(), 0, 'and no log')
    const refused = await page.evaluate(async () => {
      const headers = { 'content-type': 'application/json' }
      const body = JSON.stringify({ drain: true })
      const answer = await fetch('api/nodes/edge-1/drain', { method: 'POST', headers, body })
      return [answer.status, (await answer.json()).code]
    })
    t.same(refused, [403, 'forbidden'], 'and no way around it')
    await page.getByRole('status').getByText('2 of 2 alive').waitFor()
  })
})
