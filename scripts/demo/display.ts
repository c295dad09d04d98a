import type { Ink } from './colours.ts'
import type { Owners, RainMap } from './rain-map.ts'
import { countOwned } from './tile-owners.ts'

/** What is there to be seen: the map, who shows in it, and which nodes are down. */
export interface Scene {
  readonly map: RainMap
  readonly owners: Owners
  readonly nodes: readonly { readonly id: string; readonly isDown: boolean }[]
}

const COLUMNS_LEAST = 64
const COLUMNS_MOST = 144
const MARGIN = '    '

/** Lines, and a map at each turn of the story; the web page is for whoever wants to look all the time. */
export class Display {
  readonly ink: Ink
  readonly #columns: number
  readonly #write: (text: string) => void

  /** `columns` are those of the terminal, if it is one. */
  constructor(write: (text: string) => void, ink: Ink, columns = COLUMNS_LEAST) {
    this.#write = write
    this.ink = ink
    const room = Math.max(COLUMNS_LEAST, columns - 2 * MARGIN.length)
    this.#columns = Math.min(COLUMNS_MOST, room)
  }

  say(line: string): void {
    this.#write(`${line}\n`)
  }

  show(scene: Scene): void {
    const size = scene.map.sizeWithin({ columns: this.#columns, rows: this.#columns })
    const map = scene.map.draw(size, scene.owners, this.ink.depth)
    const lines = [...map, legendOf(scene, this.ink)]
    this.#write(`\n${lines.map((line) => `${MARGIN}${line}\n`).join('')}\n`)
  }
}

/** Who is who on the map, and how many tiles show each. */
export function legendOf({ owners, nodes }: Scene, ink: Ink): string {
  const counts = countOwned(owners, nodes.length)
  const isPlain = ink.depth === 'none'
  const entries = nodes.map(({ id, isDown }, node) => {
    const mark = isPlain ? `${String.fromCharCode('a'.charCodeAt(0) + node)}:` : '■'
    const text = isDown ? `${mark} ${id} down` : `${mark} ${id} ${counts[node]}`
    return ink.node(isDown ? undefined : node, text)
  })
  const orphans = owners.filter((owner) => owner === undefined).length
  if (orphans > 0) entries.push(ink.node(undefined, `${isPlain ? '.:' : '■'} nobody ${orphans}`))
  return `tiles   ${entries.join('   ')}   ${isPlain ? 'upper case' : 'bright'}: much rain`
}
