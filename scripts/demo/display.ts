import type { Ink } from './colours.ts'
import type { Owners, RainMap } from './rain-map.ts'
import { countOwned } from './tile-owners.ts'

/** What is there to be seen: the map, who shows in it, and which nodes are down. */
export interface Scene {
  readonly map: RainMap
  readonly owners: Owners
  readonly nodes: readonly { readonly id: string; readonly isDown: boolean }[]
}

export interface Display {
  readonly ink: Ink
  /** A line that stays. */
  say(line: string): void
  /** The picture at a turn of the story. */
  show(scene: Scene): void
  /** The picture in between, for those who can look all the time. */
  refresh(scene: Scene): void
  /** A line that is asked for again and again while there is somebody to look at it. */
  follow(status: () => string): void
  /** The picture stands still from now on; what is said comes below it. */
  close(): void
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
  return `tiles   ${entries.join('   ')}`
}
