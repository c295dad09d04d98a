import { createHook } from 'node:async_hooks'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { inflateSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { colourTable } from '../../../shared/grid/colours.ts'
import type { Field } from '../../../shared/grid/fields.ts'
import type { GridSize } from '../../../shared/grid/geometry.ts'
import { LooksInMemory } from '../../support/looks-in-memory.ts'
import { serve } from '../../support/recorded-http-port.ts'

const FIELDS: readonly Field[] = [
  { name: 'value', type: 'f64' },
  { name: 'level', type: 'u8' },
  { name: 'count', type: 'i32' },
  { name: 'temp', type: 'f32' },
]

/** A door to a grid whose `value` is 100 y + x, and its `level` x. */
async function serveGrid(
  t: Test,
  size: GridSize = { width: 40, height: 24, tile: 8 },
  options: Parameters<typeof serve>[1] = {},
) {
  const served = await serve(t, options)
  const looks = new LooksInMemory(size, FIELDS)
  served.recorded.looks = looks
  const { width, height } = size
  const rows = Math.max(1, Math.floor(65_536 / width))
  for (let y = 0; y < height; y += rows) {
    const region = { x: 0, y, w: width, h: Math.min(rows, height - y) }
    const cells = Array.from({ length: region.w * region.h }, (_, at) => ({
      x: at % width,
      y: y + Math.floor(at / width),
    }))
    const value = cells.map((cell) => 100 * cell.y + cell.x)
    looks.write({ op: 'put', region, args: { field: 'value', values: value } })
    const level = cells.map((cell) => cell.x % 256)
    looks.write({ op: 'put', region, args: { field: 'level', values: level } })
  }
  return { ...served, looks, api: `${served.base}/api/grid` }
}

async function numbersOf(response: Response): Promise<number[]> {
  return [...new Float32Array(await response.arrayBuffer())]
}

const headOf = (response: Response): unknown => JSON.parse(response.headers.get('x-overview')!)

t.test('the grid is told, and its squares are given as f32', async (t) => {
  const { api } = await serveGrid(t)
  t.match(await (await fetch(api)).json(), {
    ...{ width: 40, height: 24, tile: 8, replicas: 1, epoch: 1, ledger: 'ledger' },
    fields: [{ name: 'value', type: 'f64' }, {}, {}, {}],
  })
  const cells = await fetch(`${api}/value.f32?x=3&y=2&w=2&h=2&step=1`)
  t.equal(cells.status, 200)
  t.equal(cells.headers.get('content-type'), 'application/octet-stream')
  t.same(headOf(cells), {
    ...{ field: 'value', step: 1, x: 3, y: 2, columns: 2, rows: 2 },
    ...{ of: ['mean'], consistent: true },
  })
  t.same(await numbersOf(cells), [203, 204, 303, 304])
  const both = await fetch(`${api}/value.f32?step=8&of=max,min`)
  t.match(headOf(both), { of: ['min', 'max'], columns: 5, rows: 3 })
  const planes = await numbersOf(both)
  t.equal(planes.length, 30)
  t.same([planes[0], planes[15]], [0, 707], 'the least, then the greatest')
  const sized = await fetch(`${api}/value.f32?width=20&height=20`)
  t.match(headOf(sized), { step: 2, columns: 20, rows: 12 })
})

t.test('what has not changed is not sent again', async (t) => {
  const { api, looks } = await serveGrid(t)
  const first = await fetch(`${api}/value.f32?step=8`)
  const tag = first.headers.get('etag')!
  t.match(tag, /^"ledger-1-\d+-1"$/)
  const again = await fetch(`${api}/value.f32?step=8`, { headers: { 'if-none-match': tag } })
  t.equal(again.status, 304)
  t.equal(await again.text(), '')
  looks.write({ op: 'add', args: { field: 'value', value: 1 } })
  const changed = await fetch(`${api}/value.f32?step=8`, { headers: { 'if-none-match': tag } })
  t.equal(changed.status, 200)
})

t.test('cells are given in the own type of their field', async (t) => {
  const { api } = await serveGrid(t)
  const one = await fetch(`${api}/value.csv?x=7&y=3&w=1&h=1`)
  t.equal(await one.text(), '307\r\n')
  t.same(headOf(one), {
    ...{ field: 'value', type: 'f64', step: 1, x: 7, y: 3, columns: 1, rows: 1 },
  })
  const some = await fetch(`${api}/value/cells?at=7,3;39,23;0,0`)
  t.same(await some.json(), { field: 'value', type: 'f64', values: [307, 2339, 0] })
  t.match(await (await fetch(`${api}/value/cells?at=40,0`)).json(), { code: 'outside-grid' })
  t.match(await (await fetch(`${api}/value/cells?at=3.4`)).json(), { code: 'malformed' })
  t.match(await (await fetch(`${api}/value/cells`)).json(), { status: 422 })
  for (const empty of ['w=0', 'h=0', 'w=0&h=0']) {
    const response = await fetch(`${api}/value.npy?${empty}`)
    t.match(await response.json(), { status: 400, code: 'malformed' }, empty)
  }
  const corner = await fetch(`${api}/level.csv?x=38&y=22`)
  t.equal(await corner.text(), '38,39\r\n38,39\r\n', 'what is left out goes to the edge')
  const npy = Buffer.from(await (await fetch(`${api}/level.npy?x=1&w=3&h=2`)).arrayBuffer())
  t.equal(npy.subarray(0, 8).toString('latin1'), '\x93NUMPY\x01\x00')
  t.equal(npy.readUInt16LE(8), 118)
  t.equal(
    npy.subarray(10, 128).toString().trimEnd(),
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }",
  )
  t.same([...npy.subarray(128)], [1, 2, 3, 1, 2, 3])
  const means = await fetch(`${api}/value.npy?step=8&of=max`)
  const bytes = Buffer.from(await means.arrayBuffer())
  t.match(bytes.toString('latin1'), /'<f4', 'fortran_order': False, 'shape': \(3, 5\)/)
  t.equal(bytes.readFloatLE(128), 707)
  t.equal(
    await (await fetch(`${api}/value.csv?step=16&of=min`)).text(),
    '0,16,32\r\n1600,1616,1632\r\n',
  )
})

t.test('for the head of a download alone nothing is read', async (t) => {
  const { api, looks } = await serveGrid(t)
  looks.asked.length = 0
  for (const form of ['npy', 'csv']) {
    const head = await fetch(`${api}/value.${form}?x=3&w=2&h=2`, { method: 'HEAD' })
    t.equal(head.status, 200)
    t.match(headOf(head), { x: 3, columns: 2, rows: 2 })
    if (form === 'npy') t.equal(head.headers.get('content-length'), '160')
  }
  t.same(looks.asked, [])
  t.equal((await fetch(`${api}/value.npy?x=39&w=5`, { method: 'HEAD' })).status, 422)
})

/** A PNG by its chunks, and the index of each pixel. */
function decodePng(png: Buffer) {
  const chunks = new Map<string, Buffer>()
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at)
    chunks.set(png.toString('latin1', at + 4, at + 8), png.subarray(at + 8, at + 8 + length))
    at += 12 + length
  }
  const head = chunks.get('IHDR')!
  const [width, height] = [head.readUInt32BE(0), head.readUInt32BE(4)]
  const rows = inflateSync(chunks.get('IDAT')!)
  const pixel = (x: number, y: number): number => rows[y * (width + 1) + 1 + x]!
  return { width, height, pixel, palette: chunks.get('PLTE')!, clear: chunks.get('tRNS')!, rows }
}

t.test('a picture shows low and high in the colours that are asked for', async (t) => {
  const { api } = await serveGrid(t)
  const response = await fetch(`${api}/level.png?step=1&colours=cividis&scale=3`)
  t.equal(response.headers.get('content-type'), 'image/png')
  const png = decodePng(Buffer.from(await response.arrayBuffer()))
  t.same([png.width, png.height, png.rows.length], [120, 72, 72 * 121])
  t.same([png.pixel(0, 0), png.pixel(2, 71), png.pixel(119, 0)], [0, 0, 254])
  t.same([...png.palette.subarray(0, 3)], [...colourTable('cividis').subarray(0, 3)])
  t.same([...png.palette.subarray(3 * 254, 3 * 255)], [...colourTable('cividis').subarray(-3)])
  t.equal(png.clear[255], 0)
  const range = await fetch(`${api}/level.png?step=1&low=10&high=20`)
  const cut = decodePng(Buffer.from(await range.arrayBuffer()))
  t.same([cut.pixel(5, 0), cut.pixel(15, 0), cut.pixel(30, 0)], [0, 127, 254])
  const flat = await fetch(`${api}/count.png?step=8&colours=change`)
  t.equal(decodePng(Buffer.from(await flat.arrayBuffer())).pixel(0, 0), 127, 'in the middle')
})

t.test('equal pictures that are asked for at once are not made for each', async (t) => {
  const { api } = await serveGrid(t)
  let packed = 0
  const counting = createHook({
    init(_id, type) {
      if (type === 'ZLIB') packed += 1
    },
  }).enable()
  t.teardown(() => counting.disable())
  const pictures = await Promise.all(
    Array.from({ length: 20 }, async () => {
      const response = await fetch(`${api}/level.png?step=1&scale=4`)
      return Buffer.from(await response.arrayBuffer())
    }),
  )
  t.ok(packed >= 1 && packed <= 10, `${packed} were made for 20`)
  t.ok(pictures.every((png) => png.equals(pictures[0]!)))
})

t.test('who wants many pictures does not hold up who wants one', async (t) => {
  const { api } = await serveGrid(t)
  const order: string[] = []
  // Each from an address of its own.
  const picture = async (name: string, localAddress: string, low: number): Promise<void> => {
    const path = `${api}/level.png?step=1&scale=4&low=${low}&high=999`
    const [response] = (await once(get(path, { localAddress }), 'response')) as [IncomingMessage]
    response.resume()
    await once(response, 'end')
    order.push(name)
  }
  const many = Array.from({ length: 24 }, (_, low) => picture('many', '127.0.0.2', low))
  await many[0]
  await picture('one', '127.0.0.3', 500)
  const before = order.indexOf('one')
  t.ok(before < 12, `${before} of 24 others were made before it`)
  await Promise.all(many)
})

t.test('what cannot be shown is said in the words of the query', async (t) => {
  const { api } = await serveGrid(t)
  const problems = async (path: string): Promise<unknown> => {
    const response = await fetch(`${api}/${path}`)
    const { status, code, errors, detail } = (await response.json()) as Record<string, unknown>
    t.match(detail, /^[^.]*$/, 'no word of what it is made of')
    return [status, code, (errors as { path: string }[] | undefined)?.map(({ path }) => path)]
  }
  t.same(await problems('valeu.f32'), [422, 'unknown-field', ['field']])
  t.same(await problems('valeu.csv'), [422, 'unknown-field', ['fields[0]']])
  t.same(await problems('value.tif'), [404, 'not-found', undefined])
  t.same(await problems('value.f32?step=3'), [422, 'out-of-range', ['step']])
  t.same(await problems('value.f32?x=40'), [422, 'outside-grid', ['x']])
  t.same(await problems('value.npy?x=39&w=5'), [422, 'outside-grid', ['region']])
  t.same(await problems('value.f32?steps=2'), [400, 'malformed', ['steps']])
  t.same(await problems('value.f32?of=median'), [400, 'malformed', ['of']])
  t.same(await problems('value.png?of=min,max'), [400, 'malformed', ['of']])
  t.same(await problems('value.png?low=3&high=2'), [400, 'malformed', ['low']])
  t.same(await problems('value.png?scale=9'), [400, 'malformed', ['scale']])
  t.same(await problems('value.png?colours=jet'), [400, 'malformed', ['colours']])
})

t.test('a look ends with the connection of whoever asked', async (t) => {
  const { looks, port } = await serveGrid(t)
  let open = (): void => {}
  const taken = new Promise<void>((resolve) => {
    looks.gate = () => {
      resolve()
      return new Promise((go) => {
        open = go
      })
    }
  })
  let isLeft = false
  const { look } = looks
  Object.assign(looks, {
    look: (...asked: Parameters<typeof look>) => {
      asked[2].addEventListener('abort', () => {
        isLeft = true
        open()
      })
      return look(...asked)
    },
  })
  const socket = connect(port, '127.0.0.1')
  socket.write('GET /api/grid/value.f32 HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await taken
  socket.destroy()
  await once(socket, 'close')
  while (!isLeft) await new Promise((resolve) => setImmediate(resolve))
  t.pass('it was taken back')
})

t.test('a large download is read band by band, as fast as its reader takes it', async (t) => {
  const { looks, port, api } = await serveGrid(t, { width: 2048, height: 1024, tile: 16 })
  looks.asked.length = 0
  const socket = connect(port, '127.0.0.1')
  socket.write('GET /api/grid/value.npy HTTP/1.1\r\nHost: localhost\r\n\r\n')
  let received = 0
  let aheadMost = 0
  // It takes a little, and looks away for many turns.
  while (received < 2 * 1024 * 1024) {
    const chunk = socket.read() as Buffer | null
    received += chunk?.length ?? 0
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
    const asked = looks.asked.reduce((sum, { lsus }) => sum + 8 * lsus, 0)
    aheadMost = Math.max(aheadMost, asked - received)
  }
  // What two sockets hold is most of it.
  t.ok(aheadMost < 12 * 1024 * 1024, `${aheadMost} bytes were read ahead of 16 MiB`)
  socket.destroy()
  looks.asked.length = 0
  const whole = Buffer.from(await (await fetch(`${api}/value.npy`)).arrayBuffer())
  t.equal(whole.length, 128 + 2048 * 1024 * 8)
  t.equal(whole.readDoubleLE(128 + 8 * (700 * 2048 + 33)), 70_033)
  t.ok(looks.asked.every(({ op, lsus }) => op === 'get' && lsus <= 65_536))
  t.equal(looks.asked.length, 32, 'each tile once')
})

t.test('a table on its way counts as any large answer does', async (t) => {
  const size = { width: 512, height: 512, tile: 64 }
  const { server, base, port } = await serveGrid(t, size, { answersBytesMax: 1.5 * 1024 * 1024 })
  for (let n = 0; n < 2; n++) {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    socket.on('error', () => {})
    socket.write('GET /api/grid/value.csv?step=1 HTTP/1.1\r\nHost: localhost\r\n\r\n')
  }
  while (server.refused['answers-full'] === undefined) await fetch(`${base}/healthz`)
  t.same(server.refused, { 'answers-full': 1 })
})
