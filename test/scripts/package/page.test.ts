import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { bundlePage, CODES_FILE } from '../../../scripts/package/page.ts'
import { thirdPartyOf } from '../../../scripts/package/third-party.ts'

const ALL_MAX = 70 * 1024

t.test('the page is the same bytes each time, and each file has itself compressed', async (t) => {
  const [first, second] = [await bundlePage(), await bundlePage()]
  t.same(
    first.files.map(({ path }) => path),
    second.files.map(({ path }) => path),
  )
  const byPath = new Map(first.files.map(({ path, bytes }) => [path, Buffer.from(bytes)]))
  for (const { path, bytes } of second.files) t.ok(byPath.get(path)?.equals(bytes), path)
  const plain = [...byPath.keys()].filter((path) => !path.endsWith('.gz'))
  for (const path of plain) {
    t.ok(gunzipSync(byPath.get(`${path}.gz`)!).equals(byPath.get(path)!), path)
  }
  const sizes = [...byPath].map(([path, { length }]) => (path.endsWith('.gz') ? length : 0))
  const all = sizes.reduce((a, b) => a + b, 0)
  t.ok(all <= ALL_MAX, `${all} bytes, compressed`)
})

t.test('what the manual says of codes comes with it, and not in its code', async (t) => {
  const { files } = await bundlePage()
  const textOf = (wanted: string): string =>
    Buffer.from(files.find(({ path }) => path === wanted)!.bytes).toString()
  const [[, [meaning]]] = Object.entries(JSON.parse(textOf(CODES_FILE))) as [[string, [string]]]
  t.ok(meaning.length > 10)
  const scripts = files.filter(({ path }) => path.endsWith('.js'))
  t.ok(scripts.length > 2)
  for (const { path } of scripts) t.notOk(textOf(path).includes(meaning), path)
})

t.test('what programs are written with is one file, which nothing loads at once', async (t) => {
  const { files } = await bundlePage()
  const named = /^page\/programs-[A-Z0-9]+\.js$/
  const [chunk, ...more] = files.map(({ path }) => path).filter((path) => named.test(path))
  t.ok(chunk)
  t.same(more, [])
  const name = chunk!.slice('page/'.length)
  const naming = files
    .filter(({ path, bytes }) => !path.endsWith('.gz') && Buffer.from(bytes).includes(name))
    .map(({ path, bytes }) => {
      const text = Buffer.from(bytes).toString()
      return [path.replace(/-.*/, ''), text.includes(`import("./${name}")`)]
    })
  t.same(naming.sort(), [
    ['page/chunk', true],
    ['page/others', true],
  ])
})

t.test('it names nothing that is not there, and nothing elsewhere', async (t) => {
  const { files } = await bundlePage()
  const paths = files.map(({ path }) => path)
  const index = Buffer.from(files.find(({ path }) => path === 'index.html')!.bytes).toString()
  const named = [...index.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, path]) => path!)
  t.ok(named.length > 3)
  for (const path of named) t.ok(paths.includes(path), path)
  t.notMatch(index, /<style|style=|<script>|https?:/)
})

t.test('the licences of what is inside come with it', async (t) => {
  const { packages } = await bundlePage()
  t.same(packages, [
    'node_modules/@preact/signals',
    'node_modules/@preact/signals-core',
    'node_modules/preact',
  ])
  t.match(thirdPartyOf(packages).text, /preact \S+ \(MIT\)[\s\S]*Jason Miller/)
})
