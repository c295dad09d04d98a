/**
 * One browser for all tests, and pages of it that are watched: whatever the console says, a request to another host,
 * and an error of the page fail the test, but for what it expects.
 */
import { accessSync, constants } from 'node:fs'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

export function chromiumPath(): string | undefined {
  return PATHS.find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** For a machine that does much else at the same time. */
t.setTimeout(300_000)

let launched: Promise<Browser> | undefined
t.teardown(async () => await (await launched)?.close())

async function browser(): Promise<Browser> {
  // It keeps root out of its sandbox, and has no GPU here.
  const args = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage']
  launched ??= chromium.launch({ executablePath: chromiumPath()!, args })
  return await launched
}

export const DESKTOP = { width: 1200, height: 800 }
export const PHONE = { width: 390, height: 844 }
/** Whoever has it four times as large on a screen of 1280 pixels sees as much [WCAG 2.2, 1.4.10]. */
export const NARROW = { width: 320, height: 844 }

export interface PageOptions extends BrowserContextOptions {
  /** What the console may say: a gateway that is killed does not answer, a stranger is refused. */
  readonly expected?: readonly RegExp[]
}

/** What a browser says of each answer that is none, or a refusal. */
export const AWAY = /^Failed to load resource: net::ERR_|^.*ERR_INCOMPLETE_CHUNKED_ENCODING/
export const REFUSED = /^Failed to load resource: the server responded with a status of 4\d\d/

/** A board that is away is asked for its log. */
export const SILENT = /^Failed to load resource: the server responded with a status of 504/

/** Opens the page, and closes it once `act` is done. */
export async function visit(
  t: Test,
  url: string,
  options: PageOptions,
  act: (page: Page) => Promise<void>,
): Promise<void> {
  const { expected = [], ...more } = options
  const context = await (await browser()).newContext({
    ...{ ignoreHTTPSErrors: true, viewport: DESKTOP, locale: 'en-GB', timezoneId: 'UTC' },
    ...more,
  })
  const page = await context.newPage()
  const problems: string[] = []
  const { host } = new URL(url)
  page.on('console', (message) => {
    const text = message.text()
    if (!expected.some((one) => one.test(text))) problems.push(`${message.type()}: ${text}`)
  })
  page.on('pageerror', (error) => problems.push(`error: ${error.stack}`))
  page.on('request', (request) => {
    const asked = new URL(request.url())
    if (asked.host !== host && asked.protocol !== 'blob:') problems.push(`asks ${request.url()}`)
  })
  try {
    await page.goto(url)
    await act(page)
  } finally {
    await context.close()
  }
  t.same(problems, [], 'the browser has nothing to complain of')
}
