import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { Fleet, type Gateway } from '../support/processes.ts'
import { AWAY, PHONE, REFUSED, visit } from './browser.ts'
import { login, secured } from './people.ts'

const EXPECTED = { expected: [REFUSED] }
const JSON_TYPE = { 'content-type': 'application/json' }

async function send(gateway: Gateway, method: string, path: string, sent: object): Promise<void> {
  const order = { method, headers: JSON_TYPE, body: JSON.stringify(sent) }
  const answer = await fetch(`${gateway.http}${path}`, order)
  if (!answer.ok) throw new Error(await answer.text())
}

async function fleetOf(t: Test): Promise<Gateway> {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway('--grid', '64x64', '--fields', 'temp:f32')
  await fleet.agents(['edge-1', 'edge-2'], gateway.url)
  return gateway
}

const source = (page: Page) => page.getByLabel('source')

t.test('a program is written, checked while it is typed, defined and run', async (t) => {
  const gateway = await fleetOf(t)
  await visit(t, gateway.http, EXPECTED, async (page) => {
    const scripts = () =>
      page.evaluate(() =>
        performance
          .getEntriesByType('resource')
          .filter(({ name }) => /programs-\w+\.js/.test(name)),
      )
    await page.getByText('2 of 2 alive').waitFor()
    t.same(await scripts(), [], 'what programs need is not loaded before')
    await page.getByRole('link', { name: 'Programs' }).click()
    await page.getByText('No program has a name yet.').waitFor()
    t.equal((await scripts()).length, 1)
    await page.getByText('New program').click()
    await source(page).fill('temp = temp + $step\ntemp = × tempp')
    const place = page.getByRole('button', { name: 'line 2, column 8' })
    await place.waitFor()
    await source(page).fill('temp = temp + $step\ntemp = tempp')
    await page.getByText('did you mean "temp"?').waitFor()
    t.equal(await source(page).getAttribute('aria-invalid'), 'true')
    await place.click()
    t.equal(await selected(page), 'tempp', 'the place is selected in the text')
    await page.keyboard.type('temp * 2')
    await page.getByText(/It sets fields · cost \d+ a cell · .* takes \$step/).waitFor()
    await page.getByText('microglyphs', { exact: true }).click()
    await page.getByText(/^× mul\s+r\d ← r\d r\d$/).waitFor()

    await page.getByText('Run', { exact: true }).click()
    await page.getByLabel('step', { exact: true }).fill('1.5')
    await page.getByLabel('id (optional)').fill('once')
    await page.getByRole('button', { name: 'submit' }).click()
    await page.getByRole('row', { name: /once/ }).getByText('completed').waitFor()
    await page.goBack()
    await page.getByText('New program').click()
    t.match(await source(page).inputValue(), '$step\ntemp = temp * 2', 'what was typed is there')

    await page.getByLabel('name', { exact: true }).fill('let')
    await page.getByRole('button', { name: 'define' }).click()
    await page.getByRole('alert').getByText(/let/).waitFor()
    await page.getByLabel('name', { exact: true }).fill('heat')
    await page.getByLabel('glyph').fill('♨')
    await page.getByRole('button', { name: 'define' }).click()
    await page.getByRole('heading', { name: '♨ heat number 64' }).waitFor()
    t.match(page.url(), /#programs\/heat\?version=1$/, 'it can be sent to somebody')

    await page.getByText('Run', { exact: true }).click()
    await page.getByText('It runs version 1 of heat.').waitFor()
    await page.getByLabel('step', { exact: true }).fill('1')
    await page.getByLabel('id (optional)').fill('named')
    await page.getByRole('button', { name: 'submit' }).click()
    await page.getByRole('row', { name: /named/ }).getByText('completed').waitFor()
    await page.getByRole('row', { name: /named/ }).getByText('heat', { exact: true }).waitFor()
  })
})

/** What is selected where something is typed. */
function selected(page: Page): Promise<string> {
  return page.evaluate(() => {
    const { value, selectionStart, selectionEnd } = document.activeElement as HTMLTextAreaElement
    return value.slice(selectionStart, selectionEnd)
  })
}

t.test('what was said of one text never stands below another', async (t) => {
  const gateway = await new Fleet(t).gateway('--grid', '32x32')
  await visit(t, `${gateway.http}/#programs`, EXPECTED, async (page) => {
    await page.getByText('New program').click()
    const asked: string[] = []
    let letGo = (): void => {}
    const held = new Promise<void>((resolve) => {
      letGo = resolve
    })
    await page.route('**/api/codex/check', async (route) => {
      asked.push(route.request().postDataJSON().source)
      if (asked.length === 1) await held
      await route.continue()
    })
    const first = page.waitForRequest('**/api/codex/check')
    await source(page).fill('value = 1')
    await first
    await source(page).fill('value = nothing')
    await page.getByText('checking…').waitFor()
    const said = await page.evaluateHandle(() => {
      const words: string[] = []
      const note = (): number => words.push(document.querySelector('.said')!.textContent!)
      new MutationObserver(note).observe(document.querySelector('.said')!, {
        ...{ childList: true, characterData: true, subtree: true },
      })
      return words
    })
    letGo()
    await page.getByText('nothing is called "nothing"').waitFor()
    t.same(asked, ['value = 1', 'value = nothing'])
    const words = await said.jsonValue()
    t.notOk(
      words.some((one) => one.includes('It sets fields')),
      words.join('\n'),
    )
  })
})

t.test('another version is used, unless somebody was faster', async (t) => {
  const gateway = await fleetOf(t)
  const define = (text: string) =>
    send(gateway, 'PUT', '/api/codex/warm', { source: `temp = ${text}` })
  await define('1')
  await define('2 # <b>x</b>')
  await visit(t, `${gateway.http}/#programs`, EXPECTED, async (page) => {
    const row = page.getByRole('row', { name: /warm/ })
    await row.getByText('newest 2').waitFor()
    await row.getByText('sets fields').waitFor()
    await page.getByRole('link', { name: 'warm' }).click()
    await page.getByRole('link', { name: 'version 2' }).click()
    await page.getByRole('heading', { name: 'Version 2' }).waitFor()
    t.equal(await source(page).inputValue(), 'temp = 2 # <b>x</b>', 'text stays text')
    await page.getByRole('button', { name: 'use version 2…' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('in place of version 1').waitFor()
    await define('3')
    await send(gateway, 'POST', '/api/codex/warm/current', { version: 3 })
    await dialog.getByRole('button', { name: 'use version 2' }).click()
    await dialog.getByText('version 3 of warm is current in main, not 1').waitFor()
    await dialog.getByRole('button', { name: 'cancel' }).click()
    const current = (version: number) =>
      page.getByRole('row', { name: new RegExp(`version ${version}`) }).getByText('main')
    await current(3).waitFor()
    await page.getByRole('button', { name: 'use version 2…' }).click()
    await dialog.getByText('in place of version 3').waitFor()
    await dialog.getByRole('button', { name: 'use version 2' }).click()
    await current(2).waitFor()
    await page.getByText('It is current there.').waitFor()
    await page.getByLabel('in context').fill('winter')
    await page.getByRole('link', { name: 'version 3' }).click()
    await page.getByLabel('in context').fill('winter')
    await page.getByRole('button', { name: 'use version 3…' }).click()
    await dialog.getByRole('button', { name: 'use version 3' }).click()
    await page
      .getByRole('row', { name: /version 3/ })
      .getByText('winter')
      .waitFor()
    await source(page).fill('temp = 4')
    await page.getByText(/^It sets fields/).waitFor()
    await page.getByRole('button', { name: 'define another version of warm' }).click()
    await page.getByRole('heading', { name: 'Version 4' }).waitFor()
    const made = page.getByRole('row', { name: /version 4/ })
    await made.getByText('3', { exact: true }).waitFor()
  })
})

t.test('a rule rises and goes, and a book takes the place of the one that was seen', async (t) => {
  const gateway = await fleetOf(t)
  const set = (temp: number) => {
    const region = { x: 0, y: 0, w: 20, h: 2 }
    return send(gateway, 'POST', '/process?wait=30s', {
      ...{ op: 'set', region, args: { fields: { temp } } },
    })
  }
  await visit(t, `${gateway.http}/#programs?show=rules`, EXPECTED, async (page) => {
    await page.getByText('There is no rule.').waitFor()
    await page.getByText('Another book').click()
    const book = page.getByLabel('rules')
    await book.fill('[{"name": "hot", "when": "tempp > 30", "message": "too hot"}]')
    await page.getByRole('button', { name: 'set in place of version 0' }).click()
    await page
      .getByRole('alert')
      .getByText(/line 1, column 1.*tempp/)
      .waitFor()
    await book.fill('[{"name": "hot", "when": "temp > 30", "message": "too <i>hot</i>"}]')
    await page.getByRole('button', { name: 'set in place of version 0' }).click()
    const row = page.getByRole('row', { name: /hot/ })
    await row.getByText('was never raised').waitFor()
    await row.getByText('too <i>hot</i>').waitFor()
    await set(31)
    await row.getByText('raised in 2 tiles').waitFor()
    await row.getByText('40', { exact: true }).waitFor()
    await set(1)
    await row.getByText('cleared').waitFor()

    await send(gateway, 'PUT', '/api/rules', { rules: [] })
    await page.getByText('by now; this was made from version 1').waitFor()
    await page.getByRole('button', { name: 'set in place of version 1' }).click()
    await page.getByText('the rule book is at version 2, not 1').waitFor()
    await page.getByRole('button', { name: 'from version 2 anew' }).click()
    t.equal((await book.inputValue()).replaceAll(/\s/g, ''), '[]')
  })
})

t.test('who may only look is told so beside what others do', async (t) => {
  const gateway = await secured(t, {
    vera: ['--role', 'viewer'],
    otto: ['--role', 'operator'],
  })
  const headers = { authorization: `Bearer ${await gateway.user('robot', 'operator')}` }
  const body = { source: 'return n = count(value > 1)' }
  t.equal((await gateway.ask('/api/codex/busy', { method: 'PUT', headers, body })).status, 201)
  const options = { expected: [REFUSED, AWAY], viewport: PHONE }
  await visit(t, `${gateway.url}/#programs/busy`, options, async (page) => {
    await login(page, 'vera')
    await page.getByText('Defining is not for your role (viewer)').waitFor()
    await page.getByText('Saying what is current is not for your role').waitFor()
    const define = page.getByRole('button', { name: 'define another version of busy' })
    t.ok(await define.isDisabled())
    await source(page).fill('return n = count(value > )')
    await page.getByRole('button', { name: /line 1, column/ }).waitFor()
    await page.getByRole('button', { name: 'as it was defined' }).click()
    await page.getByText('Run', { exact: true }).click()
    await page.getByText('Running is not for your role').waitFor()
    t.ok(await page.getByRole('button', { name: 'submit' }).isDisabled())
    await page.getByRole('link', { name: 'Rules' }).click()
    await page.getByText('Another book').click()
    await page.getByText('Setting rules is not for your role').waitFor()
  })
  await visit(t, `${gateway.url}/#programs`, options, async (page) => {
    await login(page, 'otto')
    const row = page.getByRole('row', { name: /busy/ })
    await row.getByText('robot').waitFor()
    await row.getByText('returns values').waitFor()
    await page.getByRole('link', { name: 'busy' }).click()
    await page.getByRole('button', { name: 'define another version of busy' }).waitFor()
    t.equal(await page.getByText('is not for your role').count(), 0)
  })
})
