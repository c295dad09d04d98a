import { join } from 'node:path'
import t from 'tap'
import { eventually, Fleet } from '../support/processes.ts'
import { AWAY, DESKTOP, PHONE, REFUSED, SILENT, visit } from './browser.ts'

const QUICK = ['--grid', '64x64', '--heartbeat-ms', '200', '--suspect-after-ms', '700']
const IDS = ['edge-1', 'edge-2', 'edge-3']

t.test('a node dies and comes back, and so does the gateway', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...QUICK, '--dead-after-ms', '2000')
  const [, second] = await fleet.agents(IDS, gateway.url)
  await visit(t, gateway.http, { expected: [AWAY] }, async (page) => {
    const row = (id: string) => page.locator('tbody tr', { has: page.locator(`text="${id}"`) })
    const status = page.getByRole('status')

    for (const id of IDS) await row(id).getByText('alive', { exact: true }).waitFor()
    await status.getByText('3 of 3 alive').waitFor()
    t.equal(await page.getByRole('table', { name: 'Nodes of the fleet' }).count(), 1)

    await second!.run.kill()
    await row('edge-2').getByText('suspect', { exact: true }).waitFor()
    await page.getByRole('button', { name: 'troubles 1' }).click()
    t.equal(await page.locator('.nodes tbody tr').count(), 1)
    t.match(page.url(), /troubles=1/, 'which is kept in the address')
    await row('edge-2').getByText('dead', { exact: true }).waitFor()
    await status.getByText('2 of 3 alive').waitFor()
    await second!.restart()
    await page.getByText('No node is like that.').waitFor()
    await page.getByRole('button', { name: 'all 3' }).click()
    await row('edge-2').getByText('alive', { exact: true }).waitFor()

    const killedMs = performance.now()
    gateway.run.signal('SIGKILL')
    await status.getByText('does not answer').waitFor()
    const saidMs = performance.now() - killedMs
    t.ok(saidMs < 1000, `killed, and said ${Math.round(saidMs)} ms later`)
    t.equal(await page.locator('main.stale').count(), 1, 'what is shown is old, and looks so')
    await page.getByText('shown as of').waitFor()
    await gateway.run.exited
    const startedMs = performance.now()
    gateway.start()
    await status.getByText('3 of 3 alive').waitFor()
    const liveMs = performance.now() - startedMs
    t.ok(liveMs < 20_000, `started, and live again ${Math.round(liveMs)} ms later`)
    t.equal(await page.locator('main.stale').count(), 0)
  })
})

t.test('while a ledger is restored it is said who is waited for', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...QUICK)
  const [, second] = await fleet.agents(['edge-1', 'edge-2'], gateway.url)
  const file = join(fleet.directory, 'a.backup')
  const data = join(fleet.directory, 'another-box')
  const done = async (...argv: string[]) => t.match(await fleet.start(argv).exited, { code: 0 })
  await done('backup', file, '--http', gateway.http)
  await second!.run.kill()
  await gateway.run.kill()
  await done('restore', file, '--data', data)
  const ports = ['--port', `${gateway.port}`, '--http-port', `${gateway.httpPort}`]
  await fleet.start(['gateway', ...ports, '--data', data]).line('ready ')
  await visit(t, gateway.http, { expected: [] }, async (page) => {
    await page.getByText('The ledger is being restored from what the nodes hold.').waitFor()
    await page.getByText('1 of 2, edge-1').waitFor()
    const awaited = page.locator('dl div', { hasText: 'awaited' })
    t.equal(await awaited.locator('dd').textContent(), 'edge-2')
    t.equal(await page.getByText('No node has joined yet.').count(), 0)
    const header = page.locator('.status.waits')
    t.equal(await header.textContent(), 'restoring the ledger: 1 of 2 nodes have come')
    for (const size of [PHONE, DESKTOP]) {
      await page.setViewportSize(size)
      const padding = page.locator('.panel', { hasText: 'being restored' })
      t.not(await padding.evaluate((panel) => getComputedStyle(panel).paddingLeft), '0px')
    }
    await page.getByRole('link', { name: 'Grid' }).click()
    await page.getByText('nothing is known of the grid').waitFor()
    t.equal(await page.locator('canvas').count(), 0)
  })
})

t.test('rows are found, sorted and opened, by mouse and by keys', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...QUICK)
  await fleet.agents(IDS, gateway.url)
  await visit(t, gateway.http, { expected: [REFUSED] }, async (page) => {
    const ids = () => page.locator('.nodes tbody th').allTextContents()
    await page.getByRole('button', { name: 'edge-3' }).waitFor()
    t.same(await ids(), IDS)
    await page.getByRole('columnheader', { name: 'node' }).getByRole('button').click()
    t.same(await ids(), IDS.toReversed())
    t.equal(await page.locator('th[aria-sort=descending]').textContent(), 'node ↓')
    await page.getByRole('searchbox').fill('edge-2')
    t.same(await ids(), ['edge-2'])
    await page.getByRole('searchbox').press('Tab')
    for (let at = 0; at < 20; at++) {
      if ((await page.evaluate(() => document.activeElement?.textContent)) === 'edge-2') break
      await page.keyboard.press('Tab')
    }
    await page.keyboard.press('Enter')
    await page.getByText('tiles written').waitFor()
    t.match(page.url(), /#fleet\/edge-2/)
    await page.reload()
    await page.getByText('tiles written').waitFor()

    await page.getByText('What if nodes joined or left?').click()
    await page.getByLabel('leave').fill('edge-1')
    await page.getByRole('button', { name: 'ask' }).click()
    await page.getByText(/would move/).waitFor()
    await page.getByLabel('leave').fill('nobody')
    await page.getByRole('button', { name: 'ask' }).click()
    await page.getByText('there is no node "nobody"').waitFor()
  })
})

t.test('the log of a board is read, and followed', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...QUICK)
  await fleet.agents(['edge-1'], gateway.url)
  await visit(
    t,
    `${gateway.http}/#fleet/edge-1`,
    { expected: [AWAY, REFUSED, SILENT] },
    async (page) => {
      await page.locator('summary', { hasText: 'log' }).click()
      const log = page.getByRole('log', { name: 'log of edge-1' })
      await log.getByText(/ info {2}/).waitFor()
      const before = (await log.innerText()).split('\n').length
      await page.getByRole('button', { name: 'follow' }).click()
      await gateway.run.kill()
      gateway.start()
      await eventually('what the board logged since', async () => {
        return (await log.innerText()).split('\n').length > before
      })
      await page.getByRole('button', { name: 'stop' }).click()
      await page.getByRole('button', { name: 'warnings' }).click()
      await eventually('those alone', async () => !/ info /.test(await log.innerText()))
    },
  )
})

t.test('a node is drained to its end, and forgotten', async (t) => {
  const fleet = new Fleet(t)
  const slowly = ['--grid', '256x256', '--move-bytes-per-second', '120000']
  const gateway = await fleet.gateway(...QUICK.slice(2), ...slowly)
  await fleet.agents(IDS, gateway.url)
  const body = JSON.stringify({ op: 'add', args: { field: 'value', value: 1 } })
  const headers = { 'content-type': 'application/json' }
  await fetch(`${gateway.http}/process?wait=20s`, { method: 'POST', headers, body })
  await visit(t, `${gateway.http}/#fleet/edge-3`, {}, async (page) => {
    await page.getByRole('button', { name: 'drain…' }).click()
    const dialog = page.getByRole('dialog', { name: 'Drain edge-3?' })
    t.match(await dialog.textContent(), /Its \d+ tiles go to other nodes/, 'it names what goes')
    await dialog.getByRole('button', { name: 'cancel' }).click()
    t.equal(await page.getByText('draining', { exact: true }).count(), 0)
    await page.getByRole('button', { name: 'drain…' }).click()
    await dialog.getByRole('button', { name: 'drain edge-3' }).click()
    await page.getByText('draining', { exact: true }).waitFor()
    await page.getByText(/\d+ of \d+ tiles moved/).waitFor()
    await page.getByText(/ on the way · /).waitFor()
    await page.locator('td.state', { hasText: 'left' }).waitFor()
    await page.getByText('2 of 2 alive').waitFor()
    await page.getByRole('button', { name: 'forget…' }).click()
    await page.getByRole('button', { name: 'forget edge-3' }).click()
    await page.getByRole('button', { name: 'all 2' }).waitFor()
  })
})
