import { crc32, inflateSync } from 'node:zlib'
import t from 'tap'
import { encodePng } from '../../../broker/adapters/png.ts'
import { inTurns } from '../../../broker/adapters/turns.ts'
import { COLOUR_MAPS, colourTable } from '../../../shared/grid/colours.ts'
import { coloursOf, enlarged, paletteOf, UNKNOWN } from '../../../shared/grid/picture.ts'

interface Pixels {
  readonly width: number
  readonly height: number
  /** Red, green, blue and alpha of each, row by row. */
  readonly rgba: readonly number[]
}

/** As ISO/IEC 15948 has it, for pictures of one byte a pixel with a palette and no filter. */
function decoded(png: Buffer): Pixels {
  if (png.toString('latin1', 0, 8) !== '\x89PNG\r\n\x1a\n') throw new Error('no signature')
  const chunks: [string, Buffer][] = []
  for (let at = 8; at < png.length; ) {
    const end = at + 8 + png.readUInt32BE(at)
    const name = png.toString('latin1', at + 4, at + 8)
    if (crc32(png.subarray(at + 4, end)) !== png.readUInt32BE(end)) throw new Error(`crc ${name}`)
    chunks.push([name, png.subarray(at + 8, end)])
    at = end + 4
  }
  const names = chunks.map(([name]) => name).join(' ')
  if (names !== 'IHDR PLTE tRNS IDAT IEND') throw new Error(`chunks ${names}`)
  const [head, palette, alpha, packed] = chunks.map(([, content]) => content)
  const [width, height] = [head!.readUInt32BE(0), head!.readUInt32BE(4)]
  if (head!.toString('hex', 8) !== '0803000000') throw new Error('no indexed picture')
  const rows = inflateSync(packed!)
  if (rows.length !== height * (width + 1)) throw new Error(`${rows.length} bytes`)
  const rgba: number[] = []
  for (let y = 0; y < height; y++) {
    const row = rows.subarray(y * (width + 1), (y + 1) * (width + 1))
    if (row[0] !== 0) throw new Error(`filter ${row[0]}`)
    for (const colour of row.subarray(1)) {
      rgba.push(...palette!.subarray(3 * colour, 3 * colour + 3), alpha![colour] ?? 255)
    }
  }
  return { width, height, rgba }
}

for (const name of COLOUR_MAPS) {
  t.test(`what is drawn in ${name} has its colours, pixel by pixel`, async (t) => {
    const table = colourTable(name)
    const [width, height, scale] = [17, 16, 3]
    // 0 to 254, so that each colour is met, and some that nobody knows.
    const values = Float32Array.from({ length: width * height }, (_, at) =>
      at < 255 ? at : Number.NaN,
    )
    const small = coloursOf(values, { low: 0, high: 254 })
    const pixels = await inTurns(enlarged(small, width, scale))
    const size = { width: width * scale, height: height * scale }
    const picture = decoded(
      await encodePng({ ...size, pixels, palette: paletteOf(table), clear: UNKNOWN }),
    )
    t.match(picture, size)
    let wrong = 0
    for (let at = 0; at < size.width * size.height; at++) {
      const x = Math.floor((at % size.width) / scale)
      const y = Math.floor(Math.floor(at / size.width) / scale)
      const value = values[y * width + x]!
      const [red, green, blue, alpha] = picture.rgba.slice(4 * at, 4 * at + 4)
      // Of the 256 colours of the map, by the straight way; half a colour may be lost in rounding.
      const near = Math.round((value / 254) * 255)
      const isLike = [near - 1, near, near + 1].some(
        (colour) =>
          colour >= 0 &&
          table[3 * colour] === red &&
          table[3 * colour + 1] === green &&
          table[3 * colour + 2] === blue,
      )
      if (Number.isNaN(value) ? alpha !== 0 : alpha !== 255 || !isLike) wrong += 1
    }
    t.equal(wrong, 0)
  })
}

t.test('a picture of one pixel', async (t) => {
  const palette = paletteOf(colourTable('grey'))
  const one = { width: 1, height: 1, pixels: Uint8Array.of(254), palette, clear: UNKNOWN }
  t.same(decoded(await encodePng(one)).rgba, [0xf4, 0xf4, 0xf4, 255])
})
