/**
 * The gateway's disk dies: what nodes hold becomes a new ledger, by `obelisk gateway recover`, and the fleet
 * goes to work again. What was shown as done is there; ids and results of before are not.
 */
import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { addingFleet, GRID, goesOn } from '../support/adding-fleet.ts'
import { eventually, Fleet, within } from '../support/processes.ts'
import { caughtUp } from '../support/replicas.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/recovery.test.ts`)

// Most of the time is spent waiting.
t.jobs = 2

t.test('a lost ledger is rebuilt from the nodes', { buffered: true }, async (t) => {
  const world = await addingFleet(t, seed)
  const { fleet, gateway, agents, http, wire, additions } = world
  t.match(await http.run({ op: 'scale' }), { state: 'completed' })
  for (let count = 0; count < 40; count++) additions.next()
  await additions.send(wire)
  await additions.areDone(t, http)

  await gateway.run.kill()
  const ledger = join(gateway.directory, 'state-64')
  t.ok(existsSync(ledger))
  renameSync(ledger, `${ledger}.lost`)
  const ports = ['--port', `${gateway.port}`, '--http-port', `${gateway.httpPort}`]
  const all = [...ports, '--data', gateway.directory, ...GRID]
  for (const words of [[], ['--nodes', '0']]) {
    const unsure = fleet.start(['gateway', 'recover', ...words, ...all])
    t.match(await within('its end', unsure.exited), { code: 2 }, 'how many nodes must be said')
    t.match(unsure.stderr, '--nodes')
  }
  t.notOk(existsSync(ledger), 'no new ledger')

  const first = fleet.start(['gateway', 'recover', '--nodes', '3', ...all])
  await first.line('ready ')
  await first.kill()
  const careless = fleet.start(['gateway', ...all])
  const isRebuilt = careless.line('ready ').then(
    () => true,
    () => false,
  )
  if (!(await isRebuilt)) t.match(careless.stderr, 'recover --nodes', 'it is no ledger yet')
  await careless.kill()
  const again = fleet.start(['gateway', 'recover', '--nodes', '3', ...all])
  await again.line('ready ')
  for (const { id } of agents)
    await eventually(`${id} is known`, () => http.node(id).catch(() => undefined))
  for (const { id } of agents) await caughtUp(http, id)
  await additions.areHeld(t, http, 'on the new ledger')
  t.equal((await http.request('/api/tasks/add-1')).status, 404, 'tasks of before are gone')
  t.match(await http.run({ op: 'stat', args: { field: 'n' } }), { state: 'completed' })

  await goesOn(t, world)
})

t.test('a ledger that is there is not rebuilt', { buffered: true }, async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...GRID)
  await gateway.run.end('SIGTERM')
  const all = ['--data', gateway.directory, '--port', `${gateway.port}`, ...GRID]
  const run = fleet.start(['gateway', 'recover', '--nodes', '1', ...all])
  t.match(await within('its end', run.exited), { code: 78 })
  t.match(run.stderr, 'move it away first')
})
