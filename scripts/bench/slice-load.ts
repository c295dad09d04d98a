/**
 * Work on a slice of 64 MB. With the default bound of its store, 64 MiB, new tiles would stop at 54.5 MB, to
 * leave room for rewrites and the outbox: the agent gets a higher one.
 */
const WIDTH = 1024
const HEIGHT = 500
export const LSUS = WIDTH * HEIGHT
/** With 15 of them a tile of 16 × 16 LSUs takes eight pages of the disk, and all tiles 65.5 MB. */
const FIELDS = Array.from({ length: 15 }, (_, index) => `f${index}`)
/** Rows of one `put`: its values stay below the 1 MiB that a submission may have. */
const PUT_ROWS = 50
/** Of the longest task under emulation. */
const DEADLINE_MS = 900_000

export const AGENT_OPTIONS = ['--slice-bytes-max', String(80 * 1024 * 1024)]

export const GRID_OPTIONS = [
  ...['--grid', `${WIDTH}x${HEIGHT}`, '--tile', '16', '--replicas', '1'],
  ...['--fields', FIELDS.map((name) => `${name}:f64`).join(',')],
]

/** Writes and scans every LSU, in every way and as often as `rounds` says. `base`: where the gateway serves HTTP. */
export async function writeAndScan(base: string, rounds: number): Promise<void> {
  const fields = Object.fromEntries(FIELDS.map((name, index) => [name, 1.5 + index]))
  await run(base, { op: 'scale', args: { fields } })
  for (let y = 0; y < HEIGHT; y += PUT_ROWS) {
    const values = Array.from({ length: WIDTH * PUT_ROWS }, (_, index) => ((index + y) % 1000) / 8)
    const region = { x: 0, y, w: WIDTH, h: PUT_ROWS }
    await run(base, { op: 'put', region, args: { field: 'f0', values } })
  }
  for (let count = 0; count < rounds; count++) {
    await run(base, { op: 'add', args: { field: 'f0', value: count } })
    await run(base, { op: 'stat', args: { field: 'f0', bins: 64 } })
  }
  await run(base, { op: 'get', region: { x: 0, y: 0, w: 128, h: 128 }, args: {} })
}

interface Outcome {
  readonly task: string
  readonly state: string
  readonly value?: { readonly count?: number }
}

/** Submits a task and waits for its end; one that does not complete is an error. */
async function run(base: string, task: Record<string, unknown>): Promise<void> {
  let response = await fetch(`${base}/process?wait=60s`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...task, deadline_ms: DEADLINE_MS }),
  })
  let answer = (await response.json()) as Outcome
  const { task: id } = answer
  while (response.status === 202 || response.status === 404) {
    if (id === undefined) break
    response = await fetch(`${base}/api/tasks/${id}/result?wait=60s`)
    answer = (await response.json()) as Outcome
  }
  if (response.status !== 200 || answer.state !== 'completed') {
    throw new Error(`${task.op}: ${response.status} ${JSON.stringify(answer).slice(0, 500)}`)
  }
  if (task.op === 'stat' && answer.value?.count !== LSUS) throw new Error('stat missed LSUs')
}
