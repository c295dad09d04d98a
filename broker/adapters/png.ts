/** Pictures of at most 256 colours, as PNG (ISO/IEC 15948). */
import { promisify } from 'node:util'
import { crc32, deflate } from 'node:zlib'

export interface IndexedPicture {
  readonly width: number
  readonly height: number
  /** Of each pixel, row by row, which colour it has. */
  readonly pixels: Uint8Array
  /** Red, green and blue of each colour. */
  readonly palette: Uint8Array
  /** The colour that is seen through. */
  readonly clear: number
}

const SIGNATURE = Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const BITS = 8
const INDEXED = 3
const OPAQUE = 255
/** The quickest: it makes a picture of a grid about as small as the others do. */
const LEVEL = 1

const deflateAside = promisify<Uint8Array, { level: number }, Buffer>(deflate)

export async function encodePng(picture: IndexedPicture): Promise<Buffer> {
  const { width, height, pixels, palette, clear } = picture
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width)
  head.writeUInt32BE(height, 4)
  head[8] = BITS
  head[9] = INDEXED
  // Each row has the number of its filter before it: 0 is none.
  const rows = Buffer.alloc(height * (width + 1))
  for (let y = 0; y < height; y++) {
    rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1)
  }
  const alpha = new Uint8Array(clear + 1).fill(OPAQUE)
  alpha[clear] = 0
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', head),
    chunk('PLTE', palette),
    chunk('tRNS', alpha),
    chunk('IDAT', await deflateAside(rows, { level: LEVEL })),
    chunk('IEND', new Uint8Array(0)),
  ])
}

function chunk(name: string, content: Uint8Array): Buffer {
  const bytes = Buffer.alloc(content.length + 12)
  bytes.writeUInt32BE(content.length)
  bytes.write(name, 4, 'latin1')
  bytes.set(content, 8)
  bytes.writeUInt32BE(crc32(bytes.subarray(4, content.length + 8)), content.length + 8)
  return bytes
}
