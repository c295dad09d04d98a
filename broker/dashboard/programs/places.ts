/** Where something stands in a text, as the gateway says it and as an element of a page selects it. */

export interface Placed {
  /** Both from 1, in characters. */
  readonly line?: number
  readonly column?: number
  readonly length?: number
}

/** In code units of UTF-16, of which a glyph may take two. */
export interface Range {
  readonly start: number
  readonly end: number
}

/** Nothing where no place is named. */
export function rangeOf(text: string, { line, column, length = 1 }: Placed): Range | undefined {
  if (line === undefined || column === undefined) return undefined
  const before = text.split('\n').slice(0, line - 1)
  const lineStart = before.reduce((sum, { length }) => sum + length + 1, 0)
  const characters = [...text.slice(lineStart)]
  const sizeOf = (count: number): number => characters.slice(0, count).join('').length
  const [start, end] = [column - 1, column - 1 + length].map((at) => lineStart + sizeOf(at))
  return { start: start!, end: end! }
}

/** As an element has it where it is typed. */
export function typedText(source: string): string {
  return source.replaceAll(/\r\n?/g, '\n')
}
