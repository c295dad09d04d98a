import { readFile } from 'node:fs/promises'
import t from 'tap'
import { decodeCbor } from '../../shared/protocol/cbor.ts'
import { MESSAGE_LIMITS } from '../../shared/protocol/limits.ts'
import { Fleet } from '../support/processes.ts'
import { PHONE, REFUSED, visit } from './browser.ts'

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

t.test('on a phone no word of the list is broken, however long an id is', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway('--grid', '64x64')
  await fleet.agents(['edge-1'], gateway.url)
  const long = 'a-task-with-the-longest-id-that-there-may-be-0123456789abcdefghi'
  for (const [id, op, args] of [
    ['short', 'put', { field: 'value', values: [1] }],
    [long, 'overview', { field: 'value', step: 4 }],
  ] as const) {
    const body = JSON.stringify({
      id,
      op,
      args,
      ...(op === 'put' && { region: { x: 0, y: 0, w: 1, h: 1 } }),
    })
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${gateway.http}/process`, { method: 'POST', headers, body })
    t.ok(answer.ok, await answer.text())
  }
  await visit(t, `${gateway.http}/#tasks`, { viewport: PHONE }, async (page) => {
    for (const id of ['short', long]) {
      await page.getByRole('row', { name: id }).getByText('completed').waitFor()
    }
    for (const width of [320, 360, 390, 430]) {
      await page.setViewportSize({ ...PHONE, width })
      t.same(await page.evaluate(brokenWords), [], `${width} wide`)
      const right = await page.locator('.tasks').evaluate((it) => it.getBoundingClientRect().right)
      t.ok(right <= width, `${width} wide: ${right}`)
    }
    await page.getByRole('button', { name: long }).click()
    const opened = page.locator('.open button.row')
    await opened.waitFor()
    t.ok(await opened.evaluate((it) => it.scrollWidth <= it.clientWidth), 'all of it is read')
  })
})

/** In the page: words of the list of tasks that stand in several lines. */
function brokenWords(): string[] {
  const broken: string[] = []
  const texts = document.createTreeWalker(document.querySelector('.tasks')!, NodeFilter.SHOW_TEXT)
  for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
    for (const { index, 0: word } of node.nodeValue!.matchAll(/\S+/g)) {
      const range = document.createRange()
      range.setStart(node, index)
      range.setEnd(node, index + word.length)
      if (new Set([...range.getClientRects()].map(({ top }) => top)).size > 1) broken.push(word)
    }
  }
  return broken
}
