/** The units, as systemd itself reads them: without a word of complaint, confined, and as promised. */
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { EXIT_CONFIG, EXIT_LEFT, EXIT_NOT_ALLOWED } from '../shared/runtime/errors.ts'
import { SHUTDOWN_DEADLINE_MS } from '../shared/runtime/program.ts'

const FOLDER = new URL('../systemd/', import.meta.url).pathname
const ROLES = ['agent', 'gateway'] as const
/** `systemd-analyze security` counts in tenths. */
const EXPOSURE_MAX = 20

const hasTool = spawnSync('systemd-analyze', ['--version']).status === 0
const skip = hasTool ? false : 'needs systemd-analyze (Debian package systemd)'

const nameOf = (role: string): string => `obelisk-${role}.service`
const read = (role: string): string => readFileSync(join(FOLDER, nameOf(role)), 'utf8')

/** The values of a key, in their order. */
function valuesOf(unit: string, key: string): string[] {
  return [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value]) => value!)
}

/** systemd's word on a unit, as if it were installed: verified with its program in its place. */
function verify(t: Test, role: string, change: (unit: string) => string = (unit) => unit) {
  const root = t.testdir()
  const write = (path: string, text: string): void => {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  write(`usr/lib/obelisk-${role}/${role}.mjs`, '')
  write('usr/bin/node', '')
  chmodSync(join(root, 'usr/bin/node'), 0o755)
  write(`etc/systemd/system/${nameOf(role)}`, change(read(role)))
  for (const target of [
    'sysinit',
    'basic',
    'shutdown',
    'network',
    'network-online',
    'multi-user',
  ]) {
    write(`usr/lib/systemd/system/${target}.target`, '[Unit]\n')
  }
  const argv = ['verify', '--man=no', `--root=${root}`, nameOf(role)]
  const { status, stderr } = spawnSync('systemd-analyze', argv, { encoding: 'utf8' })
  return { status, stderr }
}

for (const role of ROLES) {
  t.test(`obelisk-${role}: systemd has nothing to say against it`, { skip }, async (t) => {
    t.same(verify(t, role), { status: 0, stderr: '' })
  })

  t.test(`obelisk-${role}: an unknown key or a bad value would be seen`, { skip }, async (t) => {
    const changes = ['WatchdogSec=60\nWatchdogSecs=60', 'WatchdogSec=soon']
    for (const changed of changes) {
      const { stderr } = verify(t, role, (unit) => unit.replace('WatchdogSec=60', changed))
      t.not(stderr, '', changed)
    }
    const { status } = verify(t, role, (unit) => unit.replace('/usr/bin/node', '/usr/bin/nod'))
    t.not(status, 0, 'a program that is not there')
  })

  t.test(`obelisk-${role}: is confined`, { skip }, async (t) => {
    const exposure = (path: string): { status: number | null; stdout: string } => {
      const argv = ['security', '--offline=true', `--threshold=${EXPOSURE_MAX}`, path]
      const { status, stdout } = spawnSync('systemd-analyze', argv, { encoding: 'utf8' })
      return {
        status,
        stdout: stdout
          .split('\n')
          .filter((line) => line.includes('Overall'))
          .join(),
      }
    }
    const path = join(FOLDER, nameOf(role))
    const { status, stdout } = exposure(path)
    t.equal(status, 0, stdout)
    const weak = join(t.testdir(), nameOf(role))
    cpSync(path, weak)
    writeFileSync(weak, read(role).replace(/^SystemCallFilter=.*$/gm, ''))
    t.not(exposure(weak).status, 0, 'it can fail')
  })

  t.test(`obelisk-${role}: node takes its flags`, async (t) => {
    const [start = ''] = valuesOf(read(role), 'ExecStart')
    const flags = start.split(' ').filter((word) => word.startsWith('--'))
    const { status, stderr } = spawnSync(process.execPath, [...flags, '-e', '0'], {
      encoding: 'utf8',
    })
    t.same({ status, stderr }, { status: 0, stderr: '' }, flags.join(' '))
  })

  t.test(`obelisk-${role}: is watched, and never given up`, async (t) => {
    const unit = read(role)
    const one = (key: string): string | undefined => {
      const values = valuesOf(unit, key)
      t.ok(values.length <= 1, key)
      return values[0]
    }
    t.equal(one('Type'), 'notify')
    t.equal(one('NotifyAccess'), 'all', 'systemd-notify is a process of its own')
    t.ok(Number(one('WatchdogSec')) >= 60, 'a Pi Zero stands still for long')
    t.equal(one('Restart'), 'always')
    t.equal(one('StartLimitIntervalSec'), '0')
    const rests = one('RestartPreventExitStatus')!.split(' ').map(Number)
    t.same(rests, role === 'agent' ? [EXIT_CONFIG, EXIT_LEFT] : [EXIT_CONFIG])
    t.notOk(rests.includes(EXIT_NOT_ALLOWED), 'an id that is taken may be free later')
    t.ok(Number(one('TimeoutStopSec')) * 1000 > SHUTDOWN_DEADLINE_MS)
    t.equal(one('LimitCORE'), '0', 'no core dump on the card')
    t.same([one('StandardOutput'), one('StandardError')], ['journal', 'journal'])
    t.match(valuesOf(unit, 'SystemCallFilter')[0], '@pkey', 'or V8 is ended at its start')
    t.equal(one('MemoryHigh'), undefined, 'it would starve the loop before the bound is met')
    if (role === 'agent') t.equal(one('MemoryMax'), '128M')
  })
}

t.test('obelisk-agent: a token goes once the agent has named it, and no other', (t) => {
  const [before = ''] = valuesOf(read('agent'), 'ExecStartPre')
  const [, script = ''] = /^\+-\/bin\/sh -c '(.*)'$/.exec(before) ?? []
  const root = t.testdir({ 'obelisk-agent': { identity: { 'cert.pem': '' } } })
  const token = join(root, 'obelisk-enroll-token')
  const start = (): boolean => {
    const text = script.replaceAll('%S', root).replaceAll('/etc/credstore', root)
    spawnSync('/bin/sh', ['-c', text])
    return existsSync(token)
  }
  writeFileSync(token, 'obk1-abcdefgh-aaaa-bbbb\n')
  t.ok(start(), 'an identity alone may be of a fleet that is lost')
  writeFileSync(join(root, 'obelisk-agent/spent-token'), 'obk1-hgfedcba-\n')
  t.ok(start(), 'another one')
  writeFileSync(join(root, 'obelisk-agent/spent-token'), 'obk1-abcdefgh-\n')
  t.notOk(start())
  t.end()
})

/** What installs versions runs as root: nothing may be wrong with it, and it is confined as far as that goes. */
t.test('obelisk-agent-upgrade: systemd has nothing to say against it', { skip }, async (t) => {
  const root = t.testdir({
    usr: { bin: { node: '' }, lib: { systemd: { system: {} } } },
    etc: { systemd: { system: {} } },
  })
  chmodSync(join(root, 'usr/bin/node'), 0o755)
  for (const name of ['sysinit', 'basic', 'shutdown', 'multi-user', 'paths']) {
    writeFileSync(join(root, `usr/lib/systemd/system/${name}.target`), '[Unit]\n')
  }
  const units = ['path', 'service'].map((kind) => `obelisk-agent-upgrade.${kind}`)
  for (const unit of units) cpSync(join(FOLDER, unit), join(root, 'etc/systemd/system', unit))
  const argv = ['verify', '--man=no', `--root=${root}`, ...units]
  const { status, stderr } = spawnSync('systemd-analyze', argv, { encoding: 'utf8' })
  t.same({ status, stderr }, { status: 0, stderr: '' })
  const service = join(FOLDER, units[1]!)
  const security = ['security', '--offline=true', '--threshold=35', service]
  const exposed = spawnSync('systemd-analyze', security, { encoding: 'utf8' })
  t.equal(
    exposed.status,
    0,
    exposed.stdout
      .split('\n')
      .filter((line) => /Overall/.test(line))
      .join(),
  )
})
