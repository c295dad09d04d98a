/** What systemd hears of both programs, by the socket that it hands over and by its own program. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { NotifySocket, noNotifySocket } from '../support/notify-socket.ts'
import { eventually, Fleet, freePort, PROGRAM } from '../support/processes.ts'

// Most of the time is spent waiting.
t.jobs = 2

const WATCHDOG = { WATCHDOG_USEC: '1500000' }
const isPing = (text: string): boolean => text === 'WATCHDOG=1'

function isSkipped(t: Test, why: string | undefined): boolean {
  if (why !== undefined) t.pass(why, { skip: why })
  return why !== undefined
}

t.test(
  'the agent: ready without a gateway, pings, joins, is left, stops',
  { buffered: true },
  async (t) => {
    if (isSkipped(t, noNotifySocket())) return
    const fleet = new Fleet(t)
    const socket = await NotifySocket.open(fleet)
    const port = await freePort()
    const url = `mqtt://127.0.0.1:${port}`
    const argv = ['agent', '--id', 'a', '--url', url, '--data', join(fleet.directory, 'a')]
    const command = socket.connected([process.execPath, PROGRAM, ...argv])
    const agent = fleet.command(...command, WATCHDOG)
    t.equal(await socket.heard('READY=1'), `READY=1 | STATUS=waiting for ${url}`)
    t.notMatch(agent.stderr, /^ready/m, 'that line comes when it is admitted')
    const pings = (): number => socket.datagrams.filter(isPing).length
    await eventually('pings for longer than the limit', () => pings() >= 4)
    const gateway = fleet.start(
      ['gateway', '--port', `${port}`, '--http-port', '0', '--grid', '64x64'].concat([
        '--data',
        join(fleet.directory, 'gateway'),
      ]),
    )
    t.equal(await socket.heard('joined'), `STATUS=joined ${url} as a`)
    const before = pings()
    await eventually('pings while it is joined', () => pings() >= before + 3)
    await gateway.end('SIGTERM')
    const said = (): string[] => socket.datagrams.filter((one) => one.includes('STATUS='))
    await eventually('it waits again', () => said().at(-1) === `STATUS=waiting for ${url}`)
    t.match(await agent.end('SIGTERM'), { code: 0 })
    t.equal(await socket.heard('STOPPING=1'), 'STOPPING=1 | STATUS=stopping: SIGTERM')
    t.notMatch(agent.stderr, 'notify-failed')
  },
)

t.test(
  'the gateway: ready when it serves, pings, stops; children hear of nothing',
  { buffered: true },
  async (t) => {
    if (isSkipped(t, noNotifySocket())) return
    const fleet = new Fleet(t)
    const socket = await NotifySocket.open(fleet)
    const argv = ['gateway', '--port', '0', '--http-port', '0', '--grid', '64x64']
    const all = [process.execPath, PROGRAM, ...argv, '--data', join(fleet.directory, 'gateway')]
    const gateway = fleet.command(...socket.connected(all), WATCHDOG)
    await gateway.line('ready ')
    t.match(await socket.heard('READY=1'), /^READY=1 \| STATUS=MQTT on 127\.0\.0\.1:\d+, HTTP on /)
    await eventually('pings', () => socket.datagrams.filter(isPing).length >= 4)
    gateway.signal('SIGSTOP')
    const frozen = socket.datagrams.length
    await new Promise((resolve) => setTimeout(resolve, 1500))
    t.ok(socket.datagrams.length <= frozen + 1, 'none while it is frozen')
    gateway.signal('SIGCONT')
    await eventually('and again', () => socket.datagrams.length >= frozen + 3)
    t.match(await gateway.end('SIGTERM'), { code: 0 })
    await socket.heard('STOPPING=1')
  },
)

t.test(
  'without a socket it is the program of systemd that tells, slow as it may be',
  { buffered: true },
  async (t) => {
    const found = spawnSync('sh', ['-c', 'command -v systemd-notify'], { encoding: 'utf8' }).stdout
    const program = found.trim()
    if (isSkipped(t, noNotifySocket())) return
    if (isSkipped(t, program === '' ? 'needs systemd-notify (package systemd)' : undefined)) return
    const fleet = new Fleet(t)
    // So slow that a ping is under way at the signal, whenever that comes.
    const bin = join(fleet.directory, 'bin')
    mkdirSync(bin)
    const slow = `#!/bin/sh\nsleep 0.6\nexec ${program} "$@"\n`
    writeFileSync(join(bin, 'systemd-notify'), slow, { mode: 0o755 })
    const socket = await NotifySocket.open(fleet)
    const url = `mqtt://127.0.0.1:${await freePort()}`
    const argv = ['agent', '--id', 'a', '--url', url, '--data', join(fleet.directory, 'a')]
    const PATH = `${bin}:${process.env.PATH}`
    const variables = { ...WATCHDOG, NOTIFY_SOCKET: socket.path, PATH }
    const agent = fleet.command(process.execPath, [PROGRAM, ...argv], variables)
    t.match(await socket.heard('READY=1'), /READY=1.*STATUS=waiting for mqtt/)
    await eventually('pings', () => socket.datagrams.filter((one) => isPing(one)).length >= 2)
    t.match(await agent.end('SIGTERM'), { code: 0 })
    await socket.heard('STOPPING=1')
    t.notMatch(agent.stderr, 'notify-failed')
  },
)

t.test(
  'what NOTIFY_SOCKET names may be gone: it is said once, and the agent runs',
  { buffered: true },
  async (t) => {
    const fleet = new Fleet(t)
    const url = `mqtt://127.0.0.1:${await freePort()}`
    const argv = ['agent', '--id', 'a', '--url', url, '--data', join(fleet.directory, 'a')]
    const variables = {
      ...WATCHDOG,
      NOTIFY_SOCKET: join(fleet.directory, 'nowhere'),
      PATH: '/nowhere',
    }
    const agent = fleet.command(process.execPath, [PROGRAM, ...argv], variables)
    await eventually('its complaint', () => agent.stderr.includes('notify-failed'))
    const environment = readFileSync(`/proc/${agent.pid}/environ`, 'utf8')
    t.match(environment, 'NOTIFY_SOCKET', 'it was there at the start')
    await new Promise((resolve) => setTimeout(resolve, 1500))
    t.equal(agent.stderr.match(/notify-failed/g)?.length, 1)
    t.match(await agent.end('SIGTERM'), { code: 0 })
  },
)
