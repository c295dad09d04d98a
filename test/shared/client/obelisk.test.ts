/** What the library does for who may not see the grid, and when one of several tasks fails. */
import t from 'tap'
import type { Looks } from '../../../shared/client/looks.ts'
import { Obelisk } from '../../../shared/client/obelisk.ts'
import { ObeliskError } from '../../../shared/client/obelisk-error.ts'
import type { Door, RunOptions, Task, TaskResult } from '../../../shared/client/task.ts'

const forbidden = (): never => {
  throw new ObeliskError({ code: 'forbidden', detail: 'no', status: 403 })
}

/** A submitter's: its tasks are run, and nothing else is shown to it. */
class SubmittersDoor implements Door {
  readonly tasks: Task[] = []
  readonly looks = { cells: forbidden, squares: forbidden } as unknown as Looks
  readonly #failing: number

  constructor(failing = -1) {
    this.#failing = failing
  }

  async run(task: Task & { readonly id: string }, { signal }: RunOptions): Promise<TaskResult> {
    this.tasks.push(task)
    const { id, op, region } = task
    const common = { id, op, shards: 1, nodes: 1, ms: 1 }
    if (this.tasks.length - 1 === this.#failing) {
      return { ...common, state: 'failed', error: { code: 'tile-missing', message: 'gone' } }
    }
    if (this.#failing >= 0) {
      await new Promise((_resolve, reject) => {
        signal!.addEventListener('abort', () => reject(signal!.reason))
      })
    }
    const cells = Array.from({ length: region!.w * region!.h }, (_, n) => region!.y + n)
    const square = Buffer.from(new Float32Array([1.5]).buffer)
    const value =
      op === 'get'
        ? { fields: { temp: cells } }
        : { step: 4, x: 0, y: 0, columns: 1, rows: 1, mean: square.toString('base64') }
    return { ...common, state: 'completed', value }
  }

  // biome-ignore lint/correctness/useYield: nothing happens there
  async *watch(): AsyncGenerator<never> {
    forbidden()
  }

  ring = async () => forbidden()

  async close(): Promise<void> {}
}

t.test('a submitter reads by tasks what it may not look at', async (t) => {
  const door = new SubmittersDoor()
  const obelisk = new Obelisk(door)
  const cells = await obelisk.get('temp', { x: 0, y: 5, w: 3, h: 2 })
  t.same(cells, { data: new Float64Array([5, 6, 7, 8, 9, 10]), x: 0, y: 5, width: 3, height: 2 })
  const region = { x: 0, y: 0, w: 4, h: 4 }
  const picture = await obelisk.overview('temp', { region, step: 4 })
  t.same(picture, { step: 4, x: 0, y: 0, columns: 1, rows: 1, mean: new Float32Array([1.5]) })
  t.same(
    door.tasks.map(({ op }) => op),
    ['get', 'overview'],
  )
  await t.rejects(obelisk.get('temp'), { code: 'forbidden' }, 'how large the grid is, is not told')
})

t.test('the first of several tasks that fails takes the others back', async (t) => {
  const door = new SubmittersDoor(1)
  const region = { x: 0, y: 0, w: 8192, h: 64 }
  const writing = new Obelisk(door).put('temp', region, new Float32Array(8192 * 64), { id: 'a' })
  await t.rejects(writing, { code: 'tile-missing', message: 'task a-1 failed: gone' })
  t.same(
    door.tasks.map(({ id }) => id),
    ['a-0', 'a-1', 'a-2', 'a-3'],
    'and none begins after it',
  )
})
