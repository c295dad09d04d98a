/** The map as a test sees and moves it: where cells are in the window, and what is drawn there. */
import type { Page } from 'playwright-core'
import { eventually } from '../support/processes.ts'

/** What a browser says when a test reads what was drawn. */
export const READ = /willReadFrequently/
/** What is drawn where nobody has the cells, and beside the grid. */
const CLEAR = '0,0,0,0'

export const MAP_SIZE = { width: 128, height: 64 }

export interface Spot {
  readonly x: number
  readonly y: number
}

export const mapOf = (page: Page) => page.getByLabel('map of the grid')

/** Where the middle of a cell is in the window while all of the grid is shown. */
export async function spotOf(
  page: Page,
  { x, y }: Spot,
  { width, height } = MAP_SIZE,
): Promise<Spot> {
  const box = (await mapOf(page).boundingBox())!
  const scale = Math.min(box.width / width, box.height / height)
  return {
    x: box.x + box.width / 2 + (x + 0.5 - width / 2) * scale,
    y: box.y + box.height / 2 + (y + 0.5 - height / 2) * scale,
  }
}

/** The colours that are drawn at places of the window. */
export async function colours(page: Page, spots: readonly Spot[]): Promise<string[]> {
  return await page.evaluate((spots) => {
    const map = document.querySelector('canvas')!
    const { left, top, width } = map.getBoundingClientRect()
    const ratio = map.width / width
    const pen = map.getContext('2d')!
    return spots.map(({ x, y }) =>
      pen.getImageData((x - left) * ratio, (y - top) * ratio, 1, 1).data.join(),
    )
  }, spots)
}

export async function drawn(page: Page, size = MAP_SIZE): Promise<void> {
  await page.locator('canvas.map').waitFor()
  const spots = await Promise.all(
    [
      { x: 3, y: 3 },
      { x: 100, y: 50 },
    ].map((cell) => spotOf(page, cell, size)),
  )
  await eventually('a map', async () => {
    const [one, other] = await colours(page, spots)
    return one !== CLEAR && other !== CLEAR && one !== other
  })
}

/** What is said of a cell once it was read. */
export async function reading(page: Page, start: string): Promise<string> {
  const output = page.locator('.readout output')
  return await eventually(`a reading of ${start}`, async () => {
    const text = (await output.textContent()) ?? ''
    return text.startsWith(`${start}:`) ? text : undefined
  })
}
