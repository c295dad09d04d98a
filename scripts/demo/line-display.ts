import { Ink } from './colours.ts'
import { type Display, legendOf, type Scene } from './display.ts'

const MAP_SIZE = { columns: 64, rows: 15 }

/** For files, pipes and small terminals: plain lines, and a small map of letters. */
export class LineDisplay implements Display {
  readonly ink = new Ink('none')
  readonly #write: (text: string) => void

  constructor(write: (text: string) => void) {
    this.#write = write
  }

  say(line: string): void {
    this.#write(`${line}\n`)
  }

  show(scene: Scene): void {
    const size = scene.map.sizeWithin(MAP_SIZE)
    const lines = [...scene.map.draw(size, scene.owners, 'none'), legendOf(scene, this.ink)]
    this.#write(`\n${lines.map((line) => `    ${line}\n`).join('')}\n`)
  }

  refresh(): void {}

  follow(): void {}

  close(): void {}
}
