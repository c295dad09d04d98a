/** `obelisk osl define | use | ghost | log | ls`, with a real codex behind a real HTTP door. */
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { runCommand } from '../../scripts/commands/program.ts'
import { serve } from '../support/recorded-http-port.ts'

interface Said {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function place(t: Test) {
  const { base } = await serve(t)
  return async (argv: readonly string[], input = ''): Promise<Said> => {
    const said = { out: '', err: '' }
    const stdout = { write: (text: string | Uint8Array) => (said.out += text.toString()) }
    const stderr = { write: (text: string | Uint8Array) => (said.err += text.toString()) }
    const stdin = Readable.from(input === '' ? [] : [Buffer.from(input)])
    const environment = { OBELISK_HTTP: base }
    const code = await runCommand(['osl', ...argv], { stdout, stderr, stdin, environment }, '0')
    return { code, ...said }
  }
}

t.test('a program gets a name, another version, and goes back', async (t) => {
  const osl = await place(t)
  t.strictSame(await osl(['ls']), { code: 0, out: '0 programs\n', err: '' })
  const define = (source: string, ...more: string[]): Promise<Said> =>
    osl(['define', 'heat', '-', ...more], source)
  t.strictSame(await define('value = value + $step', '--glyph', '♨'), {
    ...{ code: 0, out: 'heat@1 is there, and is current\n', err: '' },
  })
  t.strictSame(await define('value = value + 2', '--parent', '1'), {
    code: 0,
    out: 'heat@2 is there, and version 1 is current: obelisk osl use heat 2\n',
    err: '',
  })
  t.match(await osl(['use', 'heat', '2', '--if-version', '1']), {
    ...{ code: 0, out: 'heat@2 is current in main\n' },
  })
  t.match(await osl(['use', 'heat', '1', '--context', 'winter']), {
    ...{ code: 0, out: 'heat@1 is current in winter\n' },
  })
  t.match(await osl(['use', 'heat', '1', '--if-version', '1']), {
    code: 1,
    err: /version 2 of heat/,
  })
  const { out } = await osl(['ls'])
  t.match(out, /^NAME +GLYPH +CURRENT +NEWEST +KIND +TAKES\nheat +♨ +2 +2 +write/)
  t.match(out, /context winter: heat@1\n$/)
  const lines = (await osl(['log', 'heat'])).out.split('\n')
  t.match(lines[1], /^ *2 +1 .* write +[0-9a-f]{12} +main +yes/)
  t.match(lines[2], /^ *1 .* write +[0-9a-f]{12} +winter +yes/)
  t.match(JSON.parse((await osl(['log', 'heat', '--json'])).out), {
    ...{ name: 'heat', versions: [{ version: 2 }, { version: 1 }] },
  })
})

t.test('what is wrong is drawn where it stands, or said', async (t) => {
  const osl = await place(t)
  const wrong = await osl(['define', 'heat', '-'], 'valeu = 1\n')
  t.strictSame(wrong, {
    code: 1,
    out: '',
    err: '1:1: the grid has no field "valeu"\n  valeu = 1\n  ^^^^^\n  did you mean "value"?\n',
  })
  t.match(await osl(['define', 'let', '-'], 'value = 1'), { code: 1, err: /"let" has a meaning/ })
  t.match(await osl(['use', 'heat', 'two']), { code: 2, err: /not the number of a version/ })
  t.match(await osl(['log', 'heat']), { code: 1, err: /no program "heat"/ })
})

t.test('a version of the codex is explained by its name', async (t) => {
  const osl = await place(t)
  await osl(['define', 'heat', '-'], 'value = value + $step')
  await osl(['define', 'heat', '-'], 'return most = max(value)')
  const current = await osl(['explain', 'heat'])
  t.match(current, { code: 0, err: '' })
  t.match(current.out, /COST +MICROGLYPH\n.*program +heat@1\nkind +write\n/s)
  t.match(current.out, /parameters +\$step\n/)
  t.match((await osl(['explain', 'heat@2'])).out, /program +heat@2\nkind +read\n/)
  t.match(JSON.parse((await osl(['explain', 'heat@2', '--json'])).out), {
    ...{ name: 'heat', version: 2, source: 'return most = max(value)', kind: 'read' },
    ...{ parameters: [], reach: 0, microglyphs: [{ cost: 2 }, { cost: 6 }] },
  })
  t.match(await osl(['explain', 'heat@3']), { code: 1, err: /no version "3" of heat/ })
  t.match(await osl(['explain', 'hot']), { code: 66, err: /neither a file nor a program/ })
  t.match(await osl(['explain', 'hot.osl']), { code: 66, err: /hot\.osl is not there/ })
})

t.test('every command prints JSON, and what is wrong with a program as JSON', async (t) => {
  const osl = await place(t)
  for (const argv of [
    ['define', 'heat', '-'],
    ['use', 'heat', '1'],
    ['explain', 'heat'],
    ...[['log', 'heat'], ['ls'], ['rules'], ['glyphs']],
    ...[
      ['check', '-'],
      ['explain', '-'],
    ],
  ]) {
    const { code, out, err } = await osl([...argv, '--json'], 'value = value + 1')
    t.strictSame([code, err], [0, ''], argv.join(' '))
    t.type(JSON.parse(out), 'object', argv.join(' '))
  }
  const named = await osl(['define', 'let', '-', '--json'], 'value = 1')
  t.match(JSON.parse(named.out), { problems: [{ message: /has a meaning already/ }] })
  t.match(named, { code: 1, err: '' })
})

t.test('a program over items has columns', async (t) => {
  const osl = await place(t)
  const columns = ['--columns', 'amount:f64,nonce:i32']
  t.match(await osl(['define', 'sums', '-', ...columns], 'return all = sum(amount)'), { code: 0 })
  t.match((await osl(['ls'])).out, /\nsums +1 +1 +items/)
  t.match((await osl(['log', 'sums'])).out, / items +/)
  t.match(JSON.parse((await osl(['explain', 'sums', '--json'])).out), { kind: 'read', cost: 8 })
})

t.test('a version shadows the current one, and shadows it no more', async (t) => {
  const osl = await place(t)
  for (const source of ['value = value + 1', 'value = 1 + value']) {
    await osl(['define', 'heat', '-'], source)
  }
  t.strictSame(await osl(['ghost', 'heat', '2', '--sample', '0.5', '--tolerance', '1e-9']), {
    ...{ code: 0, out: 'heat@2 shadows heat@1 until it was equal in 100 tasks\n', err: '' },
  })
  t.match((await osl(['ls'])).out, /KIND +TAKES +GHOST\nheat .* write +2 running/)
  t.match(
    (await osl(['log', 'heat'])).out,
    /\nghost: 2 beside 1, running: equal in 0 of 100 tasks\n$/,
  )
  t.match(await osl(['ghost', 'heat', '2']), { code: 1, err: /shadows heat already/ })
  t.match(await osl(['ghost', 'heat', '--end']), {
    ...{ code: 0, out: 'heat@2 shadows nothing any more\n' },
  })
  t.match(await osl(['ghost', 'heat', '--end']), { code: 1, err: /no version shadows heat/ })
  t.match(await osl(['ghost', 'heat']), { code: 2, err: /which version/ })
  t.match(await osl(['ghost', 'heat', '2', '--end']), { code: 2, err: /takes no version/ })
  t.match(await osl(['ghost', 'heat', '2', '--runs', 'many']), { code: 2, err: /not a number/ })
  t.match(await osl(['ghost', 'heat', '2', '--runs', '1', '--promote', 'auto']), {
    ...{
      code: 0,
      out: 'heat@2 shadows heat@1 until it was equal in 1 task, and becomes current then\n',
    },
  })
})
