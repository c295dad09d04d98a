import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Logger } from '../../../shared/runtime/logger.ts'
import { SdNotify } from '../../../shared/runtime/sd-notify.ts'

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }
const PID = 4711

t.test('without anything of systemd nobody is told, and nothing is watched', async (t) => {
  const notify = new SdNotify({ WATCHDOG_USEC: '1000000' }, silent, PID)
  t.same([notify.way, notify.watchdogMs], ['none', undefined])
  notify.tell({ READY: '1' })
})

t.test('what systemd offers is taken out of the environment, the rest is left', async (t) => {
  const environment: Record<string, string | undefined> = {
    PATH: '/bin',
    NOTIFY_SOCKET: '@abstract',
    WATCHDOG_USEC: '60000000',
    WATCHDOG_PID: `${PID}`,
    LISTEN_PID: `${PID}`,
    LISTEN_FDS: '1',
    LISTEN_FDNAMES: 'other',
    JOURNAL_STREAM: '8:1',
  }
  const notify = new SdNotify(environment, silent, PID)
  t.same(environment, { PATH: '/bin', JOURNAL_STREAM: '8:1' })
  t.same([notify.way, notify.watchdogMs], ['program', 60_000], 'a descriptor of another name')
})

t.test('what is meant for another process is not ours', async (t) => {
  const of = (environment: Record<string, string | undefined>): SdNotify =>
    new SdNotify(environment, silent, PID)
  const listen = { LISTEN_FDS: '1', LISTEN_FDNAMES: 'notify' }
  t.equal(of({ ...listen, LISTEN_PID: `${PID + 1}` }).way, 'none')
  t.equal(of({ ...listen, LISTEN_FDS: '0', LISTEN_PID: `${PID}` }).way, 'none')
  const socket = { NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '5000000' }
  t.equal(of({ ...socket, WATCHDOG_PID: `${PID + 1}` }).watchdogMs, undefined)
  t.equal(of(socket).watchdogMs, 5000)
  t.equal(of({ ...socket, WATCHDOG_USEC: 'soon' }).watchdogMs, undefined)
})

t.test('the program runs once at a time; what comes meanwhile shares the next call', async (t) => {
  const directory = t.testdir()
  const log = join(directory, 'log')
  const program = join(directory, 'systemd-notify')
  const script = `#!/bin/sh\necho "begin $NOTIFY_SOCKET $*" >> ${log}\n/bin/sleep 0.3\necho end >> ${log}\n`
  writeFileSync(program, script)
  chmodSync(program, 0o755)
  const notify = new SdNotify({ PATH: directory, NOTIFY_SOCKET: '/run/x' }, silent, PID)
  notify.tell({ READY: '1', STATUS: 'waiting\nREADY=1' })
  notify.tell({ WATCHDOG: '1' })
  notify.tell({ STATUS: 'old' })
  notify.tell({ STATUS: 'new', STOPPING: '1' })
  await notify.settled()
  t.same(readFileSync(log, 'utf8').trim().split('\n'), [
    'begin /run/x READY=1 STATUS=waiting READY=1',
    'end',
    'begin /run/x WATCHDOG=1 STATUS=new STOPPING=1',
    'end',
  ])
})
