import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { Outcome } from '../../../broker/core/effects.ts'
import type { TaskId } from '../../../shared/core/ids.ts'
import { bytesOfColumn, columnFromBytes, type FieldType } from '../../../shared/grid/fields.ts'
import type { GridSize } from '../../../shared/grid/geometry.ts'
import { npyHead } from '../../../shared/grid/npy.ts'
import { encodeCbor } from '../../../shared/protocol/cbor.ts'
import { LooksInMemory } from '../../support/looks-in-memory.ts'
import { checkAsync } from '../../support/property.ts'
import { serve, taskView } from '../../support/recorded-http-port.ts'

const NPY = 'application/x-npy'

/** A door to a grid in memory that knows tasks by their ids, as a gateway does. */
async function serveGrid(
  t: Test,
  size: GridSize = { width: 256, height: 256, tile: 16 },
  options: Parameters<typeof serve>[1] = {},
) {
  const served = await serve(t, { bodyMs: 300, bodyComesMs: 400, ...options })
  const looks = new LooksInMemory(size, [
    { name: 'value', type: 'f64' },
    { name: 'level', type: 'u8' },
    { name: 'temp', type: 'f32' },
  ])
  served.recorded.looks = looks
  const known = new Map<string, string>()
  const control = {
    /** How often each task was submitted. */
    submitted: new Map<string, number>(),
    /** Refuses, instead of taking. */
    refuse: undefined as ((id: string) => Outcome | undefined) | undefined,
    endsAs: 'completed' as 'completed' | 'failed',
    hold: undefined as Promise<void> | undefined,
    open: 0,
    openMost: 0,
  }
  Object.assign(served.recorded.port, {
    async submitWish(wish: { id: string }): Promise<Outcome> {
      const refused = control.refuse?.(wish.id)
      if (refused !== undefined) return refused
      control.submitted.set(wish.id, (control.submitted.get(wish.id) ?? 0) + 1)
      const hash = createHash('sha256').update(encodeCbor(wish)).digest('hex')
      const before = known.get(wish.id)
      if (before !== undefined && before !== hash) {
        return { ok: false, refusal: { code: 'task-id-conflict', message: 'another body' } }
      }
      if (before === undefined) {
        known.set(wish.id, hash)
        const result = looks.write(wish)
        if (!result.ok) throw new Error(JSON.stringify(result.problems))
      }
      control.open += 1
      control.openMost = Math.max(control.openMost, control.open)
      return { ok: true, task: wish.id as TaskId, state: 'accepted' }
    },
    task: (id: string) => taskView(id, ended.has(id) ? control.endsAs : 'running'),
    async waitForEnd(id: string) {
      await control.hold
      ended.add(id)
      control.open -= 1
      return true
    },
  })
  const ended = new Set<string>()
  const put = (path: string, body: Buffer | string | Uint8Array, type = NPY): Promise<Response> =>
    fetch(`${served.base}/api/grid/${path}`, {
      method: 'PUT',
      headers: { 'content-type': type },
      body: body as BodyInit,
    })
  const cells = async (field: string, type: FieldType): Promise<number[]> => {
    const response = await fetch(`${served.base}/api/grid/${field}.npy`)
    const bytes = Buffer.from(await response.arrayBuffer()).subarray(128)
    return [...columnFromBytes(type, bytes)]
  }
  return { ...served, looks, control, put, cells }
}

function npy(type: FieldType, rows: number, columns: number, numbers: ArrayLike<number>): Buffer {
  const column = { u8: Uint8Array, i32: Int32Array, f32: Float32Array, f64: Float64Array }[type]
  return Buffer.concat([npyHead(type, rows, columns), bytesOfColumn(column.from(numbers))])
}

const counted = (count: number): number[] => Array.from({ length: count }, (_, at) => at % 199)

t.test('a file of each type comes to be in its field', async (t) => {
  const { put, cells, base, control } = await serveGrid(t)
  const whole = counted(256 * 256)
  const response = await put('value?id=load', npy('f64', 256, 256, whole))
  t.equal(response.status, 200)
  t.match(await response.json(), {
    ...{ id: 'load', state: 'done', rows: 256, rows_total: 256, tasks: 1, completed: 1 },
    ...{ failed: 0, lsus: 65_536, bytes: 8 * 65_536 },
  })
  t.same(await cells('value', 'f64'), whole)
  t.match(await (await fetch(`${base}/api/uploads/load`)).json(), { id: 'load', state: 'done' })
  t.equal((await fetch(`${base}/api/uploads/other`)).status, 404)
  const part = await put('level?x=250&y=254&id=part', npy('u8', 2, 6, counted(12)))
  t.match(await part.json(), { lsus: 12 })
  t.same((await cells('level', 'u8')).slice(255 * 256 + 250), [6, 7, 8, 9, 10, 11])
  const text = await put('temp?id=text&y=3', '1,-2.5,3e2\r\n4,5, 6\n', 'text/csv')
  t.match(await text.json(), { lsus: 6, rows: 2, state: 'done' })
  t.same((await cells('temp', 'f32')).slice(4 * 256, 4 * 256 + 4), [4, 5, 6, 0])
  const packed = await put(
    'temp?w=2&h=1&id=raw',
    bytesOfColumn(Float32Array.of(7, 8)),
    'application/octet-stream',
  )
  t.match(await packed.json(), { lsus: 2 })
  t.equal((await put('level?id=mark', '\ufeff9,8\r\n', 'text/csv')).status, 200)
  t.same((await cells('level', 'u8')).slice(0, 2), [9, 8])
  t.same((await cells('temp', 'f32')).slice(0, 3), [7, 8, 0])
  t.ok([...control.submitted.keys()].every((id) => /^(load|part|text|raw|mark)-0$/.test(id)))
})

t.test('narrower numbers are taken where the field holds them as they are', async (t) => {
  const { put, cells } = await serveGrid(t)
  t.equal((await put('value', npy('f32', 1, 2, [0.5, 3]))).status, 200)
  t.same((await cells('value', 'f64')).slice(0, 2), [0.5, 3])
})

t.test('a file that is not as it must be writes nothing, and is told why', async (t) => {
  const { put, control, recorded } = await serveGrid(t)
  const good = npy('f64', 2, 2, [1, 2, 3, 4])
  const head = (from: string, to: string): Buffer =>
    Buffer.from(
      good.toString('latin1').replace(from, to.padEnd(from.length).slice(0, from.length)),
      'latin1',
    )
  const problems: [
    path: string,
    body: Buffer | string,
    code: string,
    word: RegExp,
    type?: string,
  ][] = [
    ['valeu', good, 'unknown-field', /no field "valeu", only value, level, temp/],
    ['temp', good, 'file-unsuitable', /"<f8", and a field of f32 holds .* a\.astype\("<f4"\)/],
    ['value', head("'<f8'", "'>f8'"), 'file-unsuitable', /big-endian/],
    ['value', head('False', 'True '), 'file-unsuitable', /Fortran order/],
    ['value', head("'<f8'", "'<c8'"), 'file-unsuitable', /"<c8", which is none of/],
    ['value', head('(2, 2)', '(4,)'), 'file-unsuitable', /its shape is \(4,\), and not rows/],
    ['value', head('(2, 2)', '(2, 3)'), 'file-unsuitable', /has 160 bytes, and would have 176/],
    ['value', Buffer.from('PK\x03\x04 a zip archive'), 'file-unsuitable', /no \.npy file/],
    ['value?x=255', good, 'outside-grid', /2 × 2 cells at 255,0 do not lie in the grid/],
    ['value?w=3', good, 'file-unsuitable', /it has 2 columns, and 3 were asked for/],
    [
      'value',
      'a,b\n1,2\n',
      'file-unsuitable',
      /line 1, column 1: "a" is no number; there is no line/,
      'text/csv',
    ],
    ['value', '1;2\n', 'file-unsuitable', /"1;2" is no number/, 'text/csv'],
    ['value', '', 'file-unsuitable', /it is empty/, 'text/csv'],
    [
      'value?w=2&h=2',
      good.subarray(0, 9),
      'file-unsuitable',
      /has 9 bytes/,
      'application/octet-stream',
    ],
    ['value', good, 'unsupported-media-type', /application\/x-npy, text\/csv/, 'application/json'],
    ['value?id=a.b', good, 'malformed', /id must be/],
  ]
  for (const [path, body, code, word, type] of problems) {
    const response = await put(path, body, type)
    t.match(await response.json(), { code, detail: word }, `${path} ${code}`)
  }
  recorded.putRefusal = { code: 'not-granted', message: 'not his' }
  t.match(await (await put('value', good)).json(), { status: 403, code: 'not-granted' })
  t.equal(control.submitted.size, 0)
})

t.test('a file of a type that is not taken is told which are, whatever its size', async (t) => {
  const { base, recorded } = await serveGrid(t)
  const body = new Uint8Array(2 * 1024 * 1024)
  for (const type of [undefined, 'application/x-www-form-urlencoded', 'application/json']) {
    const headers = type === undefined ? {} : { 'content-type': type }
    for (const [method, path, detail] of [
      ['PUT', 'grid/value', /^a file is application\/x-npy, text\/csv, /],
      ['POST', 'packages', /^a package is application\/gzip, /],
    ] as const) {
      const response = await fetch(`${base}/api/${path}`, { method, headers, body })
      const said = { status: 415, code: 'unsupported-media-type', detail }
      t.match(await response.json(), said, `${path} as ${type}`)
    }
  }
  t.same(recorded.calls, [])
})

t.test('a value that does not fit, or a file that ends early, says what is written', async (t) => {
  const { put, control } = await serveGrid(t, { width: 512, height: 512, tile: 16 })
  const numbers = new Float64Array(512 * 512)
  numbers[512 * 200 + 7] = Number.NaN
  const response = await put('value?id=nan', npy('f64', 512, 512, numbers))
  t.match(await response.json(), {
    ...{ status: 422, code: 'file-unsuitable', tasks: 1, rows: 128, state: 'cut-off' },
    detail:
      /^row 200, column 7: NaN is nothing that a field of f64 holds; 128 rows are, or will be/,
  })
  t.same([...control.submitted.keys()], ['nan-0'])
  const lines = `${'1,2\n'.repeat(40)}1,2,3\n`
  t.match(await (await put('value?id=csv', lines, 'text/csv')).json(), {
    detail: /^line 41 has 3 numbers, and line 1 has 2; nothing of it is written/,
  })
  t.match(await (await put('value?id=rows&h=3', '1\n2\n', 'text/csv')).json(), {
    detail: /^it has 2 rows, and was to have 3/,
  })
})

t.test('what is too large is refused at once', async (t) => {
  const { port } = await serveGrid(t)
  const socket = connect(port, '127.0.0.1')
  socket.write(
    `PUT /api/grid/value HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${NPY}\r\nContent-Length: ${2 ** 31}\r\n\r\n`,
  )
  const [answer] = (await once(socket, 'data')) as [Buffer]
  t.match(answer.toString(), /413 .*a file has at most 1 GiB: cut it/s)
  socket.destroy()
})

/** Sends the first bytes of a file, and stops there. */
async function begin(port: number, path: string, body: Buffer, bytes: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(
    `PUT /api/grid/${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${NPY}\r\nContent-Length: ${body.length}\r\n\r\n`,
  )
  await new Promise<void>((resolve) => socket.write(body.subarray(0, bytes), () => resolve()))
  return socket
}

t.test('a file that brings nothing any more is let go', async (t) => {
  const { port, base } = await serveGrid(t)
  const body = npy('f64', 256, 256, counted(65_536))
  const socket = await begin(port, 'value?id=slow', body, 1000)
  const [answer] = (await once(socket, 'data')) as [Buffer]
  t.match(answer.toString(), /408 .*it brought nothing for 0\.3 s; nothing of it is written/s)
  t.match(await (await fetch(`${base}/api/uploads/slow`)).json(), { state: 'cut-off', rows: 0 })
  socket.destroy()
})

t.test('a file that only trickles is let go, too', async (t) => {
  const { port, base } = await serveGrid(t, undefined, { bodyMs: 30_000, uploadPaceMs: 200 })
  const body = npy('f64', 256, 256, counted(65_536))
  const socket = await begin(port, 'value?id=trickle', body, 10_000)
  const trickling = setInterval(() => socket.write('0'), 20)
  t.teardown(() => clearInterval(trickling))
  const [answer] = (await once(socket, 'data')) as [Buffer]
  t.match(
    answer.toString(),
    /408 .*it brought \d+ bytes in 0\.\d s, and is to bring 4096 in 0\.2 s/s,
  )
  t.match(await (await fetch(`${base}/api/uploads/trickle`)).json(), { state: 'cut-off', rows: 0 })
  socket.destroy()
})

t.test('cut off anywhere and sent again, each cell is right, and each task one', async (t) => {
  const size = { width: 512, height: 256, tile: 16 }
  const { port, put, cells, control, base } = await serveGrid(t, size)
  const count = size.width * size.height
  let uploads = 0
  const property = fc.asyncProperty(fc.nat(), fc.nat(6), async (seed, shift) => {
    const id = `file${++uploads}`
    const numbers = Float64Array.from({ length: count }, (_, at) => (seed % 1000) + (at >> shift))
    const body = npy('f64', size.height, size.width, numbers)
    const cut = 128 + (seed % (body.length - 128))
    const socket = await begin(port, `value?id=${id}`, body, cut)
    socket.destroy()
    const again = await put(`value?id=${id}`, body)
    const view = (await again.json()) as { tasks: number; state: string }
    if (view.state !== 'done' || view.tasks !== 2) throw new Error(JSON.stringify(view))
    const now = await cells('value', 'f64')
    if (!numbers.every((number, at) => number === now[at])) throw new Error('a cell is wrong')
    const mine = [...control.submitted.keys()].filter((task) => task.startsWith(`${id}-`))
    if (mine.length !== 2) throw new Error(`tasks ${mine}`)
  })
  await checkAsync(t, property, 15)
  const other = npy('f64', size.height, size.width, new Float64Array(count).fill(-1))
  const conflict = await put('value?id=file1', other)
  t.match(await conflict.json(), { status: 409, code: 'task-id-conflict', tasks: 0 })
  t.equal((await fetch(`${base}/api/uploads/file1`)).status, 200)
})

t.test('so many of its tasks are open, and no more of it is read', async (t) => {
  const { put, control } = await serveGrid(t, { width: 1024, height: 1024, tile: 16 })
  let release = (): void => {}
  control.hold = new Promise((resolve) => {
    release = resolve
  })
  const ending = put('level?id=many', npy('u8', 1024, 1024, counted(1024 * 1024)))
  while (control.open < 4) await new Promise((resolve) => setImmediate(resolve))
  for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve))
  t.equal(control.open, 4)
  release()
  t.match(await (await ending).json(), { tasks: 16, completed: 16 })
  t.equal(control.openMost, 4)
})

t.test('who has sent it all and left keeps his place while some of it is in memory', async (t) => {
  const { port, put, control, base } = await serveGrid(t, { width: 8192, height: 64, tile: 64 })
  let release = (): void => {}
  control.hold = new Promise((resolve) => {
    release = resolve
  })
  // One band of eight tasks, of which four are open.
  const body = npy('u8', 64, 8192, counted(64 * 8192))
  for (let n = 1; n <= 4; n++) {
    const socket = await begin(port, `level?id=all${n}`, body, body.length)
    while (control.open < 4 * n) await new Promise((resolve) => setImmediate(resolve))
    socket.destroy()
  }
  const show = async () => (await (await fetch(`${base}/api/uploads/all4`)).json()).state
  for (let turn = 0; turn < 50; turn++) t.equal(await show(), 'receiving')
  t.equal((await put('level?id=more', npy('u8', 1, 1, [1]))).status, 429)
  release()
  while ((await show()) !== 'done') await new Promise((resolve) => setImmediate(resolve))
  t.equal((await put('level?id=more', npy('u8', 1, 1, [1]))).status, 200)
})

t.test('a task that fails, or is not taken, is said', async (t) => {
  const { put, control } = await serveGrid(t)
  control.endsAs = 'failed'
  const failed = await put('value?id=bad', npy('f64', 1, 1, [1]))
  t.match(await failed.json(), { status: 502, code: 'upload-failed', failed: 1, tasks: 1 })
  control.endsAs = 'completed'
  let times = 0
  control.refuse = () => {
    times += 1
    const refusal = { code: 'overloaded', message: 'full', retryMs: 1 } as const
    return times < 3 ? { ok: false, refusal } : undefined
  }
  t.equal((await put('value?id=later', npy('f64', 1, 1, [1]))).status, 200)
  t.equal(times, 3)
  control.refuse = () => ({ ok: false, refusal: { code: 'store-full', message: 'no room' } })
  const full = await put('value?id=full', npy('f64', 1, 1, [1]))
  t.match(await full.json(), { status: 507, code: 'store-full', detail: /^no room; nothing of it/ })
})

t.test('a slow body of another kind is ended, too', async (t) => {
  const { port } = await serveGrid(t)
  const socket = connect(port, '127.0.0.1')
  socket.write(
    'POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{',
  )
  const [answer] = (await once(socket, 'data')) as [Buffer]
  t.match(answer.toString(), /408 .*took too long/s)
  socket.destroy()
})

/** Sends a byte every 50 ms. Resolves once the connection is closed, with what came. */
async function drip(t: Test, port: number, head: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  socket.on('error', () => {})
  socket.write(`${head} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n`)
  const dripping = setInterval(() => socket.write('0'), 50)
  t.teardown(() => clearInterval(dripping))
  // Not by `once`, which fails of an error: a byte that comes after the end resets the connection.
  await new Promise<void>((resolve) => void socket.once('close', () => resolve()))
  clearInterval(dripping)
  return answer
}

t.test('a body that nobody reads is not read for ever', async (t) => {
  const { port, server } = await serveGrid(t)
  t.match(await drip(t, port, 'GET /healthz'), /^HTTP\/1.1 200 /)
  t.match(await drip(t, port, 'DELETE /nothing'), /^HTTP\/1.1 404 /)
  t.match(
    await drip(t, port, `PUT /api/grid/value?id=a.b HTTP/1.1\r\nContent-Type: ${NPY}\r\nX: `),
    /400 /,
  )
  t.same(server.refused, { 'slow-body': 3 })
})

t.test('a file may come more slowly than any other body', async (t) => {
  const { port, base } = await serveGrid(t)
  const body = npy('f64', 1, 20, counted(20))
  const socket = await begin(port, 'value?id=slowly', body, 128)
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  const told = once(socket, 'data')
  for (let at = 128; at < body.length; at += 16) {
    socket.write(body.subarray(at, at + 16))
    await pause(80)
  }
  await told
  t.match(answer, /^HTTP\/1.1 200 /)
  t.match(await (await fetch(`${base}/api/uploads/slowly`)).json(), { state: 'done' })
  socket.destroy()
})
