/**
 * The ledger of a gateway that runs is copied while writes go on; its box is lost; the copy is restored on another one, and
 * the nodes, which are ahead of it, are welcome. What a node or the copy has is there, and nothing runs a second time.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { addingFleet, goesOn } from '../support/adding-fleet.ts'
import { allCompleted } from '../support/additions.ts'
import { eventually, type Fleet, within } from '../support/processes.ts'
import { caughtUp, killAgent } from '../support/replicas.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/ledger-restore.test.ts`)

// Most of the time is spent waiting.
t.jobs = 2

async function command(fleet: Fleet, ...argv: readonly string[]) {
  const run = fleet.start(argv)
  const { code } = await within(argv.join(' '), run.exited)
  return { code, stdout: run.stdout, stderr: run.stderr }
}

t.test(
  'nodes that are ahead of the copy are welcome, one behind, too',
  { buffered: true },
  async (t) => {
    const world = await addingFleet(t, seed)
    const { fleet, gateway, agents, http, wire, additions } = world
    t.match(await http.run({ op: 'scale' }), { state: 'completed' })
    for (let count = 0; count < 20; count++) additions.next()
    await additions.send(wire)
    await additions.areDone(t, http)
    const before = [...additions.tasks.keys()]

    const file = join(fleet.directory, 'ledger.backup')
    for (let count = 0; count < 300; count++) additions.next()
    const sending = additions.send(wire)
    const made = await command(fleet, 'backup', file, '--http', gateway.http)
    t.match(made, { code: 0, stdout: /sound: \d+ tasks/ }, made.stderr)
    await sending
    await additions.areDone(t, http)
    t.match(await command(fleet, 'backup', 'check', file), { code: 0 })
    t.match(await command(fleet, 'backup', file, '--http', gateway.http), { code: 77 })
    const over = await command(fleet, 'restore', file, '--data', gateway.directory)
    t.not(over.code, 0, 'not below a gateway that runs')
    await killAgent(http, agents[2]!)
    for (let count = 0; count < 20; count++) additions.next()
    await additions.send(wire)
    await additions.areDone(t, http)

    await gateway.run.kill()
    t.match(await command(fleet, 'restore', file, '--data', gateway.directory), {
      code: 78,
      stderr: /has a ledger already/,
    })
    const data = join(fleet.directory, 'another-box')
    t.match(await command(fleet, 'restore', `${file}.no`, '--data', data), {
      code: 66,
      stderr: /\.no is not there/,
    })
    const restored = await command(fleet, 'restore', file, '--data', data)
    t.match(restored, { code: 0, stdout: /it waits for 3 nodes: a, b, c/ }, restored.stderr)
    const ports = ['--port', `${gateway.port}`, '--http-port', `${gateway.httpPort}`]
    const first = fleet.start(['gateway', ...ports, '--data', data])
    await first.line('ready ')
    t.match(await http.post({ op: 'get', args: { fields: ['n'] } }), {
      body: { code: 'recovering' },
    })
    const waiting = await command(fleet, 'node', 'ls', '--http', gateway.http)
    t.match(waiting, {
      code: 0,
      stdout: /restored from a copy of .* of 3 nodes.*\nawaited: .*c\n/s,
    })
    t.match((await http.get('/api/detector')).recovery, { expected: 3, until_ts: Number })
    await first.kill()
    const again = fleet.start(['gateway', ...ports, '--data', data])
    await again.line('ready ')
    await agents[2]!.restart()
    for (const { id } of agents)
      await eventually(`${id} is known`, () => http.node(id).catch(() => undefined))
    for (const { id } of agents) await caughtUp(http, id)
    await additions.areHeld(t, http, 'what came after the copy, too')

    await allCompleted(t, http, before)
    const known: string[] = []
    for (const id of additions.tasks.keys()) {
      const { status, body } = await http.request(`/api/tasks/${id}`)
      if (status === 200) known.push(id)
      if (status === 200 && body.state === 'failed') t.match(body, { error: { code: 'restored' } })
      else if (status === 200) t.equal(body.state, 'completed')
    }
    t.ok(known.length >= before.length && known.length < additions.tasks.size)
    for (const id of known) t.ok((await http.post(additions.tasks.get(id)!)).status < 300, id)
    await additions.areHeld(t, http, 'nothing that is known runs again')

    await goesOn(t, world)
  },
)

t.test('a node that never comes back is not waited for for ever', { buffered: true }, async (t) => {
  const { fleet, gateway, agents, http, wire, additions } = await addingFleet(t, seed)
  t.match(await http.run({ op: 'scale' }), { state: 'completed' })
  const file = join(fleet.directory, 'ledger.backup')
  t.match(await command(fleet, 'backup', file, '--http', gateway.http), { code: 0 })
  for (let count = 0; count < 20; count++) additions.next()
  await additions.send(wire)
  await additions.areDone(t, http)
  for (const { id } of agents) await caughtUp(http, id)
  await gateway.run.kill()
  await agents[1]!.run.kill()
  rmSync(agents[1]!.directory, { recursive: true })
  const data = join(fleet.directory, 'another-box')
  t.match(await command(fleet, 'restore', file, '--data', data), { code: 0 })
  const ports = ['--port', `${gateway.port}`, '--http-port', `${gateway.httpPort}`]
  const run = fleet.start(['gateway', 'recover', '--nodes', '2', ...ports, '--data', data])
  await run.line('ready ')
  for (const id of ['a', 'c']) {
    await eventually(`${id} is known`, () => http.node(id).catch(() => undefined))
    await caughtUp(http, id)
  }
  await additions.areHeld(t, http, 'each tile had another copy')
})
