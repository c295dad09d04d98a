import t from 'tap'
import { COLOUR_MAPS, colourTable } from '../../../shared/grid/colours.ts'

/** How light a colour is, as WCAG 2 has it (relative luminance). */
function lightnessOf(table: Uint8Array, colour: number): number {
  const [red, green, blue] = [...table.subarray(3 * colour, 3 * colour + 3)].map((byte) => {
    const share = byte / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
}

for (const name of COLOUR_MAPS) {
  t.test(`${name} is told apart by its lightness alone`, async (t) => {
    const table = colourTable(name)
    t.equal(table.length, 768)
    const lightness = Array.from({ length: 256 }, (_, colour) => lightnessOf(table, colour))
    const rising = name === 'change' ? lightness.slice(0, 128) : lightness
    t.ok(rising.every((light, index) => index === 0 || light >= rising[index - 1]! - 1e-3))
    t.ok(rising.at(-1)! - rising[0]! > 0.5)
    if (name !== 'change') return
    const falling = lightness.slice(128)
    t.ok(falling.every((light, index) => index === 0 || light <= falling[index - 1]!))
  })
}

t.test('a table begins and ends with the ends of its map', async (t) => {
  const table = colourTable('viridis')
  t.same([...table.subarray(0, 3)], [0x44, 0x01, 0x54])
  t.same([...table.subarray(-3)], [0xfd, 0xe7, 0x25])
})
