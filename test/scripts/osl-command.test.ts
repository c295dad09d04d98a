/** `obelisk osl` as who types it sees it: without a gateway, and with one of recorded answers. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { runCommand } from '../../scripts/commands/program.ts'
import { GLYPHS } from '../../shared/osl/codex.ts'
import { tokenize } from '../../shared/osl/lexer.ts'
import type { OslProblem } from '../../shared/osl/osl-problems.ts'
import { serve } from '../support/recorded-http-port.ts'

interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function osl(input: string, argv: readonly string[], http = ''): Promise<Said> {
  const said = { out: '', err: '' }
  const stdout = { write: (text: string | Uint8Array) => (said.out += text.toString()) }
  const stderr = { write: (text: string | Uint8Array) => (said.err += text.toString()) }
  const stdin = Readable.from(input === '' ? [] : [Buffer.from(input)])
  const environment = { OBELISK_HTTP: http }
  const code = await runCommand(['osl', ...argv], { stdout, stderr, stdin, environment }, '0')
  return { code, ...said }
}

const FIELDS = ['--fields', 'temp:f32,hum:f64,zone:u8']

function folderOf(t: Test): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'obelisk-osl-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  return (name) => join(folder, name)
}

t.test('a sound program is said in a line, or as JSON', async (t) => {
  const source = 'temp = temp * 9 / 5 + $offset where status == scaled'
  t.strictSame(await osl(source, ['check', '-', ...FIELDS]), {
    code: 0,
    out: 'a write: 11 microglyphs, 120 bytes, 22 units a cell, takes $offset\n',
    err: '',
  })
  const { out } = await osl(source, ['check', '-', ...FIELDS, '--json'])
  t.match(JSON.parse(out), {
    ...{ kind: 'write', microglyphs: 11, bytes: 120, cost: 22, reach: 0, parameters: ['offset'] },
    hash: /^[0-9a-f]{64}$/,
  })
})

t.test('what is wrong is drawn on standard error, or is the JSON', async (t) => {
  const source = 'temp = tempp + 1\nzone = 3\nhum = hum > 3\n'
  t.strictSame(await osl(source, ['check', '-', ...FIELDS]), {
    code: 1,
    out: '',
    err: `1:8: nothing is called "tempp"
  temp = tempp + 1
         ^^^^^
  did you mean "temp"?
3:7: a number must stand here, not a condition
  hum = hum > 3
        ^^^^^^^
  write "if … then 1 else 0"
`,
  })
  const { code, out, err } = await osl(source, ['explain', '-', ...FIELDS, '--json'])
  t.strictSame([code, err], [1, ''])
  t.match(JSON.parse(out).problems, [
    { code: 'osl-unknown-name', line: 1, column: 8, length: 5, hint: 'did you mean "temp"?' },
    { code: 'osl-type', line: 3, column: 7, length: 7 },
  ])
  const control = await osl('temp = \u001b[31m', ['check', '-', ...FIELDS])
  t.notMatch(control.err, '\u001b', 'nothing steers the terminal')
  const near = 'return m = mean(temp[1, 0])'
  t.match(await osl(near, ['check', '-', ...FIELDS]), { code: 1, err: /^1:1: only a program that/ })
  const dear = `temp = ${Array.from({ length: 160 }, (_, n) => `temp % ${n}`).join(' + ')}`
  t.match(await osl(dear, ['check', '-', ...FIELDS]), { code: 1, err: /cost/ })
})

t.test('a program is shown as what runs', async (t) => {
  const source = 'where temp > $limit\nreturn hot = count(hum > 1); return m = mean(hum)\n'
  const said = await osl(source, ['explain', '-', ...FIELDS])
  t.strictSame([said.code, said.err], [0, ''])
  t.match(said.out, /^0 {5}0 {2}▪ const {5}r0 ← \$limit$/m)
  t.match(said.out, /^3 {5}4 {2}< lt {8}t0 ← r0 r2$/m)
  t.match(said.out, /^6 {5}2 {2}№ count {5}t1 t0 → hot \(count\)$/m)
  t.match(said.out, /^kind {8}read$/m)
  t.match(said.out, /^reach {7}the cell itself$/m)
  t.match(said.out, /^parameters {2}\$limit$/m)
  const { microglyphs, cost, hash } = JSON.parse(
    (await osl(source, ['explain', '-', ...FIELDS, '--json'])).out,
  )
  t.match(said.out, new RegExp(`^cost {8}${cost} units a cell$`, 'm'))
  t.match(said.out, hash)
  const costs = microglyphs.map(({ cost }: { cost: number }) => cost)
  t.equal(
    costs.reduce((sum: number, one: number) => sum + one),
    cost,
  )
})

t.test('a program runs here, on zeros or on what files hold', async (t) => {
  const at = folderOf(t)
  const zeros = ['--grid', '3x2', ...FIELDS]
  t.strictSame(await osl('temp = x + 10 * y', ['run', '-', '--local', ...zeros]), {
    code: 0,
    out: '0,1,2\r\n10,11,12\r\n',
    err: '',
  })
  writeFileSync(at('rain.csv'), '1,2.5,3\r\n-4,5,6\r\n')
  const csv = ['--csv', `rain=${at('rain.csv')}`]
  const source =
    'return wet = count(rain > $limit)\nreturn least = argmin(rain)\nshow r = sqrt(rain)'
  const read = await osl(source, ['run', '-', '--local', ...csv, '--with', 'limit=2'])
  t.strictSame(JSON.parse(read.out), {
    wet: 4,
    least: { x: 0, y: 1, value: -4 },
    r: [1, Math.sqrt(2.5), Math.sqrt(3), null, Math.sqrt(5), Math.sqrt(6)],
  })
  t.match(read.out, /^ {2}"r": \[1, 1\.58\S+, 1\.73\S+, null, /m, 'lists stay on a line')
  const part = ['--region', '1,0,2,1', '--json', '--fields', 'rain:f64,level:u8']
  const write = 'rain = -rain; level = rain + 7; status = scaled'
  const { out } = await osl(write, ['run', '-', '--local', ...csv, ...part])
  t.strictSame(JSON.parse(out), {
    fields: {
      rain: [1, -2.5, -3, -4, 5, 6],
      level: [0, 5, 4, 0, 0, 0],
      status: [0, 1, 1, 0, 0, 0],
    },
  })
  const near = await osl('rain = coalesce(rain[1,0], 0)', ['run', '-', '--local', ...csv])
  t.equal(near.out, '2.5,3,0\r\n5,6,0\r\n')
  const twice = ['run', '-', '--local', ...csv, '--steps', '2']
  t.equal((await osl('rain = coalesce(rain[1,0], 0)', twice)).out, '3,0,0\r\n6,0,0\r\n')
  t.match(await osl('rain = 1', twice), { code: 1, err: /only .* neighbours has steps/ })
  const both = await osl('rain = 1; level = 2', ['run', '-', '--local', ...csv, ...part.slice(3)])
  t.equal(both.out, '# rain\r\n1,1,1\r\n1,1,1\r\n# level\r\n2,2,2\r\n2,2,2\r\n')
})

t.test('a run here is refused as the gateway refuses it', async (t) => {
  const here = ['run', '-', '--local', '--grid', '3x2', ...FIELDS]
  t.match(await osl('temp = tmp', here), { code: 1, err: /^1:8: nothing is called "tmp"\n/ })
  const far = await osl('temp = temp[1, 0]', [...here, '--steps', '9'])
  t.match(far, { code: 1, err: /^--steps must be a whole number|^--steps is 9, expected/ })
  t.strictSame(await osl('temp = $a + $b', [...here, '--with', 'b=1', 'c=2']), {
    code: 1,
    out: '',
    err: '$a has no number: --with a=…\nthe program has no $c\n',
  })
})

t.test('flags that mean nothing are refused before anything is done', async (t) => {
  const at = folderOf(t)
  writeFileSync(at('ragged.csv'), '1,2\n3\n')
  writeFileSync(at('fraction.csv'), '1,2\n3,4.5\n')
  writeFileSync(at('empty.csv'), '\n')
  const local = ['run', '-', '--local', ...FIELDS]
  for (const [argv, err] of [
    [['check', '-', '--fields', 'Temp'], /^error: --fields: "Temp" is not name:type/],
    [['check', '-', '--grid', '3x3'], /^error: --grid: say which fields it has, with --fields\n/],
    [['check', at('none'), ...FIELDS], /none is not there\n$/],
    [['run', '-', '--csv', 'a=b'], /^error: --csv: that is the gateway's, unless with --local\n/],
    [['run', '-', '--local'], /^error: --local: name the fields/],
    [local, /^error: --local: say how large the grid is, with --grid\n/],
    [[...local, '--grid', '0x3'], /^error: --grid: "0x3" is not WIDTHxHEIGHT/],
    [
      [...local, '--grid', '9x9', '--region', '5,5,5,5'],
      /^error: --region: 5,5,5,5 is not in a grid of 9x9/,
    ],
    [
      [...local, '--grid', '9x9', '--region', 'all'],
      /^error: --region: "all" is not x,y,w,h.* 9x9\n/,
    ],
    [[...local, '--grid', '9x9', '--with', 'a'], /^error: --with: "a" is not name=number/],
    [[...local, '--grid', '9x9', '--with', 'a=1', 'a=2'], /^error: --with: a stands there twice/],
    [[...local, '--csv', 'temp'], /^error: --csv: "temp" is not field=file/],
    [[...local, '--csv', `rain=${at('fraction.csv')}`], /^error: --csv: there is no field "rain"/],
    [[...local, '--csv', `temp=${at('ragged.csv')}`], /ragged\.csv: line 2 has 1 number/],
    [
      [...local, '--csv', `temp=${at('empty.csv')}`],
      /empty\.csv: line 1, column 1: "" is no number/,
    ],
    [
      [...local, '--csv', `zone=${at('fraction.csv')}`],
      /line 2, column 2: zone is u8, which takes no 4\.5/,
    ],
    [
      [...local, '--grid', '9x9', '--csv', `temp=${at('fraction.csv')}`],
      /has 2 × 2 cells, and the grid 9 × 9/,
    ],
    [[...local, '--grid', '9x9', '--steps', 'x'], /^error: --steps: "x" is not a whole number/],
    [['glyphs', '--format', '-', '--ascii', '-'], /^error: one of --format and --ascii\n/],
  ] as const) {
    const said = await osl('temp = 1', argv)
    t.match(said.err, err, argv.join(' '))
    t.not(said.code, 0)
    t.equal(said.out, '')
  }
})

t.test('glyphs are listed, and a program is spelled with them or without', async (t) => {
  const { out } = await osl('', ['glyphs'])
  t.match(out, /^13 {2}√ {6}sqrt {7}sqrt\(v\) .* 8 {2}the root/m)
  const rows = JSON.parse((await osl('', ['glyphs', '--json'])).out)
  t.strictSame(
    rows.slice(0, GLYPHS.length).map(({ name }: { name: string }) => name),
    GLYPHS.map(({ name }) => name),
  )
  for (const { typed, sign } of rows.slice(0, GLYPHS.length)) {
    const problems: OslProblem[] = []
    tokenize(typed, problems)
    t.strictSame([problems, typed === ''], [[], false], sign)
  }
  const typed = '# as typed\ntemp = sqrt(temp) * 2  # end\n'
  const drawn = '# as typed\ntemp ← √(temp) × 2  # end\n'
  t.strictSame(await osl(typed, ['glyphs', '--format', '-']), { code: 0, out: drawn, err: '' })
  t.strictSame(await osl(drawn, ['glyphs', '--ascii', '-']), { code: 0, out: typed, err: '' })
  t.match(await osl('temp = €', ['glyphs', '--format', '-']), {
    code: 1,
    out: '',
    err: /^1:8: "€"/,
  })
})

t.test('a gateway is asked for its fields, and runs the task', async (t) => {
  const { recorded, base } = await serve(t)
  t.match(await osl('value = value + 1', ['check', '-'], base), { code: 0, out: /^a write: / })
  t.match(await osl('temp = 1', ['check', '-'], base), { code: 1, err: /no field "temp"/ })
  const source = 'value = value + $step'
  const argv = ['run', '-', '--with', 'step=0.5', '--region', '0,0,4,4', '--id', 'mine']
  t.match(await osl(source, argv, base), { code: 0, out: 'open running\n', err: '' })
  const [, payload] = recorded.calls.find(([name]) => name === 'submit') as [string, Buffer]
  t.strictSame(JSON.parse(payload.toString()), {
    ...{ id: 'mine', op: 'program', region: { x: 0, y: 0, w: 4, h: 4 } },
    args: { source, with: { step: 0.5 } },
  })
  recorded.answer = {
    ok: false,
    refusal: {
      code: 'invalid',
      message: 'nothing is called "vale"',
      errors: [
        {
          ...{ path: 'args.source', code: 'osl-unknown-name', message: 'nothing is called "vale"' },
          ...{ line: 1, column: 9, length: 4, hint: 'did you mean "value"?' },
        },
      ],
    },
  } as never
  t.match(await osl('value = vale', ['run', '-'], base), {
    code: 1,
    out: '',
    err: '1:9: nothing is called "vale"\n  value = vale\n          ^^^^\n  did you mean "value"?\n',
  })
})
