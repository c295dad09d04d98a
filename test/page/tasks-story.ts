import { readFile } from 'node:fs/promises'
import t from 'tap'
import { decodeCbor } from '../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../shared/protocol/limits.ts'
import { Fleet } from '../support/processes.ts'
import { REFUSED, visit } from './browser.ts'

t.test('a task is submitted, seen as it ends, and saved', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway('--grid', '64x64', '--fields', 'rain:f32,visits:i32')
  await fleet.agents(['edge-1', 'edge-2'], gateway.url)
  await visit(t, `${gateway.http}/#tasks`, { expected: [REFUSED] }, async (page) => {
    await page.getByText('New task').click()
    await page.getByLabel('does').selectOption('add')
    await page.getByLabel('field').selectOption('visits')
    await page.getByLabel('value').fill('1.5')
    await page.getByRole('button', { name: 'submit' }).click()
    await page.getByText(/takes whole numbers/).waitFor()
    await page.getByLabel('value').fill('3')
    await page.getByLabel('width').fill('10')
    await page.getByLabel('height').fill('10')
    await page.getByLabel('id (optional)').fill('add-1')
    await page.getByRole('button', { name: 'submit' }).click()
    await page.getByRole('row', { name: /add-1/ }).getByText('completed').waitFor()

    await page.getByLabel('does').selectOption('stat')
    await page.getByLabel('id (optional)').fill('stat-1')
    await page.getByLabel('field').selectOption('visits')
    await page.getByLabel('bins').fill('4')
    await page.getByRole('button', { name: 'submit' }).click()
    await page.getByRole('img', { name: /Histogram of 4 bins; most, 3,996/ }).waitFor()
    t.match(await page.locator('.figures').innerText(), /sum\s+300/)
    t.match(page.url(), /#tasks\/stat-1$/, 'it can be sent to somebody')
    await page.getByLabel('does').selectOption('get')
    await page.getByLabel('id (optional)').fill('get-1')
    await page.getByLabel('width').fill('12')
    await page.getByLabel('height').fill('8')
    await page.getByRole('button', { name: 'submit' }).click()
    for (const [field, words] of [
      ['rain', 'from 0 to 0'],
      ['visits', 'from 0 to 3'],
    ]) {
      const map = page.getByRole('figure').filter({ hasText: `${field}, ${words}` })
      await map.getByRole('img', { name: 'Map of 12 by 8 squares' }).waitFor()
    }
    await page.getByLabel('does').selectOption('overview')
    await page.getByLabel('id (optional)').fill('overview-1')
    await page.getByLabel('field').selectOption('visits')
    await page.getByLabel('step').fill('4')
    await page.getByLabel('max', { exact: true }).check()
    await page.getByRole('button', { name: 'submit' }).click()
    for (const words of ['mean, from 0 to 3', 'max, from 0 to 3']) {
      await page.getByRole('figure').filter({ hasText: words }).waitFor()
    }
    t.equal(await page.getByRole('img', { name: 'Map of 16 by 16 squares' }).count(), 2)

    await page.getByRole('button', { name: 'stat-1' }).click()
    for (const form of ['JSON', 'CBOR']) {
      const saving = page.waitForEvent('download')
      await page.getByRole('button', { name: `save as ${form}` }).click()
      const saved = await saving
      t.equal(saved.suggestedFilename(), `stat-1.${form.toLowerCase()}`)
      const bytes = await readFile(await saved.path())
      const decoded = decodeCbor(bytes, MESSAGE_LIMITS)
      const value = form === 'JSON' ? JSON.parse(bytes.toString()) : decoded.ok && decoded.value
      t.match(value, { id: 'stat-1', value: { sum: 300 } }, form)
    }
  })
})

t.test('a task that waits says why, and is cancelled', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway('--grid', '64x64', '--replicas', '1')
  const [first] = await fleet.agents(['edge-1'], gateway.url)
  await visit(t, `${gateway.http}/#tasks`, {}, async (page) => {
    await page.getByText('There is no task yet.').waitFor()
    await first!.run.kill()
    await page.getByText('0 of 1 alive').waitFor()
    const body = JSON.stringify({ id: 'wait-1', op: 'stat', args: { field: 'value' } })
    const headers = { 'content-type': 'application/json' }
    await fetch(`${gateway.http}/process`, { method: 'POST', headers, body })
    const row = page.getByRole('row', { name: /wait-1/ })
    await row.getByText('waits for nodes that are away').waitFor()
    await row.getByRole('button', { name: 'wait-1' }).click()
    await page.getByRole('button', { name: 'cancel…' }).click()
    await page.getByRole('button', { name: 'cancel it' }).click()
    await row.getByText('cancelled', { exact: true }).waitFor()

    await page.getByRole('link', { name: 'Events' }).click()
    await page.getByRole('button', { name: 'warnings' }).click()
    const event = page.locator('.events li', { hasText: 'node-suspect' }).first()
    await event.locator('summary').click()
    await event.locator('details p').first().waitFor()
    t.match(
      await event.innerText(),
      /node-suspect\s+\S.{20,}/s,
      'what a code means stands beside it',
    )
    await page.getByRole('searchbox').or(page.getByRole('combobox')).fill('nothing like that')
    await page.getByText('None is like that.').waitFor()
  })
})
