/**
 * Changes single keys of a TOML file that stand above its tables, and leaves every other byte as it was:
 * comments, order, blank lines. Keys that are not there yet are added behind the last of them. Where an entry ends, over
 * several lines too, the parser of TOML is asked.
 */

import { parse, stringify } from 'smol-toml'
import { assert } from '../../shared/core/assert.ts'

export type TomlValue = string | number | boolean | readonly string[]

/** `text` must be TOML that parses. */
export function setKeys(text: string, values: Readonly<Record<string, TomlValue>>): string {
  let edited = text
  for (const [key, value] of Object.entries(values)) edited = setKey(edited, key, value)
  const wanted = { ...parse(text), ...values }
  assert(
    stringify(parse(edited)) === stringify(wanted),
    'a file says what it said, and what was set',
  )
  return edited
}

/** Takes whole lines out, with what stands behind a value. `text` must be TOML that parses. */
export function removeKeys(text: string, keys: readonly string[]): string {
  const gone = topOf(text).entries.filter(({ key }) => keys.includes(key))
  let edited = text
  for (const { from, lines } of gone.reverse())
    edited = edited.slice(0, from) + edited.slice(from + lines.length)
  const kept = Object.entries(parse(text)).filter(([key]) => !keys.includes(key))
  const isRest = stringify(parse(edited)) === stringify(Object.fromEntries(kept))
  assert(isRest, 'a file lacks what was taken out, and nothing else')
  return edited
}

function setKey(text: string, key: string, value: TomlValue): string {
  const literal = stringify({ value })
    .trim()
    .replace(/^value = /, '')
  const { entries, end } = topOf(text)
  const present = entries.find((one) => one.key === key)
  if (present !== undefined) {
    const { from, lines } = present
    const before = /^[^=]*=[ \t]*/.exec(lines)![0]
    return `${text.slice(0, from)}${before}${literal}${text.slice(from + endOfValue(lines))}`
  }
  // What stands above a table may speak of it.
  const last = end < text.length ? entries.at(-1) : undefined
  const at = last === undefined ? end : last.from + last.lines.length
  const before = text.slice(0, at)
  const gap = before === '' || before.endsWith('\n') ? '' : '\n'
  return `${before}${gap}${key} = ${literal}\n${text.slice(at)}`
}

interface Entry {
  readonly key: string
  readonly from: number
  /** Its whole lines: the fewest that the parser takes. */
  readonly lines: string
}

/** What stands above the tables; and where the first of these begins, or the end. */
function topOf(text: string): { entries: Entry[]; end: number } {
  const entries: Entry[] = []
  let end = 0
  let lines = ''
  for (const line of text.split(/(?<=\n)/)) {
    if (lines === '' && /^\s*\[/.test(line)) break
    lines += line
    const said = parsed(lines)
    if (said === undefined) continue
    entries.push(...Object.keys(said).map((key) => ({ key, from: end, lines })))
    end += lines.length
    lines = ''
  }
  return { entries, end }
}

/** A comment behind it begins at the first `#` before which all is said. */
function endOfValue(lines: string): number {
  let end = lines.indexOf('#')
  while (end !== -1 && parsed(lines.slice(0, end)) === undefined) end = lines.indexOf('#', end + 1)
  return lines.slice(0, end === -1 ? lines.length : end).trimEnd().length
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return parse(text)
  } catch {
    return undefined
  }
}
