/**
 * Changes single keys of a TOML file that stand above its tables, and leaves every other byte as it was:
 * comments, order, blank lines. Keys that are not there yet are added behind the last of them. A value may be
 * anything that TOML has (TOML 1.0, Keys and Values), over several lines too.
 */

import { parse, stringify } from 'smol-toml'
import { assert } from '../../shared/core/assert.ts'
import { own } from '../../shared/core/own.ts'

export type TomlValue = string | number | boolean | readonly string[]

/** `text` must be TOML that parses. */
export function setKeys(text: string, values: Readonly<Record<string, TomlValue>>): string {
  let edited = text
  for (const [key, value] of Object.entries(values)) edited = setKey(edited, key, value)
  const wanted = { ...parse(text), ...values }
  const got = parse(edited)
  assert(isSame(got, wanted), 'an edited file says what it said, and what was set')
  return edited
}

/** Takes whole lines out, with what stands behind a value. `text` must be TOML that parses. */
export function removeKeys(text: string, keys: readonly string[]): string {
  const found = topOf(text).places.filter(({ key }) => keys.includes(key))
  let edited = text
  for (const { from, to } of found.reverse()) {
    const start = edited.lastIndexOf('\n', from - 1) + 1
    const end = edited.indexOf('\n', to)
    edited = edited.slice(0, start) + (end === -1 ? '' : edited.slice(end + 1))
  }
  const wanted = Object.fromEntries(
    Object.entries(parse(text)).filter(([key]) => !keys.includes(key)),
  )
  assert(isSame(parse(edited), wanted), 'an edited file lacks what was taken out, and nothing else')
  return edited
}

function isSame(a: Readonly<Record<string, unknown>>, b: Readonly<Record<string, unknown>>) {
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => JSON.stringify(own(a, key)) === JSON.stringify(own(b, key)))
  )
}

function setKey(text: string, key: string, value: TomlValue): string {
  const literal = stringify({ value })
    .trim()
    .replace(/^value = /, '')
  const { places, end } = topOf(text)
  const place = places.find((one) => one.key === key)
  if (place !== undefined) {
    const { from, to } = place
    return `${text.slice(0, from)}${literal}${text.slice(to)}`
  }
  // What stands above a table may speak of it.
  const last = end < text.length ? places.at(-1) : undefined
  const at = last === undefined ? end : text.indexOf('\n', last.to) + 1
  const before = text.slice(0, at)
  const gap = before === '' || before.endsWith('\n') ? '' : '\n'
  return `${before}${gap}${key} = ${literal}\n${text.slice(at)}`
}

interface ValuePlace {
  readonly key: string
  readonly from: number
  readonly to: number
}

const BLANK_OR_COMMENT = /(?:[ \t\r\n]|#[^\n]*)*/y
const KEY = /(?:([A-Za-z0-9_-]+)|"((?:[^"\\]|\\.)*)"|'([^']*)')[ \t]*=[ \t]*/y
const TEXT = /"""(?:[^\\]|\\[\s\S])*?"""(?!")|'''[\s\S]*?'''(?!')|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'/y

/** Every top-level key and where its value stands; and where the first table begins, or the end. */
function topOf(text: string): { places: ValuePlace[]; end: number } {
  const places: ValuePlace[] = []
  let at = matchAt(BLANK_OR_COMMENT, text, 0)![0].length
  while (at < text.length) {
    const key = matchAt(KEY, text, at)
    // A table: what stands below it is not at the top.
    if (key === null) return { places, end: text.lastIndexOf('\n', at) + 1 }
    const from = at + key[0].length
    const to = endOfValue(text, from)
    places.push({ key: key[1] ?? key[2] ?? key[3] ?? '', from, to })
    at = to + matchAt(BLANK_OR_COMMENT, text, to)![0].length
  }
  return { places, end: text.length }
}

function endOfValue(text: string, from: number): number {
  let depth = 0
  let end = from
  for (let at = from; at < text.length; ) {
    const quoted = matchAt(TEXT, text, at)
    const character = text[at]!
    if (quoted !== null) {
      at += quoted[0].length
      end = at
      continue
    }
    if (character === '#' || character === '\n') {
      if (depth === 0) return end
      at += character === '#' ? matchAt(/#[^\n]*/y, text, at)![0].length : 1
      continue
    }
    if (character === '[' || character === '{') depth++
    if (character === ']' || character === '}') depth--
    at++
    if (!/\s/.test(character)) end = at
  }
  return end
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}
