/**
 * Work on a slice of 64 MB. With the default bound of its store, 64 MiB, new tiles would stop at 54.5 MB, to
 * leave room for rewrites and the outbox: the agent gets a higher one.
 */
import { runTask } from './grid-fleet.ts'

const WIDTH = 1024
const HEIGHT = 500
export const LSUS = WIDTH * HEIGHT
/** With 15 of them a tile of 16 × 16 LSUs takes eight pages of the disk, and all tiles 65.5 MB. */
const FIELDS = Array.from({ length: 15 }, (_, index) => `f${index}`)
/** Rows of one `put`: its values stay below the 1 MiB that a submission may have. */
const PUT_ROWS = 50

export const AGENT_OPTIONS = ['--slice-bytes-max', String(80 * 1024 * 1024)]

export const GRID_OPTIONS = [
  ...['--grid', `${WIDTH}x${HEIGHT}`, '--tile', '16', '--replicas', '1'],
  ...['--fields', FIELDS.map((name) => `${name}:f64`).join(',')],
]

/** Writes and scans every LSU, in every way and as often as `rounds` says. `base`: where the gateway serves HTTP. */
export async function writeAndScan(base: string, rounds: number): Promise<void> {
  const fields = Object.fromEntries(FIELDS.map((name, index) => [name, 1.5 + index]))
  await runTask(base, { op: 'scale', args: { fields } })
  for (let y = 0; y < HEIGHT; y += PUT_ROWS) {
    const values = Array.from({ length: WIDTH * PUT_ROWS }, (_, index) => ((index + y) % 1000) / 8)
    const region = { x: 0, y, w: WIDTH, h: PUT_ROWS }
    await runTask(base, { op: 'put', region, args: { field: 'f0', values } })
  }
  for (let count = 0; count < rounds; count++) {
    await runTask(base, { op: 'add', args: { field: 'f0', value: count } })
    const { value } = await runTask(base, { op: 'stat', args: { field: 'f0', bins: 64 } })
    if (value.count !== LSUS) throw new Error('stat missed LSUs')
  }
  await runTask(base, { op: 'get', region: { x: 0, y: 0, w: 128, h: 128 }, args: {} })
}
