/** The codex over a real HTTP door, in front of a real coordinator. */
import t, { type Test } from 'tap'
import { serve } from '../../support/recorded-http-port.ts'

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
}

async function door(t: Test) {
  const { base } = await serve(t)
  return async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const response = await fetch(`${base}${path}`, {
      method,
      ...(body === undefined
        ? {}
        : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
}

t.test('a program is defined, patched and shown', async (t) => {
  const ask = await door(t)
  t.match(await ask('GET', '/api/codex'), {
    ...{ status: 200, body: { programs: [], contexts: [], integrity: 1 } },
  })
  const first = await ask('PUT', '/api/codex/heat', { source: 'value = value + $a', glyph: '♨' })
  t.match(first, {
    status: 201,
    body: { name: 'heat', number: 64, version: 1, current: 1, hash: /^[0-9a-f]{64}$/ },
  })
  const second = { source: 'value = value + 2', parent: 1 }
  t.match(await ask('PUT', '/api/codex/heat', second), {
    ...{ status: 201, body: { version: 2, current: 1 } },
  })
  t.match(await ask('PUT', '/api/codex/heat', second), { status: 200, body: { version: 2 } })
  const current = '/api/codex/heat/current'
  t.match(await ask('POST', current, { version: 2, if_version: 2 }), {
    ...{ status: 409, body: { code: 'version-conflict' } },
  })
  t.match(await ask('POST', current, { version: 2, if_version: 1 }), {
    ...{ status: 200, body: { name: 'heat', version: 2, context: 'main', changed: true } },
  })
  t.match(await ask('POST', current, { version: 1, context: 'winter' }), { status: 200 })
  t.match(await ask('GET', '/api/codex'), {
    body: {
      programs: [
        {
          ...{ name: 'heat', glyph: '♨', version: 2, latest: 2, kind: 'write', parameters: [] },
          ...{ cost: 8, by: null, ts: Number },
        },
      ],
      contexts: [
        { name: 'main', version: 2, programs: { heat: 2 } },
        { name: 'winter', version: 1, programs: { heat: 1 } },
      ],
      integrity: 1,
    },
  })
  t.match(await ask('GET', '/api/codex/heat'), {
    body: {
      glyph: '♨',
      versions: [
        { version: 2, parent: 1, verified: true, current_in: ['main'], chain: /^[0-9a-f]{64}$/ },
        { version: 1, parent: null, parameters: ['a'], current_in: ['winter'] },
      ],
    },
  })
  const shown = await ask('GET', '/api/codex/heat/1')
  t.match(shown, {
    status: 200,
    body: { source: 'value = value + $a', explained: { kind: 'write', cost: 8, reach: 0 } },
  })
  t.equal(shown.body.hash, first.body.hash)
})

t.test('what there is not is 404, what does not fit names each problem', async (t) => {
  const ask = await door(t)
  await ask('PUT', '/api/codex/heat', { source: 'value = 1' })
  const code = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const answer = await ask(method, path, body)
    return [answer.status, answer.body.code]
  }
  t.same(await code('GET', '/api/codex/cool'), [404, 'unknown-program'])
  for (const version of ['2', '0', 'x', '01']) {
    t.same(await code('GET', `/api/codex/heat/${version}`), [404, 'unknown-version'], version)
  }
  t.same(await code('GET', '/api/codex/cool/1'), [404, 'unknown-program'])
  t.same(await code('GET', '/api/contexts/winter'), [404, 'unknown-context'])
  t.same(await code('POST', '/api/codex/cool/current', { version: 1 }), [404, 'unknown-program'])
  t.same(await code('POST', '/api/codex/heat/current', { version: 7 }), [404, 'unknown-version'])
  t.same(await code('POST', '/api/codex/heat/current', { version: 1.5 }), [400, 'malformed'])
  t.same(await code('PUT', '/api/codex/let', { source: 'value = 1' }), [422, 'not-allowed'])
  t.same(await code('PUT', '/api/codex/heat', {}), [400, 'malformed'])
  t.same(await code('PUT', '/api/codex/heat', { source: '' }), [422, 'osl-empty'])
  const large = { source: `value = 1 #${'x'.repeat(20_000)}` }
  t.same(await code('PUT', '/api/codex/heat', large), [422, 'osl-too-large'])
  const wrong = await ask('PUT', '/api/codex/heat', { source: 'valeu = 1\nvalue = "' })
  t.match(wrong.body.errors, [
    { path: 'source', code: 'osl-unknown-name', line: 1, column: 1, hint: /"value"/ },
    { code: 'osl-character', line: 2 },
  ])
})

t.test('a check keeps nothing', async (t) => {
  const ask = await door(t)
  t.match(await ask('POST', '/api/codex/check', { source: 'return n = count(value > $a)' }), {
    ...{ status: 200, body: { kind: 'read', parameters: ['a'], reach: 0 } },
  })
  t.match(await ask('POST', '/api/codex/check', { source: 'value = ' }), {
    ...{ status: 422, body: { code: 'osl-syntax', errors: [{ path: 'source', line: 1 }] } },
  })
  t.match(await ask('GET', '/api/codex'), { body: { programs: [] } })
})

t.test('a context is set as a whole', async (t) => {
  const ask = await door(t)
  for (const name of ['heat', 'cool']) {
    for (const value of [1, 2])
      await ask('PUT', `/api/codex/${name}`, { source: `value = ${value}` })
  }
  const put = (body: unknown, name = 'winter'): Promise<Answer> =>
    ask('PUT', `/api/contexts/${name}`, body)
  t.match(await put({ programs: { heat: 2, cool: 2 }, if_version: 0 }), {
    ...{ status: 200, body: { name: 'winter', version: 1, programs: { heat: 2, cool: 2 } } },
  })
  t.match(await put({ programs: {}, if_version: 0 }), { status: 409 })
  t.match(await put({ programs: { heat: 3 } }), { status: 404, body: { code: 'unknown-version' } })
  t.match(await put({ programs: { heat: 2 } }, 'main'), { status: 422, body: { code: 'missing' } })
  t.match(await put({ programs: { heat: 2, cool: 1 } }, 'main'), { status: 200 })
  t.match(await put({ programs: { heat: 2 } }, 'W'), { status: 422, body: { code: 'not-allowed' } })
  t.match(await put({ programs: {} }), { status: 200, body: { version: 0, programs: {} } })
  t.match(await ask('GET', '/api/contexts/winter'), { status: 404 })
})

t.test('what compiles and is too large is refused before it can be found in the way', async (t) => {
  const ask = await door(t)
  const more = (last: number): string => `value = atan2(atan2(value, ${last}), value)`
  const source = Array.from({ length: 40 }, (_, index) => more(index)).join('\n')
  const refused = { errors: [{ code: 'osl-too-large', path: 'source', line: 1, column: 1 }] }
  t.match(await ask('POST', '/api/codex/check', { source }), { status: 422, body: refused })
  t.match(await ask('PUT', '/api/codex/heat', { source }), { status: 422, body: refused })
  const neighbours = { source: 'return most = max(value[1, 0])' }
  t.match(await ask('PUT', '/api/codex/heat', neighbours), {
    ...{ status: 422, body: { errors: [{ code: 'osl-radius' }] } },
  })
  t.match(await ask('GET', '/api/codex'), { status: 200, body: { programs: [] } })
})

t.test('a version shadows the current one, until it is ended', async (t) => {
  const ask = await door(t)
  for (const source of ['value = value + 1', 'value = 1 + value']) {
    await ask('PUT', '/api/codex/heat', { source })
  }
  const path = '/api/codex/heat/ghost'
  t.match(await ask('DELETE', path), { status: 404, body: { code: 'unknown-ghost' } })
  for (const wrong of [{ sample: 0 }, { sample: 2 }, { runs: 0 }, { tolerance: -1 }]) {
    t.match(await ask('POST', path, { version: 2, ...wrong }), { status: 400 })
  }
  t.match(await ask('POST', path, { version: 2, promote: 'now' }), { status: 400 })
  t.match(await ask('POST', path, { version: 1 }), {
    ...{ status: 422, body: { errors: [{ path: 'version', code: 'not-allowed' }] } },
  })
  t.match(await ask('POST', path, { version: 3 }), {
    status: 404,
    body: { code: 'unknown-version' },
  })
  t.match(await ask('POST', '/api/codex/cold/ghost', { version: 1 }), { status: 404 })
  const ghost = {
    ...{ version: 2, beside: 1, state: 'running', sample: 1, runs: 100, tolerance: 0 },
    ...{ promote: 'manual', equal: 0, missed: 0 },
  }
  t.match(await ask('POST', path, { version: 2 }), {
    status: 201,
    body: { name: 'heat', ...ghost },
  })
  t.match(await ask('POST', path, { version: 2 }), {
    ...{ status: 409, body: { code: 'version-conflict' } },
  })
  t.match(await ask('GET', '/api/codex/heat'), { body: { ghost } })
  t.match(await ask('GET', '/api/codex'), { body: { programs: [{ ghost }] } })
  t.match(await ask('DELETE', path), { status: 200, body: { name: 'heat', state: 'ended' } })
  t.match(await ask('GET', '/api/codex/heat'), { body: { ghost: { state: 'ended' } } })
})
