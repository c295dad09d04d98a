/** The running agent starts no process: each would cost a board memory that it does not have. */
import t from 'tap'
import { childrenOf } from '../support/children-trace.ts'
import { NotifySocket, noNotifySocket } from '../support/notify-socket.ts'
import { eventually, Fleet, PROGRAM } from '../support/processes.ts'
import { BASE, HttpClient, WireClient } from '../support/wire-client.ts'

const SAMPLES = 5
const NONE = { faultsOfEnded: 0, running: [] }

t.test('heartbeats, telemetry, tasks, pings to systemd: no child all the while', async (t) => {
  const fleet = new Fleet(t)
  const { url, http: base } = await fleet.gateway('--grid', '64x64', '--replicas', '1')
  const http = new HttpClient(base)
  const wire = await WireClient.connect(url, `${BASE}/node/a/telemetry`)
  t.teardown(() => wire.close())
  const argv = ['agent', '--id', 'a', '--url', url, '--data', `${fleet.directory}/a`]
  const all = [process.execPath, PROGRAM, ...argv, '--telemetry-interval', '1']
  const why = noNotifySocket()
  if (why !== undefined) t.comment(`without pings to systemd: ${why}`)
  const socket = why === undefined ? await NotifySocket.open(fleet) : undefined
  const [program, words] = socket?.connected(all) ?? [all[0]!, all.slice(1)]
  const agent = fleet.command(program, words, { WATCHDOG_USEC: '1500000' })
  await agent.line('ready ')
  t.same(childrenOf(agent.pid), NONE, 'none at the start')
  // What the background looks at once a minute it looks at when it starts, too.
  await eventually('samples', async () => {
    await http.run({ op: 'add', args: { field: 'value', value: 1 } })
    await http.run({ op: 'stat', args: { field: 'value' } })
    return wire.of('node/a/telemetry').length >= SAMPLES
  })
  t.same(childrenOf(agent.pid), NONE)
  if (socket !== undefined) {
    t.ok(socket.datagrams.filter((one) => one === 'WATCHDOG=1').length >= SAMPLES)
  }
})

t.test('a process that has children, however short, is found out', async (t) => {
  const fleet = new Fleet(t)
  const lines = (program: string): string[] => ['-e', program]
  const ended = fleet.command(
    process.execPath,
    lines(`
      require('node:child_process').spawnSync('true')
      process.stderr.write('ready\\n')
      setInterval(() => {}, 1000)
    `),
  )
  const running = fleet.command(
    process.execPath,
    lines(`
      const child = require('node:child_process').spawn('sleep', ['60'])
      process.stderr.write('ready ' + child.pid + '\\n')
      process.on('SIGTERM', () => { child.kill(); process.exit(0) })
    `),
  )
  await ended.line('ready')
  t.ok(childrenOf(ended.pid).faultsOfEnded > 0)
  const pid = Number((await running.line('ready')).split(' ')[1])
  t.match(childrenOf(running.pid), { running: [pid] })
  await running.end('SIGTERM')
})
