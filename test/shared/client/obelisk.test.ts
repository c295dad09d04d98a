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

/** Knows its grid, and keeps what tasks bring; what they ask for is in base64, as in JSON. */
class OpenDoor extends SubmittersDoor {
  asked = 0
  override ring = async () => {
    this.asked += 1
    return { grid: { width: 64, height: 64 }, fields: [{ name: 'temp', type: 'f32' }] } as never
  }

  override async run(task: Task & { readonly id: string }): Promise<TaskResult> {
    this.tasks.push(task)
    const { id, op, args } = task
    const values = new Float32Array([1.5, -2, 3, 4])
    const temp = args?.as === 'bytes' ? Buffer.from(values.buffer).toString('base64') : [...values]
    return { id, op, state: 'completed', shards: 1, nodes: 1, ms: 1, value: { fields: { temp } } }
  }
}

t.test('cells travel as bytes where the type of their field is known', async (t) => {
  const door = new OpenDoor()
  const obelisk = new Obelisk({
    run: (task) => door.run(task),
    watch: () => door.watch(),
    ring: () => door.ring(),
    close: () => door.close(),
  })
  const data = Float64Array.from({ length: 1024 }, (_, n) => n / 3)
  data[1] = -0
  await obelisk.put('temp', { x: 0, y: 0, w: 32, h: 32 }, data)
  const sent = door.tasks[0]!.args!.values as Uint8Array
  const expected = new Float32Array(data)
  expected[1] = 0
  t.same(Buffer.from(sent), Buffer.from(expected.buffer))
  const { data: read } = await obelisk.get('temp', { x: 0, y: 0, w: 2, h: 2 })
  t.equal(door.tasks[1]!.args!.as, 'bytes')
  t.same(read, new Float32Array([1.5, -2, 3, 4]))
})

t.test('what a field cannot hold is sent as it is, for the gateway to say so', async (t) => {
  const door = new OpenDoor()
  const region = { x: 0, y: 0, w: 32, h: 32 }
  const data = new Float64Array(1024).fill(1e300)
  await new Obelisk(door).put('temp', region, data)
  t.same((door.tasks[0]!.args!.values as { column: unknown }).column, data)
  await new Obelisk(door).put('other', region, data)
  t.same((door.tasks[1]!.args!.values as { column: unknown }).column, data, 'of no known field')
  t.equal(door.asked, 2)
})

t.test('nobody is asked for the type of a few cells', async (t) => {
  const door = new OpenDoor()
  await new Obelisk(door).put('temp', { x: 0, y: 0, w: 2, h: 1 }, [1, 2])
  t.same((door.tasks[0]!.args!.values as { column: unknown }).column, new Float64Array([1, 2]))
  t.equal(door.asked, 0)
})
