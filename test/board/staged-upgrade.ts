/**
 * A gateway brings a board to another version, on a real systemd: the agent fetches it, the path unit sees its request, and
 * the oneshot service installs it as root. One version runs, one goes back, and asking again and again leads to nothing.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { eventually, Fleet } from '../support/processes.ts'
import { HttpClient, type Json } from '../support/wire-client.ts'
import { artifact } from './artifacts.ts'
import { Guest, type GuestOptions } from './guest.ts'
import { copyInto, makeRootDisk } from './guest-disk.ts'
import {
  GRID,
  JOIN_MS_MAX,
  joined,
  lendPort,
  PATIENCE,
  ROOT_ON_DISK,
  SIDE,
  UNIT,
  UPGRADE_MS_MAX,
  watch,
} from './guest-steps.ts'
import { writeUpgrade } from './upgrades.ts'

const NODE = 'edge-3'
const UPGRADER = `${UNIT}-upgrade`
const STAGING = `/var/lib/private/${UNIT}/upgrade`
const OUTCOME = `/run/${UPGRADER}/outcome.json`
const INSTALLED = `sed -n 's/^  "version": "\\(.*\\)",$/\\1/p' /usr/lib/${UNIT}/package.json`
/** Of both units, in an hour. */
const REQUESTS_MAX = 6
/** Everything in there is emulated: only the times of the unit are others. */
const PATIENT = `[Service]
TimeoutStartSec=1800
ExecStart=
ExecStart=/usr/bin/node --max-old-space-size=64 /usr/lib/${UNIT}/obelisk.mjs install --role agent --staged --start-timeout 150 --join-timeout 600
`
/** What the agent's user must not change. */
const OTHERS = [
  ...[`/usr/lib/${UNIT}`, '/usr/lib', '/usr/bin', '/etc/systemd/system', '/etc/obelisk'],
  ...[`/usr/lib/${UNIT}/agent.mjs`, `/run/${UPGRADER}`, OUTCOME],
]

export async function stagedUpgrades(
  t: Test,
  machine: Pick<GuestOptions, 'tree' | 'processors'>,
): Promise<void> {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...GRID, '--dead-after-ms', '600000')
  const http = new HttpClient(gateway.http)
  const disk = join(fleet.directory, 'disk.img')
  makeRootDisk(disk, machine.tree)
  copyInto(disk, artifact('agent', 'tar.gz'), '/root/agent.tar.gz')
  const options = { ...machine, disk, commandLine: ROOT_ON_DISK, directory: fleet.directory }
  const guest = await new Guest(options).booted()
  watch(t, () => guest, `${UPGRADER}.service -u ${UNIT}`)
  await guest.run('mkdir agent && tar -xf /root/agent.tar.gz -C agent --strip-components=1')
  const url = await lendPort(guest, gateway.port)
  await guest.run(`./agent/install.sh --id ${NODE} --gateway ${url} ${PATIENCE}`, UPGRADE_MS_MAX)
  await joined(http, NODE)
  t.equal(await guest.run(`systemctl is-active ${UPGRADER}.path`), 'active')
  await guest.run(
    `mkdir /etc/systemd/system/${UPGRADER}.service.d && echo ${Buffer.from(PATIENT).toString('base64')} | base64 -d > /etc/systemd/system/${UPGRADER}.service.d/90-test.conf && systemctl daemon-reload`,
  )
  await http.run({ op: 'scale' })
  await http.run({ op: 'add', args: { field: 'n', value: 3 } })

  /** The package goes up, and the board to it; the upgrade once it is over. */
  const upgrade = async (version: string, isDying = false): Promise<Json> => {
    const file = join(fleet.directory, `agent-${version}.tar.gz`)
    await writeUpgrade(file, { version, isDying })
    const headers = { 'content-type': 'application/gzip' }
    const sent = await http.request('/api/packages', {
      ...{ method: 'POST', headers, body: readFileSync(file) },
    })
    t.equal(sent.status, 201, JSON.stringify(sent.body))
    const body = { packages: [sent.body.sha256], allow_away: true }
    const begun = await http.request('/api/upgrades', {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' } },
      body: Buffer.from(JSON.stringify(body)),
    })
    t.equal(begun.status, 202, JSON.stringify(begun.body))
    const isOver = async (): Promise<Json | false> => {
      const { latest } = await http.get('/api/upgrades')
      const { state, counts } = latest as { state: string; counts: Record<string, number> }
      return state !== 'running' && (counts.installing ?? 0) === 0 && (latest as Json)
    }
    return await eventually(`the upgrade to ${version} is over`, isOver, UPGRADE_MS_MAX)
  }
  const areHeld = async (why: string): Promise<void> => {
    await joined(http, NODE)
    const { value } = await http.run({ op: 'stat', args: { field: 'n' } })
    t.match(value, { count: SIDE * SIDE, min: 3, max: 3 }, why)
  }

  await t.test('a newer version is installed by root', async (t) => {
    t.match(await upgrade('0.9.1'), { state: 'done', counts: { done: 1 } })
    t.equal(await guest.run(INSTALLED), '0.9.1')
    t.match(JSON.parse(await guest.run(`cat ${OUTCOME}`)), { outcome: 'ready' })
    await areHeld('with its slice')
  })

  await t.test('one that does not start goes back', async (t) => {
    const over = await upgrade('0.9.2', true)
    t.match(over, { state: 'stopped', stopped: { code: 'upgrade-went-back', node: NODE } })
    t.equal(await guest.run(INSTALLED), '0.9.1')
    t.match(JSON.parse(await guest.run(`cat ${OUTCOME}`)), { outcome: 'went-back' })
    await areHeld('by the version before')
  })

  await t.test('the agent’s user changes nothing of the program', async (t) => {
    const pid = await guest.run(`systemctl show ${UNIT} --property=MainPID --value`)
    const ids = await guest.run(`stat -c '--reuid %u --regid %g' /proc/${pid}`)
    t.notMatch(ids, /--reuid 0/)
    // In its own view of the files, and in that of everybody.
    for (const view of [`nsenter --target ${pid} --mount`, 'env']) {
      const asAgent = `${view} setpriv ${ids} --clear-groups`
      for (const path of OTHERS) {
        const tried = `${asAgent} test -w ${path}`
        t.not((await guest.try(tried)).code, 0, `${view.split(' ')[0]}: ${path}`)
      }
    }
    const own = `nsenter --target ${pid} --mount setpriv ${ids} --clear-groups test -w /var/lib/${UNIT}/upgrade`
    t.equal((await guest.try(own)).code, 0, 'it may write where it asks')
  })

  await t.test('so many requests in an hour, and no more', async (t) => {
    const path = async (name: string): Promise<string> =>
      await guest.run(`systemctl show ${UPGRADER}.path --property=${name} --value`)
    const starts = async (): Promise<number> =>
      Number(
        await guest.run(`journalctl -b -u ${UPGRADER} --no-pager | grep -c 'Starting ' || true`),
      )
    const ask = async (): Promise<void> => {
      // As the agent writes it; of another start of the machine, so that nothing is done.
      await guest.run(
        `cd ${STAGING} && cp -p request.json .next && sed -i 's/"boot":"[^"]*"/"boot":"other"/' .next && mv .next request.json`,
      )
      await eventually(
        'the service has ended',
        async () =>
          /^(inactive|failed)$/.test(
            (await guest.try(`systemctl is-active ${UPGRADER}.service`)).text.trim(),
          ),
        UPGRADE_MS_MAX,
      )
    }
    for (let at = 0; at < REQUESTS_MAX + 1; at++) await ask()
    await eventually(
      'the path unit has given up',
      async () => (await path('ActiveState')) === 'failed',
    )
    t.match(await path('Result'), /limit-hit/)
    t.equal(await starts(), REQUESTS_MAX)
    await ask()
    t.equal(await starts(), REQUESTS_MAX, 'nobody looks any more')
    await areHeld('and the agent goes on')

    await guest.run(`systemctl reset-failed '${UPGRADER}.*' && systemctl start ${UPGRADER}.path`)
    t.equal(await path('ActiveState'), 'active')
    await ask()
    await eventually('it looks again', async () => (await starts()) > REQUESTS_MAX, JOIN_MS_MAX)
  })
}
