/** Disks that fill up under a running agent and a running gateway: they stop in time and say so. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { DISK_FREE_BYTES_MIN } from '../../broker/core/rules/ledger-room.ts'
import { Random } from '../../shared/core/random.ts'
import { Additions, PATIENT } from '../support/additions.ts'
import { eventually, Fleet, within } from '../support/processes.ts'
import { caughtUp, withEachAway } from '../support/replicas.ts'
import { SmallDisk } from '../support/small-disk.ts'
import { areOnDisk } from '../support/stored-copies.ts'
import { BASE, HttpClient, WireClient } from '../support/wire-client.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/disk-full.test.ts`)
t.jobs = 2

const MIB = 1024 * 1024
const SIDE = 64
const GRID = ['--grid', `${SIDE}x${SIDE}`, '--fields', 'n:i32']

t.test(
  'an agent whose disk is full stops, and goes on by itself once there is room',
  { buffered: true },
  async (t) => {
    const disk = SmallDisk.mount(t, 24)
    if (disk === undefined) return
    const fleet = new Fleet(t)
    disk.standInFor(join(fleet.directory, 'a'))
    const gateway = await fleet.gateway(...GRID)
    const http = new HttpClient(gateway.http)
    const agents = await fleet.agents(['a', 'b'], gateway.url)
    const [agent] = agents
    await http.run({ op: 'scale' })
    const wire = await WireClient.connect(gateway.url, `${BASE}/gateway/event`)
    t.teardown(() => wire.close())
    const sums = new Additions(SIDE, new Random(seed))
    const addSome = async (): Promise<void> => {
      for (let count = 0; count < 5; count++) sums.next()
      await sums.send(wire)
    }
    await addSome()
    await sums.areDone(t, http)
    await caughtUp(http, 'a')

    disk.fillUpTo(12 * MIB)
    // The agent looks at its disk every few seconds.
    const stopped = await eventually('the agent stops', async () => {
      await addSome()
      return wire.jsonOf('gateway/event').find(({ code }) => code === 'replica-stopped')
    })
    t.match(stopped, { node: 'a', error: 'store-full', level: 'error' })
    await addSome()
    await sums.areDone(t, http)
    await sums.areHeld(t, http, 'the other one has everything')
    t.notOk(agent!.run.hasExited, 'it is still there')
    const { stream, stopped: why } = await http.node('a')
    t.match(why, { code: 'store-full' })
    t.ok(stream.acked < stream.head, `it stands at ${stream.acked} of ${stream.head}`)
    t.ok(disk.freeBytes > 11 * MIB, 'it left the room alone')

    disk.empty()
    const resumed = await wire.nextJson('gateway/event', ({ code }) => code === 'replica-resumed')
    t.match(resumed, { node: 'a', level: 'info' })
    await eventually('it says so itself', () => agent!.run.stderr.includes('store-roomy'))
    t.notOk(agent!.run.hasExited, 'it is the same process')
    await caughtUp(http, 'a')
    t.equal((await http.node('a')).stopped, undefined)
    await addSome()
    await sums.areDone(t, http)
    await withEachAway(http, agents, (away) => sums.areHeld(t, http, `once, without ${away}`))
    for (const code of ['store-wiped', 'store-replaced', 'stream-mismatch', 'drift']) {
      t.equal(await http.metric('obelisk_events_total', `code="${code}"`), 0, `no ${code}`)
    }
  },
)

t.test('a gateway whose disk is full takes no task and says so', { buffered: true }, async (t) => {
  const disk = SmallDisk.mount(t, 48)
  if (disk === undefined) return
  const fleet = new Fleet(t)
  disk.standInFor(join(fleet.directory, 'gateway'))
  const gateway = await fleet.gateway(...GRID)
  const http = new HttpClient(gateway.http)
  const agents = await fleet.agents(['a', 'b'], gateway.url)
  await http.run({ op: 'scale' })
  const filters = ['gateway/event', 'task/rejected'].map((topic) => `${BASE}/${topic}`)
  const wire = await WireClient.connect(gateway.url, ...filters)
  t.teardown(() => wire.close())
  const sums = new Additions(SIDE, new Random(seed + 1))
  for (let count = 0; count < 10; count++) sums.next()
  await sums.send(wire)
  await sums.areDone(t, http)

  disk.fillUpTo(8 * MIB)
  const full = await wire.nextJson('gateway/event', ({ code }) => code === 'disk-full')
  t.match(full, { level: 'error' })
  // It may look while the disk is being filled.
  t.ok(full.freeBytes < DISK_FREE_BYTES_MIN)
  await eventually('it knows what is left', async () => {
    return (await http.metric('obelisk_disk_free_bytes')) <= 8 * MIB
  })
  const { status, headers, body } = await http.post({ op: 'add', args: { field: 'n', value: 1 } })
  t.match({ status, body }, { status: 503, body: { code: 'disk-full' } })
  t.match(headers.get('retry-after'), /^\d+$/)
  t.ok(await wire.submit({ id: 'refused', op: 'add', args: { field: 'n', value: 1 } }))
  t.match(await wire.nextJson('task/rejected'), { id: 'refused', code: 'disk-full' })
  const known = await http.request('/api/tasks/add-0/result')
  t.match({ status: known.status, state: known.body.state }, { status: 200, state: 'completed' })
  for (const task of sums.tasks.values()) t.ok(await wire.submit(task), 'what is known is known')
  t.equal(wire.of('task/rejected').length, 1)

  disk.empty()
  t.match(await wire.nextJson('gateway/event', ({ code }) => code === 'disk-roomy'), {
    level: 'info',
  })
  for (let count = 0; count < 10; count++) sums.next()
  await sums.send(wire)
  await sums.areDone(t, http)
  await sums.areHeld(t, http, 'every add once')

  // Reads are accepted, and then not a block is left for their results.
  for (const { run } of agents) run.signal('SIGSTOP')
  const reads = Array.from({ length: 60 }, (_, index) => `read-${index}`)
  for (const id of reads) t.ok(await wire.submit({ id, op: 'get', ...PATIENT }))
  disk.fillUpTo(0)
  for (const { run } of agents) run.signal('SIGCONT')
  t.match(await within('its end', gateway.run.exited), { code: 70 })
  t.match(gateway.run.stderr, 'store-failed')

  disk.empty()
  await gateway.restart()
  const again = await WireClient.connect(gateway.url)
  t.teardown(() => again.close())
  for (const id of reads) {
    const { body } = await http.request(`/api/tasks/${id}?wait=30s`)
    t.match(body, { id, state: 'completed' })
  }
  for (let count = 0; count < 5; count++) sums.next()
  await sums.send(again)
  await sums.areDone(t, http)
  for (const { id } of agents) await caughtUp(http, id)
  await areOnDisk(t, agents, sums.cells)
})

t.test('on a full disk neither begins, and says why', { buffered: true }, async (t) => {
  const disk = SmallDisk.mount(t, 4)
  if (disk === undefined) return
  const fleet = new Fleet(t)
  disk.fillUpTo(8 * 1024)
  const programs = [
    ['agent', '--id', 'a', '--data', disk.path],
    ['gateway', '--port', '0', '--http-port', '0', '--data', disk.path],
  ]
  for (const argv of programs) {
    const run = fleet.start(argv)
    t.match(await within('its end', run.exited), { code: 73 })
    t.match(run.stderr, /the disk of \S+ is full: 8192 bytes are free, \d+ are needed/)
    t.same(readdirSync(disk.path), ['filler'])
  }
})

t.test('a backup that its disk has no room for is none, and another one can be made', async (t) => {
  const disk = SmallDisk.mount(t, 4)
  if (disk === undefined) return
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...GRID)
  const backup = async (directory: string) => {
    const run = fleet.start(['backup', join(directory, 'a.backup'), '--http', gateway.http])
    const { code } = await within('the backup', run.exited)
    return { code, said: run.stderr }
  }
  disk.fillUpTo(16 * 1024)
  t.match(await backup(disk.path), { code: 73, said: /the disk of .* is full/ })
  t.same(readdirSync(disk.path), ['filler'], 'and nothing of it is left')
  t.notOk(gateway.run.hasExited)
  t.match(await backup(fleet.directory), { code: 0 }, 'the gateway has let go of it')
  const data = join(disk.path, 'gateway')
  const file = join(fleet.directory, 'a.backup')
  const restore = fleet.start(['restore', file, '--data', data])
  t.match(await within('the restore', restore.exited), { code: 73 })
  t.match(restore.stderr, /the disk of /)
  t.same(readdirSync(data), [], 'nor of a restore')
})
