/**
 * The packaged agents of each ARM, under QEMU's user emulation with the Node of that Debian, against a
 * gateway on this machine: they join, hold a slice, answer, and are killed and come back.
 *
 * `npm run test:arm`; what it needs, and what it says when that is missing, is in docs/testing.md.
 */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import t, { type Test } from 'tap'
import { Random } from '../../shared/core/random.ts'
import { Additions } from '../support/additions.ts'
import { Agent, eventually, Fleet } from '../support/processes.ts'
import { caughtUp } from '../support/replicas.ts'
import { BASE, decode, HttpClient, WireClient } from '../support/wire-client.ts'
import { armTree } from './arm-trees.ts'
import type { ArmArchitecture } from './debian-tree.ts'
import { BOARDS, unpackAgent } from './emulated-board.ts'
import { emulate } from './emulation.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npm run test:arm`)
t.setTimeout(1_800_000)

const SIDE = 32
const GRID = ['--grid', `${SIDE}x${SIDE}`, '--fields', 'n:i32', '--replicas', '1']
/** Node alone takes seconds to start there. */
const READY_MS_MAX = 600_000

async function start(fleet: Fleet, architecture: ArmArchitecture, url: string): Promise<Agent> {
  const tree = await armTree(architecture)
  const environment = emulate(architecture, tree)
  const id = `board-${architecture}`
  const data = join(fleet.directory, `data-${architecture}`)
  const own = ['--id', id, '--url', url, '--data', data, '--telemetry-interval', '1']
  const argv = [await unpackAgent(architecture, fleet.directory), ...own]
  return new Agent(id, data, () => fleet.command(join(tree, 'usr/bin/node'), argv, environment))
}

for (const [architecture, name] of Object.entries(BOARDS) as [ArmArchitecture, string][]) {
  t.test(`${name}: the package joins, works, and comes back`, async (t: Test) => {
    const fleet = new Fleet(t)
    const gateway = await fleet.gateway(...GRID)
    const http = new HttpClient(gateway.http)
    const wire = await WireClient.connect(
      gateway.url,
      `${BASE}/node/+/telemetry`,
      `${BASE}/node/+/info`,
    )
    const agent = await (await start(fleet, architecture, gateway.url)).ready(READY_MS_MAX)

    const info = await wire.nextJson(`node/${agent.id}/info`)
    t.equal(info.arch, architecture === 'arm64' ? 'arm64' : 'arm')
    await http.run({ op: 'scale' })
    const sums = new Additions(SIDE, new Random(seed))
    for (let count = 0; count < 20; count++) sums.next()
    await sums.send(wire)
    await sums.areDone(t, http)
    await sums.areHeld(t, http, 'each LSU has what was added')
    const items = [{ key: 'a', data: 'the quick brown fox' }]
    const { value } = await http.run({ op: 'digest', items })
    t.match(value.sha256.a, /^9ecb36561341d18eb65484e833efea61/)
    const { payload } = await wire.next(`node/${agent.id}/telemetry`, (one) => {
      return decode(one.payload, 'cbor').lsus === SIDE * SIDE
    })
    const telemetry = decode(payload, 'cbor')
    t.match(telemetry, {
      mem_total_bytes: Number,
      disk_free_bytes: Number,
      clock_offset_ms: Number,
    })
    t.ok(telemetry.store_bytes > 0, 'telemetry says what it takes')

    await agent.run.kill()
    await eventually('it is missed', async () => (await http.node(agent.id)).state !== 'alive')
    agent.start()
    await agent.ready(READY_MS_MAX)
    await caughtUp(http, agent.id)
    await sums.areHeld(t, http, 'from its store, after SIGKILL')
    t.equal((await agent.run.end('SIGTERM')).code, 0)
    await wire.close()
  })
}

t.test('programs do the same, bit for bit, on every processor', async (t: Test) => {
  const fleet = new Fleet(t)
  const bundle = join(fleet.directory, 'osl-digest.mjs')
  await build({
    entryPoints: [fileURLToPath(new URL('../support/osl-digest.ts', import.meta.url))],
    ...{ outfile: bundle, bundle: true, platform: 'node', format: 'esm', target: 'node18' },
  })
  const own = fleet.command(process.execPath, [bundle])
  await own.exited
  t.match(own.stdout, /^[0-9a-f]{64}\n$/, `${process.arch}, Node ${process.version}`)
  for (const [architecture, name] of Object.entries(BOARDS) as [ArmArchitecture, string][]) {
    const tree = await armTree(architecture)
    const environment = emulate(architecture, tree)
    const board = fleet.command(join(tree, 'usr/bin/node'), [bundle], environment)
    await board.exited
    t.equal(board.stdout, own.stdout, name)
  }
})
