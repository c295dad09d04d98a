/** What the tests in virtual machines do alike: a gateway on this machine, and an agent in there that joins it. */
import type { Test } from 'tap'
import { eventually } from '../support/processes.ts'
import type { HttpClient } from '../support/wire-client.ts'
import { DISK, type Guest } from './guest.ts'

export const SIDE = 64
export const GRID = ['--grid', `${SIDE}x${SIDE}`, '--fields', 'n:i32', '--replicas', '1']
export const ROOT_ON_DISK = `root=${DISK} rw rootwait`
export const UNIT = 'obelisk-agent'
/** Of this machine's loopback, as a guest sees it. */
export const HOST = '10.0.2.2'
/** Everything in there is emulated. */
export const JOIN_MS_MAX = 900_000

export const UPGRADE_MS_MAX = 1_200_000
/** On a machine that does much else a service is ready later than the script of its package waits for. */
export const INSTALL_DEB = '{ dpkg -i /root/agent.deb || dpkg --configure -a; }'
/** For an installation that is to succeed. */
export const PATIENCE = '--start-timeout 600 --join-timeout 600'

/** A node is there and has all that it is to have. */
export async function joined(http: HttpClient, id: string): Promise<void> {
  const isHere = async (): Promise<boolean> => {
    const { status, body } = await http.request(`/api/nodes/${id}`)
    return status === 200 && body.state === 'alive' && body.stream.head === body.stream.acked
  }
  await eventually(`${id} has joined`, isHere, JOIN_MS_MAX)
}

export async function property(guest: Guest, name: string): Promise<string> {
  return await guest.run(`systemctl show ${UNIT} --property=${name} --value`)
}

/** A gateway that is not secured is on loopback alone, for the guest too. */
export async function lendPort(guest: Guest, port: number): Promise<string> {
  const relay = `require("net").createServer((a) => { const b = require("net").connect(${port}, "${HOST}"); a.on("error", () => b.destroy()); b.on("error", () => a.destroy()); a.pipe(b).pipe(a) }).listen(${port}, "127.0.0.1")`
  const unit = `[Service]\nExecStart=/usr/bin/node /root/relay.js\nRestart=always\n[Install]\nWantedBy=multi-user.target\n`
  const put = (text: string, path: string): string =>
    `echo ${Buffer.from(text).toString('base64')} | base64 -d > ${path}`
  await guest.run(
    `${put(relay, '/root/relay.js')} && ${put(unit, '/etc/systemd/system/relay.service')}`,
  )
  await guest.run('systemctl daemon-reload && systemctl enable --now relay')
  return `mqtt://127.0.0.1:${port}`
}

/** What the guest said is shown when the test failed, and it is switched off. */
export function watch(t: Test, guest: () => Guest | undefined, unit = UNIT): void {
  t.teardown(async () => {
    const last = guest()
    if (last === undefined) return
    if (!t.passing()) {
      t.comment(last.console)
      if (!last.hasExited) {
        const journal = `journalctl -b -u ${unit} --no-pager -n 60`
        t.comment((await last.try(journal, 60_000).catch(() => undefined))?.text ?? '')
      }
    }
    await last.cut()
  })
}
