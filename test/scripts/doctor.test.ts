/** The doctor: its judgement as a table, its looks at real kernels' files, and real gateways to talk to. */
import { once } from 'node:events'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { Aedes } from 'aedes'
import t, { type Test } from 'tap'
import { runCommand } from '../../scripts/commands/program.ts'
import {
  armVersionOf,
  cgroupOf,
  type DoctorFacts,
  fileOf,
} from '../../scripts/doctor/collect-facts.ts'
import type { Finding } from '../../scripts/doctor/finding.ts'
import { judge } from '../../scripts/doctor/findings.ts'
import { probeGateway } from '../../scripts/doctor/gateway-probe.ts'
import { AppError } from '../../shared/runtime/errors.ts'
import { withoutRights } from '../support/without-rights.ts'

const WELL: DoctorFacts = {
  role: 'agent',
  unseen: [],
  node: { path: '/usr/bin/node', version: '20.19.2' },
  nodeRange: '>=20.19',
  architecture: 'arm64',
  treeArchitecture: 'arm64',
  treeProblems: [],
  armVersion: 8,
  systemd: { version: 257, isRunning: true },
  cgroup: { version: 2, hasMemory: true, isDisabledByKernel: false, commandLineFile: undefined },
  clock: { nowMs: Date.UTC(2026, 10, 27), isSynchronised: true, offsetMs: 3 },
  disk: { path: '/var/lib', freeBytes: 4e9, isReadOnly: false, fileSystem: 'ext4' },
  files: [
    {
      path: '/etc/obelisk/agent.toml',
      mode: 0o644,
      isRootOwned: true,
      isRequired: true,
      isSecret: false,
    },
  ],
  unit: {
    isLoaded: true,
    isEnabled: true,
    activeState: 'active',
    exitStatus: 0,
    statusText: 'joined mqtt://gw as edge-1',
    ...{ isMasked: false, needsReload: false, restarts: 0 },
  },
  configurationFile: '/etc/obelisk/agent.toml',
  configurationProblems: [],
  gatewayAddress: 'mqtt://gw:1883',
  gateway: { kind: 'reached', roundTripMs: 4, isNodeOnline: true },
  id: 'edge-1',
  security: {
    ...{ folder: '/var/lib/obelisk-agent/identity', identity: { kind: 'none' }, exposed: [] },
    ...{ isOpenBeyondLoopback: false, isUrlSecure: false, token: undefined },
    ...{ listens: undefined, socket: undefined, status: undefined, leftOver: undefined },
  },
}

const FILE = WELL.files[0]!
const UNIT = WELL.unit!
const CGROUP = WELL.cgroup
const CLOCK = WELL.clock
const DISK = WELL.disk!

function find(changes: Partial<DoctorFacts>, check: string): Finding | undefined {
  return judge({ ...WELL, ...changes }).find((finding) => finding.check === check)
}

t.test('a machine that is well has nothing to mend', (t) => {
  for (const role of ['agent', 'gateway'] as const) {
    const findings = judge({ ...WELL, role })
    t.same(
      findings.filter(({ level, fix }) => level !== 'ok' || fix !== undefined),
      [],
    )
  }
  t.end()
})

const RECOVERY = { expected: 2, shown: 1, nodes: ['a'], awaited: ['b'], empty: [] }

const CASES: readonly (readonly [
  check: string,
  changes: Partial<DoctorFacts>,
  level: 'warn' | 'fail',
  message: RegExp,
  fix: RegExp,
])[] = [
  ['node', { node: undefined }, 'fail', /no Node/, /apt install nodejs/],
  ['node', { node: { path: '/usr/bin/node', version: '18.20.4' } }, 'fail', /18\.20\.4/, /nodejs/],
  [
    'node',
    { node: { path: '/usr/bin/node', version: undefined }, armVersion: 6 },
    'fail',
    /does not run/,
    /armv6l.*\/usr\/lib\/obelisk-node/,
  ],
  ['architecture', { architecture: 'armhf' }, 'fail', /for arm64, this is armhf/, /for armhf/],
  [
    'architecture',
    { architecture: 'riscv64', treeArchitecture: undefined },
    'fail',
    /no agent/,
    /arm64/,
  ],
  [
    'files',
    { treeProblems: ['agent.mjs is missing'] },
    'fail',
    /agent\.mjs/,
    /install --role agent/,
  ],
  [
    'systemd',
    { systemd: { version: undefined, isRunning: false } },
    'fail',
    /does not run/,
    /by hand/,
  ],
  ['systemd', { systemd: { version: 247, isRunning: true } }, 'fail', /247/, /upgrade/],
  [
    'systemd',
    { systemd: { version: undefined, isRunning: true } },
    'warn',
    /not known/,
    /systemctl --version/,
  ],
  [
    'memory cgroup',
    {
      cgroup: {
        ...CGROUP,
        hasMemory: false,
        isDisabledByKernel: true,
        commandLineFile: '/boot/firmware/cmdline.txt',
      },
    },
    'warn',
    /cgroup_disable=memory/,
    /sed .* cgroup_enable=memory\/' \/boot\/firmware\/cmdline\.txt/,
  ],
  ['memory cgroup', { cgroup: { ...CGROUP, hasMemory: false } }, 'warn', /off/, /command line/],
  ['clock', { clock: { ...CLOCK, nowMs: 0 } }, 'fail', /year is 1970/, /set-ntp/],
  ['clock', { clock: { ...CLOCK, isSynchronised: false } }, 'warn', /not synchronised/, /set-ntp/],
  ['clock', { clock: { ...CLOCK, offsetMs: -61_000 } }, 'warn', /-61 s away/, /set-ntp/],
  ['disk', { disk: { ...DISK, isReadOnly: true } }, 'fail', /read-only/, /dmesg/],
  ['disk', { disk: { ...DISK, freeBytes: 1e6 } }, 'fail', /0 MiB free/, /apt clean/],
  ['disk', { disk: { ...DISK, freeBytes: 100e6 } }, 'warn', /95 MiB free/, /apt clean/],
  ['disk', { disk: { ...DISK, fileSystem: 'vfat' } }, 'warn', /vfat/, /ext4/],
  ['permissions', { files: [{ ...FILE, isSecret: true }] }, 'fail', /others may read/, /chmod 600/],
  ['permissions', { files: [{ ...FILE, mode: 0o666 }] }, 'fail', /others may write/, /go-w/],
  ['permissions', { files: [{ ...FILE, mode: 0o600 }] }, 'fail', /unit may not read/, /chmod 644/],
  ['permissions', { files: [{ ...FILE, isRootOwned: false }] }, 'warn', /belong/, /chown/],
  [
    'configuration',
    { configurationProblems: ['unknown key "wait"'] },
    'fail',
    /wait/,
    /agent\.toml/,
  ],
  [
    'ledger',
    { gateway: { kind: 'reached', roundTripMs: 4, fleet: { doubts: [], recovery: RECOVERY } } },
    'warn',
    /^being rebuilt from the nodes: 1 of 2 have come; awaited: b$/,
    /end the gateway first .* recover --nodes/,
  ],
  [
    'tiles',
    { gateway: { kind: 'reached', roundTripMs: 4, fleet: { doubts: [], tiles_missing: 7 } } },
    'warn',
    /^nobody has 7 tiles:/,
    /obelisk ring recreate/,
  ],
  ['unit', { unit: undefined }, 'fail', /not installed/, /install --role agent/],
  ['unit', { unit: { ...UNIT, isEnabled: false } }, 'warn', /not start at boot/, /enable/],
  [
    'unit',
    { unit: { ...UNIT, activeState: 'failed', exitStatus: 78 } },
    'fail',
    /configuration is wrong/,
    /journalctl/,
  ],
  [
    'unit',
    { unit: { ...UNIT, activeState: 'activating', exitStatus: 77 } },
    'fail',
    /id is taken/,
    /--id/,
  ],
  [
    'unit',
    { unit: { ...UNIT, activeState: 'inactive', exitStatus: 79 } },
    'warn',
    /drained/,
    /--undo/,
  ],
  [
    'unit',
    { unit: { ...UNIT, statusText: 'refused: revoked; to have it back: a new token' } },
    'fail',
    /does not take it \(refused: revoked/,
    /enroll --again/,
  ],
  [
    'unit',
    { unit: { ...UNIT, activeState: 'inactive' } },
    'fail',
    /does not run/,
    /systemctl start/,
  ],
  [
    'unit',
    { unit: { ...UNIT, activeState: 'failed', exitStatus: 70 } },
    'fail',
    /ended with 70/,
    /journalctl/,
  ],
  ['gateway', { gateway: { kind: 'name', detail: 'ENOTFOUND' } }, 'fail', /name in/, /--gateway/],
  [
    'gateway',
    { gateway: { kind: 'refused', detail: '' } },
    'fail',
    /nothing listens/,
    /if it is secured: .*mqtts:.*ssh -N -R/,
  ],
  ['gateway', { gateway: { kind: 'silent', detail: '' } }, 'fail', /does not answer/, /ping/],
  [
    'gateway',
    { gateway: { kind: 'not-authorised', detail: '' } },
    'fail',
    /refuses this node/,
    /security log/,
  ],
  [
    'gateway',
    { gateway: { kind: 'not-a-gateway', detail: '' } },
    'fail',
    /not an MQTT/,
    /--gateway/,
  ],
  [
    'gateway',
    { role: 'gateway', gateway: { kind: 'refused', detail: 'ECONNREFUSED' } },
    'fail',
    /does not answer/,
    /restart/,
  ],
  [
    'gateway',
    {
      role: 'gateway',
      unit: { ...UNIT, isLoaded: false },
      gateway: { kind: 'refused', detail: 'ECONNREFUSED' },
    },
    'fail',
    /does not answer/,
    /^sudo obelisk install --role gateway --from/,
  ],
  ['name', { unit: { ...UNIT, activeState: 'failed' } }, 'fail', /online as edge-1/, /--id/],
]

t.test('each trouble is told, with what mends it', (t) => {
  for (const [check, changes, level, message, fix] of CASES) {
    t.match(find(changes, check), { level, message, fix }, `${check} ${message}`)
  }
  t.end()
})

t.test('what only root may look at is not known, and spoils nothing else', (t) => {
  const unseen = ['/etc/obelisk/agent.toml', '/var/lib/private/obelisk-agent'].map((path) => ({
    path,
    fault: new AppError('not-permitted', `${path} may not be looked at`, { exitCode: 77 }),
  }))
  const gateway = { kind: 'not-asked', detail: 'its address is in the configuration' } as const
  const findings = judge({ ...WELL, unseen, gateway })
  const odd = findings.filter(({ level }) => level !== 'ok')
  t.same(
    odd.map(({ check, level, fix }) => [check, level, fix]),
    ['rights', 'configuration', 'gateway'].map((check) => [check, 'warn', 'sudo obelisk doctor']),
  )
  t.match(odd[0]!.message, /not known.*agent\.toml, .*private\/obelisk-agent/)
  t.match(
    findings.find(({ check }) => check === 'permissions'),
    { message: /what may be looked at/ },
  )
  const damaged = new AppError('bad-package', 'x is not sound', { exitCode: 65 })
  t.match(find({ unseen: [{ path: '/usr/lib/x', fault: damaged }] }, 'files'), {
    level: 'fail',
    fix: /install --role agent/,
  })
  t.end()
})

t.test('a file that may not be looked at ends no visit', async (t) => {
  const directory = t.testdir({ credstore: { password: '' } })
  chmodSync(join(directory, 'credstore'), 0o000)
  const path = join(directory, 'credstore/password')
  const seen = await withoutRights(async () => fileOf(path, { isSecret: true, isRequired: false }))
  chmodSync(join(directory, 'credstore'), 0o700)
  t.match(seen, { path, mode: undefined })
})

t.test('kernels are read as they are', (t) => {
  for (const [name, version] of [
    ...[['armv6l', 6] as const, ['armv7l', 7] as const, ['aarch64', 8] as const],
    ['x86_64', undefined] as const,
  ]) {
    t.equal(armVersionOf(name), version, name)
  }
  const root = t.testdir()
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  t.match(cgroupOf(root), { version: undefined, hasMemory: false })
  put('proc/cgroups', '#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t0\n')
  put('proc/cmdline', 'quiet cgroup_disable=memory')
  put('boot/cmdline.txt', 'x')
  t.match(cgroupOf(root), {
    version: 1,
    hasMemory: false,
    isDisabledByKernel: true,
    commandLineFile: '/boot/cmdline.txt',
  })
  put('proc/cgroups', 'memory\t4\t90\t1\n')
  t.match(cgroupOf(root), { version: 1, hasMemory: true })
  put('sys/fs/cgroup/cgroup.controllers', 'cpuset cpu io pids\n')
  t.match(cgroupOf(root), { version: 2, hasMemory: false })
  put('sys/fs/cgroup/cgroup.controllers', 'cpuset cpu io memory pids\n')
  put('boot/firmware/cmdline.txt', 'x')
  t.match(cgroupOf(root), {
    version: 2,
    hasMemory: true,
    commandLineFile: '/boot/firmware/cmdline.txt',
  })
  t.end()
})

async function listen(t: Test, serve: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(serve!)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const QUESTION = {
  topics: ['a/state', 'a/none'],
  timeoutMs: 2000,
}

t.test('a gateway is reached, and its troubles are told apart', async (t) => {
  const broker = await Aedes.createBroker()
  t.teardown(() => broker.close())
  let isOpen = true
  broker.authenticate = (_client, _name, _password, done) => {
    if (isOpen) done(null, true)
    else done(Object.assign(new Error('no'), { returnCode: 4 }), false)
  }
  const url = await listen(t, broker.handle)
  const packet = {
    cmd: 'publish',
    topic: 'a/state',
    payload: 'online',
    retain: true,
    qos: 0,
    dup: false,
  } as const
  await new Promise<void>((resolve) => broker.publish(packet, () => resolve()))
  const reached = await probeGateway({ ...QUESTION, url })
  t.match(reached.probe, { kind: 'reached' })
  t.same([...reached.retained], [['a/state', 'online']])
  const kind = async (question: object): Promise<string> =>
    (await probeGateway({ ...QUESTION, url, ...question })).probe.kind
  isOpen = false
  t.equal(await kind({}), 'not-authorised')
  t.equal(await kind({ url: 'mqtt://no-such-host.invalid' }), 'name')
  t.equal(await kind({ url: 'mqtt://127.0.0.1:1' }), 'refused')
  t.equal(
    await kind({ url: await listen(t, (socket) => socket.resume()), timeoutMs: 200 }),
    'silent',
  )
  t.equal(
    await kind({ url: await listen(t, (socket) => socket.end('HTTP/1.1 400\r\n\r\n')) }),
    'not-a-gateway',
  )
})

function runIn(variables: Record<string, string>) {
  return async (...words: string[]): Promise<{ code: number; out: string }> => {
    let out = ''
    const stdout = { write: (text: string | Uint8Array) => (out += text) }
    const stdin = (async function* () {})()
    const environment = { PATH: process.env.PATH, ...variables }
    const code = await runCommand(
      ['doctor', ...words],
      { stdout, stderr: stdout, stdin, environment },
      '0',
    )
    return { code, out }
  }
}

t.test('it looks at the gateway that the program would be started with', async (t) => {
  const file = join(t.testdir(), 'any.toml')
  const at = async (
    role: string,
    variables: Record<string, string>,
    ...words: string[]
  ): Promise<string> => {
    const { out } = await runIn(variables)('--role', role, '--json', ...words)
    const [{ findings }] = JSON.parse(out) as [{ findings: Finding[] }]
    t.match(
      findings.find(({ check }) => check === 'configuration'),
      { level: 'ok' },
    )
    return findings.find(({ check }) => check === 'gateway')!.message
  }
  writeFileSync(file, 'url = "mqtt://127.0.0.1:2"\n')
  const named = { OBELISK_CONFIG: file }
  const url = 'mqtt://127.0.0.1:3'
  t.match(await at('agent', { OBELISK_URL: url }), url)
  t.match(await at('agent', named), 'mqtt://127.0.0.1:2')
  t.match(await at('agent', {}, '--config', file), 'mqtt://127.0.0.1:2')
  t.match(await at('agent', { ...named, OBELISK_URL: url }), url, 'as the agent: it wins')
  t.match(await at('agent', { OBELISK_URL: url }, '--url', 'mqtt://127.0.0.1:4'), ':4')

  writeFileSync(file, 'http_port = 2\n')
  t.match(await at('gateway', named), 'http://127.0.0.1:2 ')
  t.match(await at('gateway', { OBELISK_HTTP_PORT: '3' }, '--config', file), ':3 ')
  t.match(await at('gateway', { ...named, OBELISK_HTTP: 'http://127.0.0.1:4' }), ':4 ')
  t.match(await at('gateway', named, '--http', 'http://127.0.0.1:5'), ':5 ')
})

t.test('the command prints its findings, and ends with 1 when something fails', async (t) => {
  const run = runIn({})
  const url = 'http://127.0.0.1:1'
  const { code, out } = await run('--role', 'gateway', '--http', url, '--json')
  const [report] = JSON.parse(out) as [{ role: string; findings: Finding[] }]
  t.equal(report.role, 'gateway')
  t.match(
    report.findings.find(({ check }) => check === 'gateway'),
    { level: 'fail' },
  )
  t.equal(code, 1)
  t.match(
    (await run('--role', 'gateway', '--http', url)).out,
    /^gateway\n {2}(ok|fail|warn) +node: /,
  )
  t.equal((await run('--role', 'boss')).code, 2)
})
