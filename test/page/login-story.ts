import type { Page } from 'playwright-core'
import t from 'tap'
import { AWAY, REFUSED, visit } from './browser.ts'
import { login, PASSWORD, secured } from './people.ts'

/** Streams end with the right to them. */
const EXPECTED = { expected: [REFUSED, AWAY] }

/** The status of what the page itself may ask, whatever it shows. */
async function statusOf(page: Page, method: string, path: string, body?: object): Promise<number> {
  return await page.evaluate(
    async ({ method, path, body }) => {
      const headers = { 'content-type': 'application/json' }
      const more = body === undefined ? {} : { headers, body: JSON.stringify(body) }
      return (await fetch(path, { method, ...more })).status
    },
    { method, path, body },
  )
}

const views = (page: Page) => page.getByRole('navigation', { name: 'Views' }).allInnerTexts()

t.test('each role sees what it may do, and the gateway refuses the rest', async (t) => {
  const grant = ['--op', 'stat']
  const gateway = await secured(t, {
    vera: ['--role', 'viewer'],
    sam: ['--role', 'submitter', ...grant],
    otto: ['--role', 'operator'],
    ada: ['--role', 'admin'],
  })
  const seen: Record<string, { readonly views: string; readonly parts: string }> = {}
  for (const name of ['vera', 'sam', 'otto', 'ada']) {
    await visit(t, gateway.url, EXPECTED, async (page) => {
      await login(page, name, 'wrong horse')
      await page.getByText('do not belong together').waitFor()
      await login(page, name)
      await page.getByText(name, { exact: false }).first().waitFor()
      await page.getByRole('link', { name: 'Tasks' }).click()
      await page.getByRole('heading', { name: 'Tasks' }).waitFor({ state: 'attached' })
      const isSubmitter = (await page.getByText('New task').count()) === 1
      const parts: string[] = []
      if (await page.getByRole('link', { name: 'Care' }).count()) {
        await page.getByRole('link', { name: 'Care' }).click()
        const links = page.getByRole('navigation', { name: 'Parts of care' }).getByRole('link')
        await links.first().waitFor()
        parts.push(...(await links.allInnerTexts()))
      }
      seen[name] = {
        views: (await views(page)).join().replaceAll('\n', ' '),
        parts: parts.join(' '),
      }
      t.equal(isSubmitter, name !== 'vera', `${name} submits`)
      const can = await Promise.all([
        statusOf(page, 'GET', '/api/nodes'),
        statusOf(page, 'POST', '/api/detector', { trust: true }),
        statusOf(page, 'GET', '/api/identities/user'),
      ])
      const expected = {
        ...{ vera: [200, 403, 403], sam: [403, 403, 403] },
        ...{ otto: [200, 200, 403], ada: [200, 200, 200] },
      }
      t.same(can, expected[name as keyof typeof expected], name)
    })
  }
  t.same(seen, {
    vera: { views: 'Fleet Grid Tasks Events Topics Programs Care', parts: 'Versions Upgrades' },
    sam: { views: 'Tasks', parts: '' },
    otto: {
      views: 'Fleet Grid Tasks Events Topics Programs Care',
      parts: 'Versions Upgrades Enrolment',
    },
    ada: {
      views: 'Fleet Grid Tasks Events Topics Programs Care',
      parts: 'Versions Upgrades Enrolment Users Security Backup',
    },
  })
})

t.test('whose login is over is asked again, and goes on where he was', async (t) => {
  const gateway = await secured(t, { otto: ['--role', 'operator'], ada: ['--role', 'admin'] })
  await visit(t, gateway.url, EXPECTED, async (page) => {
    await login(page, 'otto')
    await page.getByRole('link', { name: 'Care' }).click()
    await page.getByRole('link', { name: 'Enrolment' }).click()
    await page.getByLabel('for node').fill('edge-7')
    await gateway.put('/api/identities/user/otto', { roles: ['operator', 'viewer'] })
    await login(page, 'otto')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    t.equal(await page.getByLabel('for node').inputValue(), 'edge-7', 'what was typed is there')
    await page.getByRole('button', { name: 'make a token' }).click()
    const token = await page.getByLabel('It is shown this once').inputValue()
    t.match(token, /^\S{30,}$/)
    await page
      .getByRole('row', { name: /edge-7/ })
      .getByText('open', { exact: true })
      .waitFor()
    await page.getByRole('button', { name: 'revoke…' }).click()
    await page.getByRole('button', { name: 'revoke it' }).click()
    await page
      .getByRole('row', { name: /edge-7/ })
      .getByText('revoked', { exact: true })
      .waitFor()

    await page.getByRole('button', { name: 'log out' }).click()
    await login(page, 'ada')
    await page.getByText('ada admin').waitFor()
  })
})

t.test('who only opens the page is not refused, and is told so who comes by http://', async (t) => {
  const gateway = await secured(t, { ada: ['--role', 'admin'], sam: ['--role', 'submitter'] })
  const plain = gateway.url.replace('https:', 'http:')
  await visit(t, gateway.url, EXPECTED, async (page) => {
    await page.getByRole('dialog', { name: 'Who are you?' }).waitFor()
    await page.goto(plain)
    await page.getByText(`ask ${gateway.url}`).waitFor()
    await page.goto(gateway.url)
    await login(page, 'ada')
    await page.getByText('ada admin').waitFor()
    await page.goto(`${gateway.url}/#care/security`)
    await page.getByText('Nobody was.').waitFor()
  })
  await visit(t, `${gateway.url}/#care/users`, EXPECTED, async (page) => {
    await login(page, 'sam', 'wrong horse')
    await page.getByText('do not belong together').waitFor()
    await login(page, 'sam')
    await page.getByText('Care is not for your role (submitter)').waitFor()
    await page.getByText('There is no task yet.').waitFor()
    await page.getByRole('link', { name: 'Tasks' }).click()
    await page.getByText('is not for your role').waitFor({ state: 'detached' })
  })
  await visit(t, `${gateway.url}/#care/security`, EXPECTED, async (page) => {
    await login(page, 'ada')
    await page.getByRole('row', { name: /login failed/ }).waitFor()
  })
})

t.test('an admin adds a user, who comes in, and removes him', async (t) => {
  const gateway = await secured(t, { ada: ['--role', 'admin'] })
  await visit(t, `${gateway.url}/#care/users`, EXPECTED, async (page) => {
    await login(page, 'ada')
    await page.getByLabel('name', { exact: true }).fill('vera')
    await page.getByLabel('password', { exact: true }).fill('short')
    await page.getByLabel('role').selectOption('viewer')
    await page.getByLabel('password', { exact: true }).fill(PASSWORD)
    await page.getByRole('button', { name: 'add', exact: true }).click()
    const row = page.getByRole('row', { name: /vera/ })
    await row.getByText('viewer').waitFor()
    await row.getByRole('button', { name: 'new token' }).click()
    const token = await page.getByLabel('It is shown this once').inputValue()
    const headers = { authorization: `Bearer ${token}` }
    t.equal((await gateway.ask('/api/nodes', { headers })).status, 200)
    await row.getByRole('button', { name: 'disable…' }).click()
    await page.getByRole('button', { name: 'disable vera' }).click()
    await row.getByText('disabled').waitFor()
    t.equal((await gateway.ask('/api/nodes', { headers })).status, 403)
    await row.getByRole('button', { name: 'remove…' }).click()
    await page.getByRole('button', { name: 'remove vera' }).click()
    await row.waitFor({ state: 'detached' })

    await page.getByRole('link', { name: 'Security' }).click()
    await page.getByText('none yet').waitFor()
  })
})
