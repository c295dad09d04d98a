/** docs/attempts.md has a row for each way in that was tried, and each is the number of a test. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import ts from 'typescript'
import { Markdown } from './support/markdown.ts'

const ROOT = new URL('../', import.meta.url)
const COUNT = 70
const ALL = Array.from({ length: COUNT }, (_, index) => index + 1)
/** `.test('attempts 7, 8 and 10: …` */
const TITLE = /\.test\(\s*['"`]attempts? (\d+(?:(?:, | and )\d+)*)[:,]/g

function numbersIn(text: string): number[] {
  return [...text.matchAll(TITLE)].flatMap(([, list]) => list!.split(/, | and /).map(Number))
}

t.test('each attempt has a row, in order', (t) => {
  const page = new Markdown(readFileSync(new URL('docs/attempts.md', ROOT), 'utf8'))
  t.same(
    page.rows().map(([number]) => Number(number)),
    ALL,
  )
  for (const row of page.rows()) t.ok(row.length === 3 && !row.includes(''), row.join())
  t.end()
})

t.test('each attempt is a test', (t) => {
  const own = new URL(import.meta.url).pathname
  const paths = ts.sys
    .readDirectory(new URL('test', ROOT).pathname, ['.test.ts'])
    .filter((path) => path !== own)
  const named = new Set(paths.flatMap((path) => numbersIn(readFileSync(path, 'utf8'))))
  t.same(
    ALL.filter((number) => !named.has(number)),
    [],
  )
  t.same(
    [...named].filter((number) => !ALL.includes(number)),
    [],
  )
  t.end()
})

t.test('titles are read', (t) => {
  t.same(numbersIn("t.test('attempts 7, 8 and 10: x', () => {})"), [7, 8, 10])
  t.same(numbersIn('t.test(\n  `attempt 64: x`, () => {})'), [64])
  t.same(numbersIn("t.test('an attempt 3: x', () => {})"), [])
  t.same(numbersIn("t.ok(true, 'attempt 3: x')"), [])
  t.end()
})
