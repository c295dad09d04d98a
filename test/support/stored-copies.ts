/** Opens the stores of agents that do not run, and holds every copy of every tile against a count. */
import type { Test } from 'tap'
import { SliceStore } from '../../firmware-agent/adapters/slice-store.ts'
import { Random } from '../../shared/core/random.ts'
import type { Agent } from './processes.ts'

const LIMITS = { sliceBytesMax: 64 * 1024 * 1024, outboxBytesMax: 4 * 1024 * 1024 }
const PROBLEMS_MAX = 20

export interface StoredCopies {
  /** LSUs that were compared, each copy for itself. */
  readonly lsus: number
  readonly problems: readonly string[]
}

/**
 * The first field of each LSU in each store against `cells`, row by row; each tile is to lie in
 * `copies` stores, with the same `at`.
 */
export async function compareStoredCopies(
  directories: readonly string[],
  cells: readonly number[],
  copies: number,
): Promise<StoredCopies> {
  const problems: string[] = []
  const atOfTile = new Map<number, number[]>()
  let tiles = 0
  let lsus = 0
  for (const directory of directories) {
    const store = await openStore(directory)
    const { grid } = store
    if (store.setAside !== undefined) problems.push(`${directory}: ${store.setAside}`)
    if (grid === undefined) {
      problems.push(`${directory} holds no grid`)
      await store.close()
      continue
    }
    const { geometry } = grid
    tiles = geometry.tiles
    for (let tile = 0; tile < tiles; tile++) {
      const page = store.readPage(tile)
      if (page === undefined) continue
      const { x, y, w } = geometry.tileRegion(tile)
      atOfTile.set(tile, [...(atOfTile.get(tile) ?? []), page.at])
      page.column(0).forEach((found, index) => {
        const lsu = (y + Math.floor(index / w)) * geometry.width + x + (index % w)
        lsus += 1
        if (found === cells[lsu]) return
        problems.push(
          `${directory}, tile ${tile}, at ${page.at}: LSU ${lsu} is ${found}, not ${cells[lsu]}`,
        )
      })
    }
    await store.close()
  }
  for (let tile = 0; tile < tiles; tile++) {
    const found = atOfTile.get(tile) ?? []
    if (found.length === copies && new Set(found).size === 1) continue
    problems.push(`tile ${tile} has copies at [${found}], not ${copies} at the same`)
  }
  return { lsus, problems: problems.slice(0, PROBLEMS_MAX) }
}

/**
 * Kills these agents, which have caught up: what each has on its disk is this count. Two hold each tile. It looks at
 * every copy without starting anything again.
 */
export async function areOnDisk(
  t: Test,
  agents: readonly Agent[],
  cells: readonly number[],
): Promise<void> {
  await Promise.all(agents.map(({ run }) => run.kill()))
  const directories = agents.map(({ directory }) => directory)
  const { lsus, problems } = await compareStoredCopies(directories, cells, 2)
  t.same(problems, [], 'every write once, on each disk')
  t.equal(lsus, 2 * cells.length, 'every copy was looked at')
}

async function openStore(directory: string): Promise<SliceStore> {
  return await SliceStore.open(directory, LIMITS, new Random(process.pid), (error) => {
    throw error
  })
}
