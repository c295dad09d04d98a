/**
 * The packaged agent on a real systemd, in a virtual machine with 256 MB, against a gateway on this machine:
 * installed, watched, bounded, cut off from power in the middle of writes, and flashed.
 *
 * `npm run test:vm`, and with LONG=1 all of it; what it needs, and what it says when that is missing, is in docs/testing.md.
 */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Random } from '../../shared/core/random.ts'
import { Additions, allCompleted } from '../support/additions.ts'
import { eventually, Fleet, freePort } from '../support/processes.ts'
import { HttpClient, WireClient } from '../support/wire-client.ts'
import { artifact } from './artifacts.ts'
import { BoardKeys } from './board-keys.ts'
import { DISK_PART_2, Guest } from './guest.ts'
import { bootFilesOf, commandLineOf, copyInto, makeCardImage, makeRootDisk } from './guest-disk.ts'
import {
  GRID,
  HOST,
  INSTALL_DEB,
  JOIN_MS_MAX,
  joined,
  lendPort,
  PATIENCE,
  property,
  ROOT_ON_DISK,
  SIDE,
  UNIT,
  UPGRADE_MS_MAX,
  watch,
} from './guest-steps.ts'
import { guestTree, olderGuestTree } from './guest-tree.ts'
import { nodeRelease } from './node-release.ts'
import { stagedUpgrades } from './staged-upgrade.ts'
import { writeUpgrade } from './upgrades.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const isLong = process.env.LONG !== undefined
t.comment(`SEED=${seed} npm run test:vm`)
t.setTimeout(3_600_000)
t.jobs = 2
/** One, as the smallest board has, where two machines run at a time. */
const processors = isLong ? 1 : 2

const UPGRADES = {
  sound: { version: '0.9.1' },
  dying: { version: '0.9.2', isDying: true },
} as const
const VERSION_OF_TREE = `sed -n 's/^  "version": "\\(.*\\)",$/\\1/p' /usr/lib/${UNIT}/package.json`

const tree = await guestTree()
/** Made, where it has to be, beside the tests before the one that needs it. */
const olderTreeToCome = isLong ? olderGuestTree() : undefined
// That test sees it when it fails.
olderTreeToCome?.catch(() => {})

/** Of what takes minutes each. */
const skip = isLong ? false : 'only in the long round: LONG=1'

const DROP_IN = `/run/systemd/system/${UNIT}.service.d`

/** Before the service is installed, which then needs no restart for it; gone with the next boot. */
async function shortenWatchdog(guest: Guest): Promise<void> {
  await guest.run(
    `mkdir -p ${DROP_IN} && printf '[Service]\\nWatchdogSec=20\\n' > ${DROP_IN}/90-test.conf`,
  )
}

/** Frozen, its service is killed by the watchdog and comes back. */
async function thawed(t: Test, guest: Guest, http: HttpClient, id: string): Promise<void> {
  const before = Number(await property(guest, 'NRestarts'))
  await guest.run(`systemctl kill --signal=STOP ${UNIT}`)
  // The gateway is asked: the guest has one thing less to emulate.
  const isMissed = async (): Promise<boolean> => (await http.node(id)).state !== 'alive'
  await eventually(`${id} is missed`, isMissed, JOIN_MS_MAX)
  await joined(http, id)
  t.equal(await property(guest, 'ActiveState'), 'active')
  t.ok(Number(await property(guest, 'NRestarts')) > before, 'systemd started it again')
  t.match(await guest.run(`journalctl -b -u ${UNIT} --no-pager`), /[Ww]atchdog/)
}

t.test('a board runs the package as a service', { buffered: true }, async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...GRID)
  const http = new HttpClient(gateway.http)
  const disk = join(fleet.directory, 'disk.img')
  makeRootDisk(disk, tree)
  copyInto(disk, artifact('agent', 'deb'), '/root/agent.deb')
  for (const [name, upgrade] of isLong ? Object.entries(UPGRADES) : []) {
    const path = join(fleet.directory, `${name}.deb`)
    await writeUpgrade(path, upgrade)
    copyInto(disk, path, `/root/${name}.deb`)
  }
  const commandLine = ROOT_ON_DISK
  const start = (): Promise<Guest> =>
    new Guest({ tree, disk, commandLine, processors, directory: fleet.directory }).booted()
  let guest = await start()
  watch(t, () => guest)
  const random = new Random(seed)
  const sums = new Additions(SIDE, random, { valueMax: 1 })

  await t.test('the package installs, and the service joins', async (t) => {
    await shortenWatchdog(guest)
    await guest.run(INSTALL_DEB, UPGRADE_MS_MAX)
    const url = await lendPort(guest, gateway.port)
    const install = `obelisk install --role agent --packaged --id edge-7 --gateway ${url} ${PATIENCE}`
    await guest.run(install, UPGRADE_MS_MAX)
    await joined(http, 'edge-7')
    t.equal(await property(guest, 'ActiveState'), 'active')
    t.equal(await property(guest, 'Type'), 'notify')
    t.match(await property(guest, 'StatusText'), /joined .* as edge-7/)
    t.not(await guest.run(`stat -c %u /proc/$(systemctl show ${UNIT} -P MainPID)`), '0')
    t.match(await guest.run(install), /nothing/i, 'a second time changes nothing')
  })

  await t.test('it works, and spawns nothing while it does', async (t) => {
    await http.run({ op: 'scale' })
    const wire = await WireClient.connect(gateway.url)
    for (let count = 0; count < 10; count++) sums.next()
    await sums.send(wire)
    await sums.areDone(t, http)
    await sums.areHeld(t, http, 'the board holds what was added')
    await wire.close()
    t.equal(await property(guest, 'NRestarts'), '0')
    t.equal(
      await guest.run(`wc -l < /sys/fs/cgroup/system.slice/${UNIT}.service/cgroup.procs`),
      '1',
    )
  })

  await t.test('frozen, it is killed by the watchdog and comes back', async (t) => {
    await thawed(t, guest, http, 'edge-7')
    await sums.areHeld(t, http, 'with its slice')
  })

  await t.test(
    'what takes more than MemoryMax in it is killed, and it comes back',
    { skip },
    async (t) => {
      await guest.run(`rm -r ${DROP_IN} && systemctl daemon-reload && systemctl restart ${UNIT}`)
      await joined(http, 'edge-7')
      const group = `/sys/fs/cgroup/system.slice/${UNIT}.service`
      t.equal(await guest.run(`cat ${group}/memory.max`), `${128 * 1024 * 1024}`)
      const before = Number(await property(guest, 'NRestarts'))
      const kills = async (): Promise<number> =>
        Number(await guest.run(`journalctl -b -k --no-pager | grep -c oom-kill || true`))
      const killsBefore = await kills()
      const hog = 'const all = []; for (;;) all.push(Buffer.alloc(4 << 20, 1))'
      await guest.try(`echo $$ > ${group}/cgroup.procs; exec node -e '${hog}'`)
      t.ok((await kills()) > killsBefore, 'the kernel ended something for it')
      t.comment(`NRestarts ${before} -> ${await property(guest, 'NRestarts')}`)
      await eventually(
        'the service is up',
        async () => (await property(guest, 'ActiveState')) === 'active',
        JOIN_MS_MAX,
      )
      await joined(http, 'edge-7')
      await sums.areHeld(t, http, 'with its slice')
    },
  )

  await t.test('cut off from power in the middle of writes, it has its slice', async (t) => {
    for (let round = 0; round < (isLong ? 2 : 1); round++) {
      const wire = await WireClient.connect(gateway.url)
      const done = sums.tasks.size
      for (let count = 0; count < 60; count++) sums.next()
      const cutAt = 10 + random.integer(30)
      let acknowledged = 0
      let cut: Promise<void> | undefined
      const sending = sums.send(wire, () => {
        acknowledged += 1
        if (acknowledged === cutAt) cut = guest.cut()
      })
      await sending
      await cut
      const running = await http.get('/api/tasks?limit=1000&state=running')
      t.comment(`cut at ${cutAt} of ${sums.tasks.size - done}, ${running.length} under way`)
      await wire.close()
      guest = await start()
      await joined(http, 'edge-7')
      await allCompleted(t, http, sums.tasks.keys())
      await sums.areHeld(t, http, `every accepted task once, after cut ${round}`)
      t.equal(await guest.run(`obelisk doctor --role agent --json | grep -c '"fail"' || true`), '0')
    }
  })

  await t.test(
    'an upgrade keeps the slice, and one that does not start goes back',
    { skip },
    async (t) => {
      await guest.run('dpkg -i /root/sound.deb', UPGRADE_MS_MAX)
      await joined(http, 'edge-7')
      t.equal(await guest.run(VERSION_OF_TREE), UPGRADES.sound.version)
      await sums.areHeld(t, http, 'by the new version')
      const { code, text } = await guest.try('dpkg -i /root/dying.deb', UPGRADE_MS_MAX)
      t.not(code, 0, 'dpkg says that it failed')
      t.match(text, /previous|went back|put back/i)
      t.comment(text)
      await joined(http, 'edge-7')
      t.equal(await guest.run(VERSION_OF_TREE), UPGRADES.sound.version)
      await sums.areHeld(t, http, 'by the version before')
    },
  )

  await t.test('uninstalled, it leaves its data', async (t) => {
    await guest.run('dpkg -r obelisk-agent')
    t.equal((await guest.try(`systemctl is-active ${UNIT}`)).text.trim(), 'inactive')
    await guest.run('ls /var/lib/obelisk-agent/state-64')
    t.not((await guest.try('obelisk --version')).code, 0)
  })
})

t.test(
  'a gateway brings a board to another version, as root installs it',
  { skip, buffered: true },
  async (t) => await stagedUpgrades(t, { tree, processors }),
)

t.test('a gateway runs as a service too, beside an agent', { skip, buffered: true }, async (t) => {
  const fleet = new Fleet(t)
  const disk = join(fleet.directory, 'disk.img')
  makeRootDisk(disk, tree)
  for (const role of ['gateway', 'agent'] as const) {
    copyInto(disk, artifact(role, 'deb'), `/root/${role}.deb`)
  }
  const options = { tree, disk, commandLine: ROOT_ON_DISK, processors, directory: fleet.directory }
  const guest = await new Guest(options).booted()
  watch(t, () => guest, 'obelisk-gateway')
  const { code } = await guest.try('dpkg -i /root/gateway.deb', UPGRADE_MS_MAX)
  const show = 'systemctl show obelisk-gateway --value --property'
  await eventually(
    'the gateway is ready',
    async () => (await guest.run(`${show}=ActiveState`)) === 'active',
    JOIN_MS_MAX,
  )
  if (code !== 0) await guest.run('dpkg --configure -a', UPGRADE_MS_MAX)
  t.not(await guest.run(`stat -c %u /proc/$(${show}=MainPID)`), '0')
  const installAgent = `obelisk install --role agent --packaged --id edge-9 ${PATIENCE}`
  await guest.run(`${INSTALL_DEB} && ${installAgent}`, UPGRADE_MS_MAX)
  const list = await eventually(
    'its own agent has joined',
    async () => {
      const { code, text } = await guest.try('obelisk node ls')
      return code === 0 && /edge-9 +alive/.test(text) && text
    },
    JOIN_MS_MAX,
  )
  t.match(list, /edge-9/)
  t.match(await guest.run('obelisk task submit scale --region 0,0,64,64 --wait 60'), /completed/)
  await t.test('secured, its keys outlive its disk', (t) => secured(t, guest))
  await guest.run('dpkg -r obelisk-agent obelisk-gateway', UPGRADE_MS_MAX)
  await guest.run('ls /var/lib/obelisk-gateway/state-64')
})

/** The gateway has a user of its own, who has to read what root makes for it. */
async function secured(t: Test, guest: Guest): Promise<void> {
  const isAlive = async (): Promise<boolean> => {
    const { code, text } = await guest.try('obelisk node ls')
    return code === 0 && /edge-9 +alive/.test(text)
  }
  const owners = 'stat -c %u /var/lib/private/obelisk-gateway/security'
  await guest.run('obelisk gateway secure', UPGRADE_MS_MAX)
  await guest.run('obelisk token create edge-9 > /root/token')
  const url = 'mqtts://127.0.0.1:8883'
  const install = `obelisk install --role agent --packaged --gateway ${url} --token-file /root/token ${PATIENCE}`
  await guest.run(install, UPGRADE_MS_MAX)
  await eventually('edge-9 has joined with its key', isAlive, JOIN_MS_MAX)
  t.not(await guest.run(owners), '0')

  const passphrase = '--passphrase-file /root/passphrase'
  await guest.run('echo correct horse battery > /root/passphrase')
  await guest.run(`obelisk ca backup /root/keys.backup ${passphrase}`)
  t.match(await guest.run('obelisk doctor --role gateway; true'), /backup: of keys/)
  await guest.run('systemctl stop obelisk-gateway')
  await guest.run('find /var/lib/private/obelisk-gateway -mindepth 1 -delete')
  await guest.run('echo OBELISK_RECOVER_NODES=1 > /etc/default/obelisk-gateway')
  await guest.run(`obelisk ca restore /root/keys.backup ${passphrase} --none-revoked`)
  t.not(await guest.run(`${owners}/identities/state-64/data.mdb`), '0')
  await guest.run('systemctl start obelisk-gateway', UPGRADE_MS_MAX)
  await eventually('edge-9 is back by itself', isAlive, JOIN_MS_MAX)
  t.match(await guest.run('obelisk security log --verify'), /^ok/m)
}

/** The command, to its end; what it printed. */
async function obelisk(fleet: Fleet, ...argv: readonly string[]): Promise<string> {
  const run = fleet.start(argv)
  const { code } = await run.exited
  if (code !== 0) throw new Error(`obelisk ${argv.join(' ')}: ${run.stderr}`)
  return run.stdout
}

t.test(
  'a flashed card enrols, and joins a secured gateway',
  { skip, buffered: true },
  async (t) => {
    const fleet = new Fleet(t)
    const data = join(fleet.directory, 'gateway')
    const port = await freePort()
    await obelisk(fleet, 'gateway', 'secure', '--data', data)
    const listens = [
      '--host',
      '127.0.0.1',
      '--port',
      `${port}`,
      '--http-port',
      `${await freePort()}`,
    ]
    const gateway = fleet.start(['gateway', '--data', data, ...listens, ...GRID])
    await gateway.line('ready mqtts=')
    const owner = ['--http', `unix:${join(data, 'admin.sock')}`]
    const token = join(fleet.directory, 'token')
    writeFileSync(token, await obelisk(fleet, 'token', 'create', 'edge-042', ...owner))
    const image = join(fleet.directory, 'os.img')
    const card = join(fleet.directory, 'card.img')
    makeCardImage(image, tree, `root=${DISK_PART_2} rw rootwait`)
    const flash = fleet.command('scripts/flash', [
      ...['--image', image, '--output', card, '--id', 'edge-042', '--yes'],
      ...['--gateway', `mqtts://${HOST}:${port}`, '--token-file', token],
      ...['--package', artifact('agent', 'tar.gz')],
    ])
    const { code } = await flash.exited
    t.equal(code, 0, flash.stderr)
    rmSync(image)
    t.match(commandLineOf(card), /cgroup_enable=memory/)
    let guest: Guest | undefined
    watch(t, () => guest)
    // Each boot reads the command line from the card, as the firmware of a board does.
    const start = (): Guest =>
      new Guest({
        ...{ tree, disk: card, commandLine: commandLineOf(card), processors },
        directory: fleet.directory,
      })
    const first = start()
    guest = first
    await first.off()
    t.notMatch(commandLineOf(card), /systemd\./, 'the first boot takes itself away')
    t.notMatch(bootFilesOf(card), /firstrun|agent\.toml|token/i, 'and what it was told')
    guest = await start().booted()
    const isAlive = async (): Promise<boolean> =>
      /edge-042 +alive/.test(await obelisk(fleet, 'node', 'ls', ...owner))
    await eventually('edge-042 has joined', isAlive, JOIN_MS_MAX)
    t.equal(await guest.run('hostname'), 'edge-042')
    t.match(await property(guest, 'StatusText'), /joined mqtts:.* as edge-042/)
    const credential = '/etc/credstore/obelisk-enroll-token'
    t.equal(await guest.run(`stat -c %a ${credential}`), '600')
    await guest.run(`systemctl restart ${UNIT}`)
    t.not((await guest.try(`ls ${credential}`)).code, 0, 'done its work')

    // Another key, by the gateway and by hand; root makes what the service's own user has to read.
    const board = guest
    const keys = await BoardKeys.of(board)
    await obelisk(fleet, 'node', 'rotate-key', 'edge-042', ...owner)
    await eventually('it has another key', () => keys.hasAnother(), JOIN_MS_MAX)
    await eventually('and only that', () => keys.isAlone())
    const again = await obelisk(fleet, 'token', 'create', 'edge-042', '--replace', ...owner)
    const command = 'obelisk agent enroll --again --token-file -'
    t.match(await board.run(`echo ${again.trim()} | ${command}`), /another identity/)
    await eventually('it has a third one', () => keys.hasAnother())
    await eventually('and joins by it', isAlive, JOIN_MS_MAX)
    t.ok(await keys.isOwn())

    // The gateway comes back with other keys, and a token is put on the card.
    await gateway.kill()
    const other = join(fleet.directory, 'other')
    await obelisk(fleet, 'gateway', 'secure', '--data', other)
    await fleet.start(['gateway', '--data', other, ...listens, ...GRID]).line('ready mqtts=')
    const newOwner = ['--http', `unix:${join(other, 'admin.sock')}`]
    const last = await obelisk(fleet, 'token', 'create', 'edge-042', ...newOwner)
    await board.run(
      `mkdir -p /boot/firmware/obelisk && echo ${last.trim()} >/boot/firmware/obelisk/enroll-token`,
    )
    await board.run(`systemctl restart ${UNIT}`)
    await eventually('it is enrolled anew', () => keys.hasAnother(), JOIN_MS_MAX)
    t.ok(await keys.isOwn())
  },
)

t.test('on systemd 252, with a Node that is brought along', { skip, buffered: true }, async (t) => {
  const olderTree = await olderTreeToCome!
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...GRID)
  const http = new HttpClient(gateway.http)
  const disk = join(fleet.directory, 'disk.img')
  makeRootDisk(disk, olderTree)
  copyInto(disk, artifact('agent', 'tar.gz'), '/root/agent.tar.gz')
  copyInto(disk, nodeRelease('x64'), '/root/node')
  const options = { tree: olderTree, disk, commandLine: ROOT_ON_DISK, processors }
  const guest = await new Guest({ ...options, directory: fleet.directory }).booted()
  watch(t, () => guest)
  t.match(await guest.run('systemctl --version'), /systemd 252/)
  await guest.run('mkdir agent && tar -xf /root/agent.tar.gz -C agent --strip-components=1')
  const url = await lendPort(guest, gateway.port)
  const install = `./agent/install.sh --id edge-5 --gateway ${url} ${PATIENCE}`
  const early = await guest.try(install)
  t.equal(early.code, 21)
  t.match(early.text, /Node 20\.\d+ or newer is needed.*; \/usr\/bin\/node is v18/)
  t.not((await guest.try(`ls /usr/lib/${UNIT} /etc/obelisk`)).text, /agent.mjs|agent.toml/)

  await shortenWatchdog(guest)
  await guest.run('install -D -m 755 /root/node /usr/lib/obelisk-node/bin/node && rm /root/node')
  await guest.run(install, UPGRADE_MS_MAX)
  await joined(http, 'edge-5')
  t.match(await property(guest, 'StatusText'), /joined .* as edge-5/, 'told by systemd-notify')
  await http.run({ op: 'scale' })
  await http.run({ op: 'add', args: { field: 'n', value: 3 } })
  await thawed(t, guest, http, 'edge-5')
  const { value } = await http.run({ op: 'stat', args: { field: 'n' } })
  t.match(value, { count: SIDE * SIDE, min: 3, max: 3 }, 'with its slice')
})
