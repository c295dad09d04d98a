import type { WriteStream } from 'node:tty'
import type { Ink } from './colours.ts'
import { type Display, legendOf, type Scene } from './display.ts'

const FRAME_MS = 100
const MARGIN = '  '
/** Below the map: a blank line, the legend, the status. Above it: room for some lines that were said. */
const ROWS_BESIDE_MAP = 8
const COLUMNS_MAX = 144

const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'
const CLEAR_LINE = '\u001b[K'
/** DECAWM: a line too long for the terminal is cut, and does not push the others down. */
const WRAP_OFF = '\u001b[?7l'
const WRAP_ON = '\u001b[?7h'
const FRAME_BEGIN = '\u001b[?2026h'
const FRAME_END = '\u001b[?2026l'
const CLEAR_SCREEN = '\u001b[2J\u001b[H'

/** For terminals: the map is drawn again in place, and what is said scrolls by above it. */
export class LiveDisplay implements Display {
  readonly ink: Ink
  readonly #stream: WriteStream
  readonly #timer: NodeJS.Timeout
  readonly #onResize = (): void => this.#redraw()
  #scene: Scene | undefined
  #mapLines: string[] = []
  #status: () => string = () => ''
  /** The lines of the picture as they stand on the terminal; the cursor is below them. */
  #drawn: string[] = []
  #isOpen = true

  constructor(stream: WriteStream, ink: Ink) {
    this.ink = ink
    this.#stream = stream
    this.#timer = setInterval(() => this.#draw(), FRAME_MS)
    stream.on('resize', this.#onResize)
    stream.write(HIDE_CURSOR)
  }

  say(line: string): void {
    const up = this.#drawn.length > 0 ? `\u001b[${this.#drawn.length}A\r` : ''
    this.#drawn = []
    this.#stream.write(`${up}${line}${CLEAR_LINE}\n${this.#changes()}`)
  }

  show(scene: Scene): void {
    this.#scene = scene
    this.#drawMap()
    this.#draw()
  }

  refresh(scene: Scene): void {
    this.show(scene)
  }

  follow(status: () => string): void {
    this.#status = status
  }

  close(): void {
    if (!this.#isOpen) return
    this.#draw()
    this.#isOpen = false
    this.#drawn = []
    clearInterval(this.#timer)
    this.#stream.off('resize', this.#onResize)
    this.#stream.write(SHOW_CURSOR)
  }

  #redraw(): void {
    this.#drawMap()
    this.#drawn = []
    this.#stream.write(CLEAR_SCREEN)
    this.#draw()
  }

  #drawMap(): void {
    if (this.#scene === undefined) return
    const { map, owners } = this.#scene
    const columns = Math.min(COLUMNS_MAX, this.#stream.columns - 2 * MARGIN.length)
    const size = map.sizeWithin({ columns, rows: this.#stream.rows - ROWS_BESIDE_MAP })
    this.#mapLines = map.draw(size, owners, this.ink.depth)
  }

  #draw(): void {
    const changes = this.#changes()
    if (changes !== '') this.#stream.write(changes)
  }

  /** What brings the picture on the terminal up to date: only the lines that differ are written. */
  #changes(): string {
    if (!this.#isOpen || this.#scene === undefined) return ''
    const lines = [...this.#mapLines, '', legendOf(this.#scene, this.ink), this.#status()]
    if (this.#drawn.length !== lines.length) {
      this.#drawn = lines
      return asFrame(lines.map((line) => `${MARGIN}${line}${CLEAR_LINE}\n`).join(''))
    }
    const first = lines.findIndex((line, index) => line !== this.#drawn[index])
    if (first < 0) return ''
    const text = lines
      .slice(first)
      .map((line, index) =>
        line === this.#drawn[first + index] ? '\n' : `\r${MARGIN}${line}${CLEAR_LINE}\n`,
      )
      .join('')
    this.#drawn = lines
    return asFrame(`\u001b[${lines.length - first}A${text}`)
  }
}

/** As one frame, where the terminal knows that (mode 2026); others take no notice. */
function asFrame(picture: string): string {
  return `${FRAME_BEGIN}${WRAP_OFF}${picture}${WRAP_ON}${FRAME_END}`
}
