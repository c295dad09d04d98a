/**
 * Takes the picture of the page that README shows, from the demo as it runs. After `npm run build`:
 * `node dist/scripts/page-picture.js [docs/page.jpg]`, with Debian's chromium.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'

const BROWSER = '/usr/bin/chromium'
const SIZE = { width: 1120, height: 700 }
const OBELISK = fileURLToPath(new URL('./obelisk.js', import.meta.url))
const [file = 'docs/page.jpg'] = process.argv.slice(2)

const demo = spawn(process.execPath, [OBELISK, 'demo', '--keep', '--seconds', '3', '--seed', '7'], {
  stdio: ['ignore', 'pipe', 'inherit'],
})
try {
  await takePicture(await addressOnceKept())
} finally {
  demo.kill('SIGINT')
  await once(demo, 'exit')
}

/** The last address that the demo names: that of the fleet which it leaves running. */
async function addressOnceKept(): Promise<string> {
  let address: string | undefined
  for await (const line of createInterface({ input: demo.stdout })) {
    address = /http:\S+#grid/.exec(line)?.[0] ?? address
    if (line.startsWith('Ctrl-C ends it') && address !== undefined) return address
  }
  throw new Error('the demo ended before its fleet was kept')
}

async function takePicture(address: string): Promise<void> {
  const browser = await chromium.launch({ executablePath: BROWSER, args: ['--no-sandbox'] })
  try {
    const page = await browser.newPage({ viewport: SIZE, deviceScaleFactor: 1, locale: 'en-GB' })
    await page.goto(address)
    // Once the map is there, a cell can be read from it.
    const map = page.locator('canvas.map')
    await map.hover()
    await page.getByText(/: \d.* tile \d/).waitFor()
    await page.screenshot({ path: file, type: 'jpeg', quality: 85 })
  } finally {
    await browser.close()
  }
}
