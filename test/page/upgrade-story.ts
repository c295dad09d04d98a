import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { Fleet } from '../support/processes.ts'
import { StagedBoard } from '../support/staged-board.ts'
import { REFUSED, visit } from './browser.ts'

t.test('a package is added, what it would do is said, and it is begun', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway('--grid', '32x32')
  await fleet.agents(['by-hand'], gateway.url)
  const board = new StagedBoard(join(fleet.directory, 'board'))
  const tree = board.tree({ version: '9.0.0', program: '// nothing' })
  const file = (buffer: Buffer) => ({ name: 'agent.tar.gz', mimeType: 'application/gzip', buffer })
  await visit(t, `${gateway.http}/#care/upgrades`, { expected: [REFUSED] }, async (page) => {
    await page.getByText('There never was an upgrade.').waitFor()
    await page.getByLabel('add a package').setInputFiles(file(Buffer.from('nothing of ours')))
    await page.locator('.problem', { hasText: /\w/ }).waitFor()
    await page.getByText('The gateway has none.').waitFor()
    await page.getByLabel('add a package').setInputFiles(file(board.archive(tree)))
    await page.getByText('9.0.0', { exact: true }).waitFor()
    await page.getByLabel('nodes at a time').fill('10%')
    await page.getByLabel('seconds between').fill('5')
    await page.getByRole('button', { name: 'upgrade…' }).click()
    const asked = page.getByRole('dialog', { name: 'Upgrade to 9.0.0?' })
    t.match(await asked.textContent(), '1 node is left out: by hand.')
    t.match(await asked.textContent(), 'one first, and then 10% at a time, 5 seconds apart.')
    const ordering = page.waitForRequest((request) => request.method() === 'POST')
    await asked.getByRole('button', { name: 'upgrade', exact: true }).click()
    t.match((await ordering).postDataJSON(), { wave: '10%', pause_seconds: 5 })
    await page.getByRole('heading', { name: 'To 9.0.0: done' }).waitFor()
    await page.getByText('1 skipped').waitFor()
    await page.getByRole('link', { name: 'by-hand' }).click()
    await page.getByText('tiles written').waitFor()

    await page.goto(`${gateway.http}/#care/backup`)
    const saved = page.waitForEvent('download')
    await page.getByRole('button', { name: 'make a backup' }).click()
    const bytes = await readFile((await (await saved).path())!)
    t.match(bytes.subarray(0, 512).toString('latin1'), 'ustar', 'a tar archive')
  })
})
