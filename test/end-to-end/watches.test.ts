/** Watched cells over real sockets and disks: what is retained of them is what the boards hold. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { eventually, Fleet } from '../support/processes.ts'
import { BASE, HttpClient, type Message, WireClient } from '../support/wire-client.ts'

const SHAPE = ['--grid', '16x16', '--tile', '4', '--fields', 'temp:f32,level:u8']
const VALUES = `${BASE}/cell/+/+/+/value`

const watch = (field: string, x: number, y: number): string =>
  `[[watch]]\nfield = "${field}"\nx = ${x}\ny = ${y}\n`

/** What is retained of cells now, as whoever subscribes is given it. */
async function retained(url: string): Promise<Record<string, string>> {
  const wire = await WireClient.connect(url, VALUES, '$SYS/broker/version')
  await eventually('what comes behind it', () =>
    wire.messages.find(({ topic }) => topic.startsWith('$SYS')),
  )
  await wire.close()
  const values = wire.messages.filter(({ topic }) => !topic.startsWith('$SYS'))
  return Object.fromEntries(
    values.map(({ topic, payload }) => [topic.slice(BASE.length + 6, -6), payload.toString()]),
  )
}

const isText =
  (text: string) =>
  ({ payload }: Message): boolean =>
    payload.toString() === text

t.test('a watched cell is told when it has another number, whatever wrote it', async (t) => {
  const fleet = new Fleet(t)
  const file = join(fleet.directory, 'gateway.toml')
  writeFileSync(file, watch('temp', 1, 1) + watch('level', 1, 1) + watch('temp', 9, 9))
  const gateway = await fleet.gateway('--config', file, ...SHAPE)
  const http = new HttpClient(gateway.http)
  const [a] = await fleet.agents(['a', 'b'], gateway.url)
  const wire = await WireClient.connect(gateway.url, VALUES)

  const region = { x: 0, y: 0, w: 4, h: 4 }
  await http.run({ op: 'set', region, args: { fields: { temp: 20.5 } } })
  await wire.next('cell/temp/1/1/value', isText('20.5'))
  t.ok(await wire.publish(`${BASE}/cell/level/1/1`, '7'))
  await wire.next('cell/level/1/1/value', isText('7'))
  t.same(await retained(gateway.url), { 'temp/1/1': '20.5', 'level/1/1': '7' }, 'and no other')
  t.ok(wire.messages.every(({ qos, retain }) => qos === 1 && !retain))

  t.ok(await wire.publish(`${BASE}/cell/temp/1/1/value`, 'mine', true), 'dropped')
  const before = wire.messages.length
  await http.run({ op: 'add', region, args: { field: 'temp', value: 0 } })
  await http.run({ op: 'add', region, args: { field: 'level', value: 1 } })
  await wire.next('cell/level/1/1/value', isText('8'))
  t.equal(wire.messages.length, before + 1, 'what is as it was is not said again')

  // One of two copies is enough, and a node that comes back changes nothing.
  await a!.run.kill()
  await http.run({ op: 'set', region, args: { fields: { temp: -3 } } })
  await wire.next('cell/temp/1/1/value', isText('-3'))
  await wire.close()

  writeFileSync(file, watch('temp', 1, 1) + watch('temp', 2, 2))
  gateway.run.signal('SIGKILL')
  await gateway.run.exited
  await gateway.restart()
  await a!.restart()
  await eventually('both are read anew', async () => {
    const now = await retained(gateway.url)
    return Object.keys(now).length === 2 && now
  })
  t.same(await retained(gateway.url), { 'temp/1/1': '-3', 'temp/2/2': '-3' })
})
