/** Readings of cells over real sockets and disks: what was acknowledged comes into its cell, whoever is killed. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { SCATTER_LSUS_MAX } from '../../shared/operations/scatter.ts'
import { encodeCbor } from '../../shared/protocol/cbor.ts'
import { eventually, Fleet, within } from '../support/processes.ts'
import { BASE, HttpClient, type Json, WireClient } from '../support/wire-client.ts'

const SIDE = 16
const SHAPE = ['--grid', `${SIDE}x${SIDE}`, '--tile', '4', '--fields', 'temp:i32']

/** How many values a cell is told before the gateway is killed at one of them. */
const TOLD = 40

async function valuesOf(http: HttpClient): Promise<number[]> {
  const { value } = await http.run({ op: 'get', args: { fields: ['temp'] } })
  return (value as Json).fields.temp as number[]
}

async function isQuiet(http: HttpClient): Promise<void> {
  await eventually('no reading waits', async () => {
    return (await http.metric('obelisk_cells_pending')) === 0
  })
}

/** Of the columns that are odd, what is told is in messages of others. */
const INPUT = `[[input]]
topic = "hall/+/+"
pointer = "/read/temp"
field = "temp"
x = "$2"
y = "$1"
`

/** A growing number for each cell of a row, until the gateway is gone; the last ones that were acknowledged. */
async function tellRow(wire: WireClient, y: number, from: number): Promise<number[]> {
  const acknowledged = Array<number>(SIDE).fill(0)
  let isGone = false
  await Promise.all(
    acknowledged.map(async (_, x) => {
      for (let value = from + 1; value <= from + TOLD && !isGone; value++) {
        const isTold =
          x % 2 === 0
            ? wire.publish(`${BASE}/cell/temp/${x}/${y}`, `${value}`)
            : wire.publish(`hall/${y}/${x}`, `{"read":{"temp":${value}}}`)
        if (await isTold) acknowledged[x] = value
        else isGone = true
      }
    }),
  )
  await wire.close()
  return acknowledged
}

async function areKept(
  t: Test,
  http: HttpClient,
  y: number,
  told: readonly number[],
): Promise<void> {
  await isQuiet(http)
  const row = (await valuesOf(http)).slice(y * SIDE, (y + 1) * SIDE)
  const lost = told.filter((value, x) => row[x]! < value)
  t.same(lost, [], `row ${y}: each cell has what was acknowledged, or a later one`)
}

t.test('a reading that was acknowledged is kept, whenever the gateway is killed', async (t) => {
  const fleet = new Fleet(t)
  const file = join(t.testdir(), 'gateway.toml')
  writeFileSync(file, INPUT)
  const gateway = await fleet.gateway(...SHAPE, '--config', file)
  const http = new HttpClient(gateway.http)
  await fleet.agents(['a', 'b'], gateway.url)
  await http.run({ op: 'scale' })
  // Around the journal, around the window, and in the middle of both.
  for (const [round, afterMs] of [30, 300, 900, 1020, 1500].entries()) {
    const wire = await WireClient.connect(gateway.url)
    const telling = tellRow(wire, round, round * TOLD)
    await new Promise((resolve) => setTimeout(resolve, afterMs))
    gateway.run.signal('SIGKILL')
    t.match(await within('its end', gateway.run.exited), { signal: 'SIGKILL' })
    const told = await telling
    t.comment(`after ${afterMs} ms: ${told.join(' ')}`)
    await gateway.restart()
    await areKept(t, http, round, told)
  }
})

t.test('two tell one cell, and it has what one of them said last', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...SHAPE)
  const http = new HttpClient(gateway.http)
  await fleet.agents(['a', 'b'], gateway.url)
  await http.run({ op: 'scale' })
  const wires = [await WireClient.connect(gateway.url), await WireClient.connect(gateway.url)]
  await Promise.all(
    wires.map(async (wire, index) => {
      for (let value = 1; value <= 20; value++) {
        t.ok(await wire.publish(`${BASE}/cell/temp/3/4`, `${100 * index + value}`))
      }
    }),
  )
  await isQuiet(http)
  t.ok([20, 120].includes((await valuesOf(http))[4 * SIDE + 3]!))
  const { status } = await http.request(`/api/tasks/$2`)
  t.equal(status, 404)
  t.equal((await http.get('/api/tasks')).length, 2, 'the tasks of this test alone')
  for (const wire of wires) await wire.close()
})

t.test('a cell whose board is away waits, also over a kill, and holds up no other', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...SHAPE, '--replicas', '1', '--dead-after-ms', '600000')
  const http = new HttpClient(gateway.http)
  const [a] = await fleet.agents(['a', 'b'], gateway.url)
  await http.run({ op: 'scale' })
  a!.run.signal('SIGKILL')
  await a!.run.exited
  const wire = await WireClient.connect(gateway.url)
  const all = Array.from({ length: SIDE * SIDE }, (_, id) => [
    id % SIDE,
    Math.floor(id / SIDE),
    id + 1,
  ])
  t.ok(await wire.publish(`${BASE}/cell/temp`, Buffer.from(encodeCbor(all))))
  const waiting = await eventually('what can be written is', async () => {
    const pending = await http.metric('obelisk_cells_pending')
    return pending > 0 && pending < SIDE * SIDE ? pending : undefined
  })
  gateway.run.signal('SIGKILL')
  await gateway.run.exited
  await gateway.restart()
  // The kill may have come before the write was on disk: then it is made again once its board is back.
  await eventually('the same cells wait', async () => {
    return (await http.metric('obelisk_cells_pending')) === waiting
  })
  await a!.restart()
  await isQuiet(http)
  t.same(
    await valuesOf(http),
    all.map(([, , value]) => value),
  )
})

t.test('as many cells as there is room for', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway('--grid', '256x256', '--fields', 'temp:i32')
  const http = new HttpClient(gateway.http)
  await fleet.agents(['a', 'b'], gateway.url)
  await http.run({ op: 'scale' })
  const wire = await WireClient.connect(gateway.url)
  const rows = Array.from({ length: SCATTER_LSUS_MAX / 512 }, (_, at) =>
    Array.from({ length: 512 }, (_, index) => [index % 256, 2 * at + (index >> 8), at + 1]),
  )
  const taken = await Promise.all(
    rows.map((row) => wire.publish(`${BASE}/cell/temp`, Buffer.from(encodeCbor(row)))),
  )
  t.notOk(taken.includes(false))
  await isQuiet(http)
  t.equal(await http.metric('obelisk_cells_refused_total'), 0)
  t.same(
    await valuesOf(http),
    rows.flatMap((row) => row.map(([, , value]) => value)),
  )
})
