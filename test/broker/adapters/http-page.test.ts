import { mkdirSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import { readPage } from '../../../broker/adapters/http-page.ts'
import { serve } from '../../support/recorded-http-port.ts'

const FILES = {
  'index.html': '<!doctype html><title>a</title>',
  'icon.svg': '<svg/>',
  'page/main-A1.js': 'let a = 1\n'.repeat(9000),
  'page/page-B2.css': 'a{}',
  'codes.json': '{}',
}

function folder(t: Test): string {
  const directory = t.testdir({})
  mkdirSync(join(directory, 'page'))
  for (const [path, text] of Object.entries(FILES)) {
    writeFileSync(join(directory, path), text)
    writeFileSync(join(directory, `${path}.gz`), gzipSync(text))
  }
  writeFileSync(join(directory, 'secret.txt'), 'not of the page')
  return directory
}

const served = (t: Test, frameAncestors?: string) =>
  serve(t, { page: readPage(folder(t)), ...(frameAncestors && { frameAncestors }) })

/** The bytes as they came, which `fetch` would unpack. */
function raw(url: string, headers: Record<string, string> = {}) {
  return new Promise<{ status?: number; headers: Record<string, unknown>; bytes: Buffer }>(
    (resolve, reject) => {
      get(url, { headers }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => {
          const { statusCode: status, headers } = response
          resolve({ ...(status && { status }), headers, bytes: Buffer.concat(chunks) })
        })
      }).on('error', reject)
    },
  )
}

t.test('each file comes with its type, plain or compressed', async (t) => {
  const { base } = await served(t)
  for (const [path, type] of [
    ['', 'text/html; charset=utf-8'],
    ['icon.svg', 'image/svg+xml'],
    ['page/main-A1.js', 'text/javascript; charset=utf-8'],
    ['page/page-B2.css', 'text/css; charset=utf-8'],
    ['codes.json', 'application/json'],
  ] as const) {
    const text = FILES[(path || 'index.html') as keyof typeof FILES]
    const plain = await raw(`${base}/${path}`)
    t.match(plain, { status: 200, headers: { 'content-type': type, vary: 'accept-encoding' } })
    t.equal(plain.headers['content-encoding'], undefined)
    t.equal(plain.bytes.toString(), text)
    for (const taken of ['gzip', 'br;q=1, gzip;q=0.8', '*', 'gzip;q=0.001', 'deflate,GZIP;q=1.0']) {
      const packed = await raw(`${base}/${path}`, { 'accept-encoding': taken })
      t.match(packed.headers, { 'content-encoding': 'gzip' }, taken)
      t.equal(gunzipSync(packed.bytes).toString(), text)
      t.not(packed.headers.etag, plain.headers.etag, 'other bytes are another representation')
    }
    for (const not of ['br', 'gzip;q=0', 'gzip;q=0.000', 'xgzip', 'identity']) {
      const { headers } = await raw(`${base}/${path}`, { 'accept-encoding': not })
      t.equal(headers['content-encoding'], undefined, not)
    }
  }
})

t.test('the page itself is asked for each time, its parts once', async (t) => {
  const { base } = await served(t)
  for (const [path, keep] of [
    ['', 'no-cache'],
    ['icon.svg', 'no-cache'],
    ['page/main-A1.js', 'public, max-age=31536000, immutable'],
  ]) {
    const { headers } = await raw(`${base}/${path}`)
    t.equal(headers['cache-control'], keep)
    const etag = `${headers.etag}`
    t.match(etag, /^"[\w-]{22}"$/)
    for (const same of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const again = await raw(`${base}/${path}`, { 'if-none-match': same })
      t.match(again, { status: 304, headers: { etag, 'cache-control': keep } }, same)
      t.equal(again.bytes.length, 0)
    }
    t.equal((await raw(`${base}/${path}`, { 'if-none-match': '"x"' })).status, 200)
  }
})

t.test('its policy allows nothing from elsewhere', async (t) => {
  const POLICY =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
  const { base } = await served(t)
  for (const path of ['', 'icon.svg', 'page/main-A1.js']) {
    t.match((await raw(`${base}/${path}`)).headers, {
      'content-security-policy': POLICY,
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    })
  }
  const { base: framed } = await served(t, "'self' https://home.example")
  t.match((await raw(`${framed}/`)).headers, {
    'content-security-policy': / frame-ancestors 'self' https:\/\/home\.example; /,
  })
})

t.test('nothing but files of the page can be had', async (t) => {
  const { base } = await served(t)
  for (const path of [
    ...['page/none.js', 'page/', 'page/main-A1.js.gz', 'page/..%2fsecret.txt', 'secret.txt'],
    ...['page/..%2findex.html', 'index.html', 'page/__proto__', 'page/constructor'],
  ]) {
    t.equal((await fetch(`${base}/${path}`)).status, 404, path)
  }
})

t.test('a gateway without a page says how it gets one', async (t) => {
  t.equal(readPage(t.testdir({})), undefined)
  t.equal(readPage(join(t.testdir({}), 'none')), undefined)
  const { base } = await serve(t)
  for (const path of ['', 'page/a.js', 'icon.svg']) {
    const answer = await fetch(`${base}/${path}`)
    t.equal(answer.status, 404)
    t.match(await answer.json(), { code: 'not-found', detail: /npm run build/ })
  }
})

t.test('a header of many digits takes no time', async (t) => {
  const { base } = await served(t)
  await raw(base)
  const before = process.cpuUsage()
  const taken = await raw(base, { 'accept-encoding': `gzip;q=0.${'1'.repeat(15_000)}x` })
  const { user } = process.cpuUsage(before)
  t.equal(taken.headers['content-encoding'], undefined)
  t.ok(user < 200_000, `${user} µs of the processor`)
})
