import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import t, { type Test } from 'tap'
import { runCommand } from '../../scripts/commands/program.ts'
import type { TaskId } from '../../shared/core/ids.ts'
import { npyHead } from '../../shared/grid/npy.ts'
import { LooksInMemory } from '../support/looks-in-memory.ts'
import { serve, taskView } from '../support/recorded-http-port.ts'

async function bench(t: Test) {
  const { recorded, base, server } = await serve(t)
  const looks = new LooksInMemory({ width: 40, height: 24, tile: 8 }, [
    { name: 'value', type: 'f64' },
    { name: 'level', type: 'u8' },
  ])
  recorded.looks = looks
  Object.assign(recorded.port, {
    async submitWish(wish: { id: string }) {
      looks.write(wish)
      return { ok: true, task: wish.id as TaskId, state: 'accepted' }
    },
    task: (id: string) => taskView(id, 'completed'),
  })
  const folder = mkdtempSync(join(tmpdir(), 'obelisk-grid-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const run = async (...argv: string[]) => await runWith({}, ...argv)
  const runWith = async (
    {
      isTTY = false,
      input = [],
      onError = () => {},
    }: {
      isTTY?: boolean
      input?: Iterable<string | Buffer> | AsyncIterable<string | Buffer>
      onError?: () => void
    },
    ...argv: string[]
  ) => {
    const out: Buffer[] = []
    const errors: string[] = []
    const code = await runCommand(
      ['grid', ...argv],
      {
        stdout: {
          isTTY,
          write: (text: string | Uint8Array) => out.push(Buffer.from(text as string)),
        },
        stderr: {
          write: (text: string) => {
            errors.push(text)
            onError()
          },
        },
        stdin: (async function* () {
          yield* input
        })(),
        environment: { OBELISK_HTTP: base },
      },
      '9.9.9',
    )
    const bytes = Buffer.concat(out)
    return { code, stdout: bytes.toString(), stderr: errors.join(''), bytes }
  }
  return { run, runWith, recorded, base, server, at: (name: string) => join(folder, name) }
}

t.test('what is put from a file can be got as a file', async (t) => {
  const { run, at } = await bench(t)
  writeFileSync(at('in.csv'), '1,2,3\n4,5,6\n')
  const put = await run('put', 'value', at('in.csv'), '--region', '2,1', '--resume', 'again')
  t.match(put, { code: 0, stdout: '6 cells of value written by 1 task, again\n', stderr: '' })
  t.match(await run('get', 'value', at('out.csv'), '--region', '2,1,3,2'), {
    code: 0,
    stdout: /out\.csv: 3 × 2, 14 bytes\n$/,
  })
  t.equal(readFileSync(at('out.csv'), 'latin1'), '1,2,3\r\n4,5,6\r\n')
  t.equal((await run('get', 'level', at('all.npy'))).code, 0)
  const npy = readFileSync(at('all.npy'))
  t.same(npy.subarray(0, 128), Buffer.from(npyHead('u8', 24, 40)))
  t.equal(npy.length, 128 + 40 * 24)
  t.equal((await run('put', 'level', at('all.npy'))).code, 0)
})

t.test('a file that waits for nodes says so', async (t) => {
  const { runWith, at, recorded } = await bench(t)
  writeFileSync(at('in.csv'), '1,2,3\n')
  recorded.nodes = []
  let take = (): void => {}
  const taken = new Promise<void>((resolve) => {
    take = resolve
  })
  const { submitWish } = recorded.port
  Object.assign(recorded.port, {
    submitWish: async (...wish: Parameters<typeof submitWish>) => {
      await taken
      return await submitWish(...wish)
    },
  })
  const put = await runWith({ onError: take }, 'put', 'value', at('in.csv'), '--resume', 'again')
  t.match(put, { code: 0, stderr: 'no node is alive: the file waits for one\n' })
})

t.test('of a download that is cut off, nothing is left, and what was there stays', async (t) => {
  const { run, at, recorded, server } = await bench(t)
  writeFileSync(at('map.npy'), 'before')
  let looks = 0
  const { look } = recorded.port
  recorded.looks = new LooksInMemory({ width: 1024, height: 128, tile: 16 }, [
    { name: 'value', type: 'f64' },
  ])
  Object.assign(recorded.port, {
    look: async (...asked: Parameters<typeof look>) => {
      looks += 1
      if (looks === 1) return await look(...asked)
      const partial = readFileSync(at('map.npy.new')).length
      t.ok(partial > 100_000, `${partial} bytes are on disk, before the rest is asked for`)
      void server.close()
      return await new Promise(() => {})
    },
  })
  t.match(await run('get', 'value', at('map.npy')), {
    code: 69,
    stderr: /the answer of \S+ was cut off/,
  })
  t.equal(readFileSync(at('map.npy'), 'utf8'), 'before')
  t.notOk(existsSync(at('map.npy.new')))
})

t.test('- is the standard input and output, and a terminal is given no bytes', async (t) => {
  const { runWith } = await bench(t)
  const put = await runWith({ input: ['1,2\n3,', '4\n'] }, 'put', 'level', '-', '--resume', 'piped')
  t.match(put, { code: 0, stdout: '4 cells of level written by 1 task, piped\n', stderr: '' })
  const part = ['--region', '0,0,2,2']
  t.match(await runWith({ isTTY: true }, 'get', 'level', '-', ...part), {
    code: 0,
    stdout: '1,2\r\n3,4\r\n',
    stderr: 'standard output: 2 × 2, 10 bytes\n',
  })
  const { bytes } = await runWith({}, 'get', 'level', '-', '--format', 'npy', ...part)
  t.same(bytes, Buffer.concat([npyHead('u8', 2, 2), Buffer.from([1, 2, 3, 4])]))
  const again = ['put', 'level', '-', '--format', 'npy', '--region', '4,4']
  t.match(await runWith({ input: [bytes.subarray(0, 50), bytes.subarray(50)] }, ...again), {
    code: 0,
    stdout: /^4 cells/,
  })
  for (const cut of [3, 50]) {
    const input = [bytes.subarray(0, cut), bytes.subarray(cut)]
    const told = await runWith({ input }, 'put', 'level', '-')
    t.match(told, { code: 0, stdout: /^4 cells/ }, 'nobody has to say that it is .npy')
  }
  const asCsv = await runWith({ input: [bytes] }, 'put', 'level', '-', '--format', 'csv')
  t.match(asCsv, { code: 65, stderr: /: it is \.npy, and was said to be CSV; nothing of it/ })
  t.match(await runWith({ input: [] }, 'put', 'level', '-'), { code: 65, stderr: /it is empty/ })
  t.equal((await runWith({}, 'png', 'level', '-')).bytes.toString('latin1', 1, 4), 'PNG')
  for (const argv of [
    ['png', 'level', '-'],
    ['get', 'level', '-', '--format', 'npy'],
  ]) {
    const refused = {
      code: 2,
      stdout: '',
      stderr: /^error: what a terminal would be given is bytes/,
    }
    t.match(await runWith({ isTTY: true }, ...argv), refused)
  }
  t.match(await runWith({}, 'get', 'level', '-', '--format', 'tif'), {
    code: 2,
    stderr: /--format: "tif" is none of npy, csv/,
  })
})

t.test('of what is sent on with | no more is asked for than is read', async (t) => {
  const { base, recorded } = await bench(t)
  recorded.looks = new LooksInMemory({ width: 1024, height: 512, tile: 16 }, [
    { name: 'value', type: 'f64' },
  ])
  let bytes = 0
  let heldMost = 0
  const stdout = new Writable({
    highWaterMark: 16_384,
    write(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      heldMost = Math.max(heldMost, stdout.writableLength)
      setImmediate(done)
    },
  })
  const streams = { stdout, stderr: { write: () => {} }, stdin: Readable.from([]) }
  const environment = { OBELISK_HTTP: base }
  const argv = ['grid', 'get', 'value', '-', '--format', 'npy']
  t.equal(await runCommand(argv, { ...streams, environment }, '9.9.9'), 0)
  await new Promise((resolve) => stdout.end(resolve))
  t.equal(bytes, 128 + 1024 * 512 * 8)
  t.ok(heldMost < 1_000_000, `${heldMost} bytes at most were held`)
})

t.test('a picture is drawn', async (t) => {
  const { run, at } = await bench(t)
  const drawn = await run('png', 'value', at('map.png'), '--size', '20', '--colours', 'magma')
  t.match(drawn, { code: 0, stdout: /map\.png: 20 × 12, \d+ bytes\n$/ })
  t.equal(readFileSync(at('map.png')).toString('latin1', 1, 4), 'PNG')
})

t.test('a file that was cut off is named as one that can be sent again', async (t) => {
  const { run, at, recorded } = await bench(t)
  writeFileSync(at('in.csv'), '1,2\n')
  recorded.putRefusal = { code: 'no-node', message: 'no node is alive' }
  t.match(await run('put', 'value', at('in.csv'), '--resume', 'again'), {
    code: 1,
    stderr: /^to send it again: --resume again\nerror: no-node: no node is alive/,
  })
})

t.test('what is cut off in a pipe is sent again by an option', async (t) => {
  const { runWith, recorded } = await bench(t)
  recorded.looks = new LooksInMemory({ width: 1024, height: 128, tile: 16 }, [
    { name: 'level', type: 'u8' },
  ])
  const input = [npyHead('u8', 128, 1024), new Uint8Array(100_000)].map((part) => Buffer.from(part))
  t.match(await runWith({ input }, 'put', 'level', '-', '--resume', 'piped'), {
    code: 65,
    stderr:
      /^to send it again: --resume piped\nerror: .*; 64 rows are, or will be, written by .* to piped-0\n$/,
  })
  const { submitWish } = recorded.port
  const refusal = { code: 'task-id-conflict', message: 'another' } as const
  recorded.port.submitWish = async (wish, client) => {
    const isSecond = (wish as { id: string }).id === 'piped-1'
    return isSecond ? { ok: false, refusal } : await submitWish(wish, client)
  }
  const other = [npyHead('u8', 128, 1024), new Uint8Array(131_072)].map((part) => Buffer.from(part))
  const conflict = await runWith({ input: other }, 'put', 'level', '-', '--resume', 'piped')
  t.match(conflict, { code: 1, stderr: /^error: task-id-conflict: another; 64 rows [^\n]*\n$/ })
})

t.test('of tasks that failed, commands are named that say why, and no paths', async (t) => {
  const { run, at, recorded } = await bench(t)
  recorded.port.task = (id: string) => taskView(id, 'failed')
  writeFileSync(at('in.csv'), '1,2\n')
  t.match(await run('put', 'value', at('in.csv'), '--resume', 'bad'), {
    code: 1,
    stderr:
      'error: upload-failed: 1 of 1 task of it failed: obelisk task state bad-0 and so on say why; send it again without --resume\n',
  })
})

t.test('what is cut off while it is typed is named as a person knows it', async (t) => {
  const { runWith } = await bench(t)
  const input = (async function* () {
    yield '1,2\n3,4\n'
    process.emit('SIGINT')
    await new Promise(() => {})
  })()
  t.match(await runWith({ input }, 'put', 'level', '-', '--resume', 'typed'), {
    code: 130,
    stdout: '',
    stderr:
      'to send it again: --resume typed\nerror: a part of the standard input may be written\n',
  })
})

t.test('what cannot be done is said, and no file is left', async (t) => {
  const { run, at } = await bench(t)
  writeFileSync(at('in.csv'), 'a,b\n')
  t.match(await run('put', 'value', at('in.csv')), {
    code: 65,
    stderr:
      /^error: file-unsuitable: line 1, column 1: "a" is no number.*nothing of it is written\n$/,
  })
  t.match(await run('put', 'value', at('map.tif')), {
    code: 2,
    stderr: /end in \.npy or \.csv, .*TIFF is not read here, save it as \.npy/,
  })
  t.match(await run('put', 'value', at('none.npy')), {
    code: 66,
    stderr: /none\.npy is not there/,
  })
  t.match(await run('get', 'value', at('no/x.csv')), {
    code: 66,
    stderr: /no\/x\.csv has no directory to be in: make it first\n$/,
  })
  t.match(await run('get', 'other', at('x.csv')), { stderr: /no field "other"/ })
  t.match(await run('get', 'value', at('x.csv'), '--region', '1,2'), { code: 2 })
  t.match(await run('png', 'value', at('x.png'), '--colours', 'jet'), { code: 2 })
  t.match(await run('png', 'value', at('x.png'), '--size', '0'), { code: 2 })
  t.match(await run('put', 'value', at('in.csv'), '--resume', 'a b'), { code: 2 })
  t.notOk(existsSync(at('x.csv')) || existsSync(at('x.png')))
})
