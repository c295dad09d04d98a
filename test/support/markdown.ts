/** As much of Markdown as our documents use: sections, tables, code, links. */

export interface Block {
  /** The word after the fence: `sh`, `json`; empty for none. */
  readonly language: string
  readonly text: string
}

export interface Line {
  readonly number: number
  readonly text: string
}

const FENCE = /^```(\w*)$/

export class Markdown {
  readonly text: string
  /** Of lines outside of code blocks. */
  readonly prose: readonly Line[]
  readonly blocks: readonly Block[]

  constructor(text: string) {
    this.text = text
    const prose: Line[] = []
    const blocks: { language: string; lines: string[] }[] = []
    let open: { language: string; lines: string[] } | undefined
    for (const [index, line] of text.split('\n').entries()) {
      const fence = FENCE.exec(line)
      if (open !== undefined) {
        if (fence) open = undefined
        else open.lines.push(line)
      } else if (fence) {
        open = { language: fence[1]!, lines: [] }
        blocks.push(open)
      } else {
        prose.push({ number: index + 1, text: line })
      }
    }
    this.prose = prose
    this.blocks = blocks.map(({ language, lines }) => ({ language, text: lines.join('\n') }))
  }

  /** What stands below a heading of this title, to the next one of its level or above. */
  section(title: string): Markdown {
    const lines = this.text.split('\n')
    const start = lines.findIndex((line) => line.replace(/^#+ /, '') === title && /^#/.test(line))
    if (start < 0) return new Markdown('')
    const level = /^#+/.exec(lines[start]!)![0].length
    const length = lines.slice(start + 1).findIndex((line) => {
      const marks = /^#+(?= )/.exec(line)?.[0].length
      return marks !== undefined && marks <= level
    })
    const end = length < 0 ? lines.length : start + 1 + length
    return new Markdown(lines.slice(start + 1, end).join('\n'))
  }

  /** The rows of all tables, without their heads; cells as they stand. */
  rows(): string[][] {
    const rows: string[][] = []
    let seen = 0
    for (const { text } of this.prose) {
      if (!text.startsWith('|')) {
        seen = 0
        continue
      }
      seen += 1
      if (seen > 2) {
        rows.push(
          text
            .slice(1, -1)
            .split(/(?<!\\)\|/)
            .map((cell) => cell.trim()),
        )
      }
    }
    return rows
  }

  /** The codes in the first cell of every row. */
  named(): string[] {
    return this.rows().flatMap(([first = '']) => codesIn(first))
  }

  /** Inline code, with a code span that goes on over a line end joined. */
  codes(): string[] {
    return codesIn(this.prose.map(({ text }) => text).join('\n')).map((code) =>
      code.replaceAll('\n', ' '),
    )
  }

  /** Lines of the shell blocks that are commands, without what is commented. */
  commands(): string[] {
    return this.blocks
      .filter(({ language }) => language === 'sh')
      .flatMap(({ text }) => text.split('\n'))
      .map((line) => line.replace(/\s+#.*$/, '').trim())
      .filter((line) => line !== '')
  }

  links(): string[] {
    const prose = this.prose.map(({ text }) => text.replace(/`[^`]*`/g, '')).join('\n')
    return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!)
  }

  /** The anchors of the headings, as code hosts make them. */
  anchors(): string[] {
    return this.prose
      .filter(({ text }) => /^#+ /.test(text))
      .map(({ text }) =>
        text
          .replace(/^#+ /, '')
          .toLowerCase()
          .replace(/[^\p{L}\p{N} _-]/gu, '')
          .replaceAll(' ', '-'),
      )
  }
}

export function codesIn(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]!)
}
