import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { Fleet, type Gateway } from '../support/processes.ts'
import { accessProblems } from './access-check.ts'
import { DESKTOP, NARROW, PHONE, visit } from './browser.ts'

/** Where, and what is there once all of it is. */
const VIEWS: Readonly<Record<string, string>> = {
  'fleet/edge-1': 'tiles written',
  grid: 'what is shown',
  'tasks/stat-1': 'save as CBOR',
  events: 'gateway-started',
  topics: 'gateway/state',
  'programs?show=rules': 'too much',
  programs: 'sets fields',
  'programs/heat': 'It sets fields',
  'care/versions': 'version',
  'care/users': 'asks nobody',
}

async function fleetWithWork(t: Test): Promise<Gateway> {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway('--grid', '64x64')
  await fleet.agents(['edge-1', 'edge-2'], gateway.url)
  const send = async (method: string, path: string, sent: object): Promise<void> => {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${gateway.http}${path}`, {
      ...{ method, headers, body: JSON.stringify(sent) },
    })
    if (!answer.ok) throw new Error(await answer.text())
  }
  const submit = (task: object): Promise<void> => send('POST', '/process?wait=30s', task)
  const source = 'value = value * $with_a_long_name + $another_one_that_is_long where value > 100'
  await send('PUT', '/api/codex/heat', { source, glyph: '♨' })
  const when = 'value > 1 and value < 1000000 or value == 12345678 or value == 87654321'
  await send('PUT', '/api/rules', { rules: [{ name: 'much', when, message: 'too much' }] })
  const region = { x: 0, y: 0, w: 20, h: 20 }
  await submit({ op: 'add', region, args: { field: 'value', value: 2.5 } })
  await submit({ id: 'stat-1', op: 'stat', args: { field: 'value', bins: 8 } })
  return gateway
}

/** Everything that can be folded out is. */
async function unfold(page: Page): Promise<void> {
  for (const summary of await page.locator('main details:not([open]) > summary').all()) {
    if (await summary.isVisible()) await summary.click()
  }
}

t.test('everybody can use it: names, contrast, sizes, and no way sideways', async (t) => {
  const gateway = await fleetWithWork(t)
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const viewport of [DESKTOP, PHONE, NARROW]) {
      await visit(t, gateway.http, { viewport, colorScheme, expected: [/409/] }, async (page) => {
        await page.getByText('2 of 2 alive').waitFor()
        for (const [view, sign] of Object.entries(VIEWS)) {
          await page.goto(`${gateway.http}/#${view}`)
          await page.locator('main').getByText(sign).first().waitFor({ state: 'attached' })
          await unfold(page)
          const where = `${view}, ${colorScheme}, ${viewport.width} wide`
          t.same(await page.evaluate(accessProblems), [], where)
        }
      })
    }
  }
})

t.test('the checks find what they are for', async (t) => {
  const gateway = await new Fleet(t).gateway('--grid', '32x32')
  await visit(t, gateway.http, { viewport: PHONE }, async (page) => {
    await page.getByText('No node has joined yet.').waitFor()
    const found = await page.evaluate(() => {
      const make = (tag: string, text: string, css: string): void => {
        const element = document.createElement(tag)
        element.textContent = text
        element.style.cssText = css
        document.body.append(element)
      }
      make('input', '', '')
      make('button', 'x', 'padding:0;min-height:0;height:12px')
      make('p', 'pale', 'color:#aaa')
      make('p', 'wide', 'width:900px')
      make('table', 'a', '')
      make('h1', 'another', '')
    })
    t.equal(found, undefined)
    const problems = (await page.evaluate(accessProblems)).join('\n')
    for (const word of ['no name: <input', 'small', 'contrast', '900', 'no heads', '2 h1']) {
      t.match(problems, word)
    }
  })
})
