/** A file on its way into a field, over real sockets and disks: whoever is killed, it is sent again, and is there once. */
import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Random } from '../../shared/core/random.ts'
import { npyHead } from '../../shared/grid/npy.ts'
import { eventually, Fleet, type Run, within } from '../support/processes.ts'
import { HttpClient } from '../support/wire-client.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/uploads.test.ts`)

const WIDTH = 1024
const HEIGHT = 2048
const FILE_BYTES = npyHead('f32', HEIGHT, WIDTH).length + 4 * WIDTH * HEIGHT
/** Of at most 65,536 cells, in whole rows of tiles. */
const TASKS = 32
const KILLS = 3
const ID = 'rain'

/** A table of numbers, no two rows alike. */
function tableOf(random: Random): Buffer {
  const cells = new Float32Array(WIDTH * HEIGHT)
  for (let at = 0; at < cells.length; at++) cells[at] = random.uint32() / 8
  return Buffer.concat([npyHead('f32', HEIGHT, WIDTH), Buffer.from(cells.buffer)])
}

/** How many tasks of the file the gateway that runs has taken, known from before or not. */
async function tasksTaken(http: HttpClient): Promise<number> {
  const { status, body } = await http.request(`/api/uploads/${ID}`)
  return status === 200 ? body.tasks : 0
}

/** Sends this much of the file and goes. */
async function isCutOff(t: Test, base: string, part: Buffer): Promise<void> {
  const sending = request(`${base}/api/grid/rain?id=${ID}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/x-npy', 'content-length': `${FILE_BYTES}` },
  })
  const isClosed = new Promise((resolve) => sending.once('close', resolve))
  sending.on('error', () => {})
  await new Promise((resolve) => sending.write(part, resolve))
  sending.destroy()
  await isClosed
  t.comment(`cut off after ${part.length} of ${FILE_BYTES} bytes`)
}

/** The gateway is killed once it has so many tasks, while more are to come. */
async function killedAfter(t: Test, run: Run, tasks: number, put: Run, http: HttpClient) {
  await eventually(`${tasks} tasks`, async () => {
    if (put.hasExited) throw new Error(`it came to its end: ${put.stdout}${put.stderr}`)
    return (await tasksTaken(http)) >= tasks
  })
  await run.kill()
  t.comment(`${run.name} is killed after ${tasks} tasks`)
}

t.test('cut off again and again, a file is sent again, and each task runs once', async (t) => {
  const random = new Random(seed)
  const fleet = new Fleet(t)
  const shape = ['--grid', `${WIDTH}x${HEIGHT}`, '--tile', '64', '--fields', 'rain:f32']
  const gateway = await fleet.gateway(...shape)
  const http = new HttpClient(gateway.http)
  await fleet.agents(['a', 'b'], gateway.url)
  const file = join(fleet.directory, 'in.npy')
  const table = tableOf(random)
  writeFileSync(file, table)
  const to = ['--http', gateway.http]
  const put = (name = file) =>
    fleet.start(['grid', 'put', 'rain', name, '--resume', ID, '--json', ...to])

  await isCutOff(t, gateway.http, table.subarray(0, 1 + random.integer(table.length - 1)))
  await eventually('its end is seen', async () => {
    const { status, body } = await http.request(`/api/uploads/${ID}`)
    return status === 404 || body.state === 'cut-off'
  })
  const stopped = put()
  await eventually('a part of it is taken', async () => {
    const { status, body } = await http.request(`/api/uploads/${ID}`)
    return status === 200 && body.state === 'receiving' && body.tasks > 0
  })
  stopped.signal('SIGINT')
  t.match(await within('its end', stopped.exited), { code: 130 })
  const told = `to send it again: --resume ${ID}\nerror: a part of ${file} may be written\n`
  t.equal(stopped.stderr, told)
  for (let kill = 0; kill < KILLS; kill++) {
    const again = put()
    await killedAfter(t, gateway.run, 1 + random.integer(TASKS / 2), again, http)
    const { code } = await within('the end of what was sent', again.exited)
    t.not(code, 0, 'it is said that not all of it was taken')
    t.match(again.stderr, `to send it again: --resume ${ID}\n`)
    await gateway.restart()
    t.equal((await http.request(`/api/uploads/${ID}`)).status, 404)
    await eventually('both are back', async () => {
      return (await http.metric('obelisk_nodes', 'alive')) === 2
    })
  }
  const last = put()
  t.same(await within('all of it', last.exited), { code: 0, signal: null })
  t.match(JSON.parse(last.stdout), {
    ...{ id: ID, state: 'done', lsus: WIDTH * HEIGHT, rows: HEIGHT },
    ...{ tasks: TASKS, completed: TASKS, failed: 0 },
  })

  const tasks = (await http.get('/api/tasks')) as { id: string; state: string }[]
  const names = Array.from({ length: TASKS }, (_, index) => `${ID}-${index}`)
  t.same(tasks.map(({ id }) => id).sort(), names.sort())
  t.ok(tasks.every(({ state }) => state === 'completed'))
  t.equal(await http.metric('obelisk_sequence'), TASKS, 'each has one place among all writes')

  const back = join(fleet.directory, 'out.npy')
  const got = fleet.start(['grid', 'get', 'rain', back, ...to])
  t.same(await within('all of it back', got.exited), { code: 0, signal: null })
  t.ok(readFileSync(back).equals(table), 'what is read back is the file')

  const other = join(fleet.directory, 'other.npy')
  table.writeFloatLE(-1, table.length - 4)
  writeFileSync(other, table)
  const refused = put(other)
  t.match(await within('its end', refused.exited), { code: 1 })
  t.match(refused.stderr, /task-id-conflict/)
  t.equal(await http.metric('obelisk_sequence'), TASKS)
})
