import t from 'tap'
import { LightNode } from '../../scripts/bench/light-node.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { Fleet } from '../support/processes.ts'
import { REFUSED, visit } from './browser.ts'

/** More than a page keeps. */
const NODES = 620
const BEAT_MS = 1000
const JOINING = 40
const SIDE = 256

t.test('of a large fleet a hundred nodes are shown, found and put in order', async (t) => {
  const detector = ['--heartbeat-ms', `${BEAT_MS}`, '--suspect-after-ms', '8000']
  const gateway = await new Fleet(t).gateway('--grid', `${SIDE}x${SIDE}`, ...detector)
  const port = Number(new URL(gateway.url).port)
  const geometry = new Geometry({ width: SIDE, height: SIDE, tile: 16 })
  const ids = Array.from({ length: NODES }, (_, at) => `pi-${1000 + at}` as NodeId)
  const nodes = ids.map((id) => new LightNode({ id, port, geometry }, () => {}))
  const beating = setInterval(() => {
    for (const node of nodes) node.beat()
  }, BEAT_MS)
  t.teardown(() => {
    clearInterval(beating)
    for (const node of nodes) node.cut('rst')
  })
  for (let at = 0; at < NODES; at += JOINING) {
    await Promise.all(nodes.slice(at, at + JOINING).map((node) => node.connect()))
  }

  await visit(t, `${gateway.http}/#fleet/pi-1555`, { expected: [REFUSED] }, async (page) => {
    const rows = page.locator('.nodes tbody th')
    const pages = page.getByRole('navigation', { name: 'Pages of nodes' })
    const status = page.getByRole('status')
    await status.getByText(`${NODES} of ${NODES} alive`).waitFor()
    await page.getByText('tiles written').waitFor()
    await pages.getByText(`1–100 of ${NODES}`).waitFor()
    t.equal(await rows.count(), 101, 'a page, and the one that was opened')
    await page.getByRole('button', { name: 'pi-1555' }).click()
    await page.getByText('tiles written').waitFor({ state: 'detached' })
    await rows.nth(100).waitFor({ state: 'detached' })
    t.equal(await rows.first().textContent(), 'pi-1000')

    await pages.getByRole('button', { name: 'next' }).click()
    await pages.getByText(`101–200 of ${NODES}`).waitFor()
    await page.getByRole('button', { name: 'pi-1100' }).waitFor()
    t.match(page.url(), /page=2/, 'which is kept in the address')
    await page.getByRole('columnheader', { name: 'node' }).getByRole('button').click()
    await page.getByRole('button', { name: 'pi-1619' }).waitFor()
    await pages.getByText(`1–100 of ${NODES}`).waitFor()
    t.equal(await rows.first().textContent(), 'pi-1619', 'another order begins at its first')
    await page.getByRole('searchbox').fill('PI-123')
    await page.getByRole('button', { name: 'pi-1239' }).waitFor()
    await rows.nth(10).waitFor({ state: 'detached' })
    t.equal(await pages.count(), 0)

    await page.getByRole('searchbox').fill('')
    nodes[77]!.cut('rst')
    await page.getByRole('button', { name: 'troubles 1' }).click()
    await page.getByRole('button', { name: 'pi-1077' }).waitFor()
    await status.getByText(`${NODES - 1} of ${NODES} alive`).waitFor()
    await nodes[77]!.connect()
    await page.getByText('No node is like that.').waitFor()

    // They hold no cells to read.
    for (const node of nodes) node.isHolding = true
    await page.goto(`${gateway.http}/#grid`)
    await page.getByLabel('holders', { exact: true }).check()
    await page.getByRole('listitem').filter({ hasText: '2 copies 256 tiles' }).waitFor()
    await page.goto(`${gateway.http}/#grid?node=${ids[0]}`)
    await page.reload()
    await page.getByRole('button', { name: new RegExp(`^${ids[0]} `) }).click()
    await page.getByRole('listitem').filter({ hasText: '2 copies' }).waitFor()

    await page.getByRole('link', { name: 'Care' }).click()
    await page.getByText(`and ${NODES - 100} more`).waitFor()
  })
})
