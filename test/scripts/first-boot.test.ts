/** The first boot of flashed images: its script, run on another root, cut off, and without what it needs. */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { editCommandLine } from '../../scripts/image/command-line.ts'
import {
  BOARD_FILES,
  COMMAND_LINE,
  makeImage,
  missingTools,
  readFromImage,
  tool,
  unpackBoot,
} from '../support/board-image.ts'
import {
  BOARD,
  makeNodeArchive,
  makePackage,
  obelisk,
  SECURED_BOARD,
  TOKEN,
} from '../support/card-bench.ts'
import { SmallDisk } from '../support/small-disk.ts'

const withoutTools = missingTools()
const skip = withoutTools === undefined ? {} : { skip: withoutTools }

t.test('a flashed image boots into an agent, by its own script', skip, async (t) => {
  const directory = t.testdir({
    token: `${TOKEN}\n`,
    wifi: 'wifi secret\n',
    key: `ssh-ed25519 ${'A'.repeat(68)} me\n`,
  })
  const at = (name: string): string => join(directory, name)
  const image = makeImage(at('raspios.img'), { bits: 32 })
  tool('xz', ['-0', '-k', image])
  const sha256 = createHash('sha256')
    .update(readFileSync(`${image}.xz`))
    .digest('hex')
  const agent = makePackage(directory, 'arm64')
  const flashed = at('card.img')
  const words = [
    'image',
    'flash',
    '--image',
    `${image}.xz`,
    '--sha256',
    sha256,
    ...SECURED_BOARD,
    '--package',
    agent,
  ]
  const secrets = ['--token-file', at('token'), '--wifi', 'home', '--country', 'DE']
  const rest = ['--wifi-password-file', at('wifi'), '--ssh-key', at('key'), '--output', flashed]
  const made = await obelisk([...words, ...secrets, ...rest])
  t.equal(made.code, 0, made.err)
  t.equal(statSync(flashed).size, statSync(image).size)
  t.equal(statSync(flashed).mode & 0o777, 0o600, 'there are passwords in it')
  t.equal(readFromImage(flashed, 'kernel8.img'), BOARD_FILES['kernel8.img'])
  t.equal(
    readFromImage(flashed, 'cmdline.txt'),
    editCommandLine(COMMAND_LINE, { isFirstBoot: true, country: 'DE' }),
  )
  t.same(readFileSync(flashed).subarray(0, 512), readFileSync(image).subarray(0, 512))
  t.equal(readFromImage(image, 'cmdline.txt'), COMMAND_LINE, 'the image itself is as it was')

  for (const boot of ['boot/firmware', 'boot']) {
    const board = bootBoard(t, flashed, at(`board-${boot.replace('/', '-')}`), boot)
    const ran = board.run()
    t.equal(ran.status, 0)
    const log = board.text(`${boot}/obelisk-first-boot.log`)
    t.match(log, /first boot: done/, log)
    t.match(
      board.text('etc/obelisk/agent.toml'),
      /id = "edge-042"\nurl = "mqtts:\/\/gw\.local:8883"\n/,
    )
    t.equal(board.text('etc/credstore/obelisk-enroll-token'), TOKEN)
    t.equal(board.mode('etc/credstore/obelisk-enroll-token'), 0o600)
    t.match(
      board.text('etc/NetworkManager/system-connections/obelisk.nmconnection'),
      /psk=wifi secret/,
    )
    t.equal(board.mode('etc/NetworkManager/system-connections/obelisk.nmconnection'), 0o600)
    t.equal(board.text('etc/hostname'), 'edge-042\n')
    t.match(board.text('etc/hosts'), /^127\.0\.0\.1 localhost\n127\.0\.1\.1\tedge-042\n$/)
    t.match(board.text('home/pi/.ssh/authorized_keys'), /^ssh-ed25519 A+ me\n$/)
    t.ok(board.has('usr/lib/obelisk-agent/inventory.json'))
    t.ok(board.has('etc/systemd/system/obelisk-agent.service'))
    t.equal(
      board.text(`${boot}/cmdline.txt`),
      `${COMMAND_LINE.replace(' cgroup_disable=memory', '').trim()} cgroup_enable=memory cfg80211.ieee80211_regdom=DE\n`,
    )
    t.same(
      board.list(boot),
      ['cmdline.txt', 'config.txt', 'kernel8.img', 'obelisk-first-boot.log'],
      'no secret, no payload',
    )
    t.notMatch(log, /secret/)
  }
})

t.test('nobody reads a secret while it is put in its place', (t) => {
  const script = readFileSync('scripts/image/first-boot.sh', 'utf8')
  const put = script.slice(script.indexOf('put() {'))
  const folder = t.testdir({ token: 'secret' })
  const program = `
    umask 022
    ${put.slice(0, put.indexOf('\n}\n') + 3)}
    chmod() { stat -c %a "$2" && command chmod "$@"; }
    put 600 "$0/token" "$0/a/b" && stat -c %a "$0/a" "$0/a/b"`
  const { stdout } = spawnSync('sh', ['-c', program, folder], { encoding: 'utf8' })
  t.equal(stdout, '600\n755\n600\n')
  t.end()
})

/** A board: a root of its own with what a system has, and the boot partition of the image in it. */
function bootBoard(_t: Test, image: string, root: string, boot: string) {
  for (const path of ['usr/bin', 'etc/NetworkManager', 'home/pi', 'var/lib/systemd/rfkill']) {
    mkdirSync(join(root, path), { recursive: true })
  }
  symlinkSync(process.execPath, join(root, 'usr/bin/node'))
  const { uid, gid } = { uid: 1000, gid: process.getgid!() }
  writeFileSync(
    join(root, 'etc/passwd'),
    `root:x:0:0::/root:/bin/sh\npi:x:${uid}:${gid}::/home/pi:/bin/sh\n`,
  )
  writeFileSync(join(root, 'etc/hosts'), '127.0.0.1 localhost\n127.0.1.1 raspberrypi\n')
  writeFileSync(join(root, 'etc/hostname'), 'raspberrypi\n')
  unpackBoot(image, join(root, boot))
  const at = (path: string): string => join(root, path)
  return {
    at,
    text: (path: string) => readFileSync(at(path), 'utf8'),
    mode: (path: string) => statSync(at(path)).mode & 0o777,
    has: (path: string) => existsSync(at(path)),
    list: (path: string) =>
      readdirSync(at(path))
        .filter((name) => name !== 'firmware')
        .sort(),
    run: (path = process.env.PATH) =>
      spawnSync('/bin/sh', [at(`${boot}/obelisk/first-boot.sh`)], {
        env: { PATH: path, OBELISK_ROOT: root },
      }),
  }
}

t.test('power that fails in the first boot, wherever it is, does no harm', skip, async (t) => {
  const directory = t.testdir({ token: `${TOKEN}\n` })
  const at = (name: string): string => join(directory, name)
  const image = makeImage(at('raspios.img'))
  const agent = makePackage(directory, 'arm64')
  const flashed = at('card.img')
  const words = ['image', 'flash', '--image', image, ...SECURED_BOARD, '--token-file', at('token')]
  t.equal((await obelisk([...words, '--package', agent, '--output', flashed])).code, 0)
  // These stand between the parts; the script, and who else calls one, is cut off at one after the other.
  const bin = at('bin')
  mkdirSync(bin)
  for (const name of ['sync', 'mv', 'tar']) {
    const real = execFileSync('/bin/sh', ['-c', `command -v ${name}`])
      .toString()
      .trim()
    writeFileSync(
      join(bin, name),
      `#!/bin/sh\nn=$(($(cat ${directory}/count) - 1)); echo $n >${directory}/count\n[ $n -ne 0 ] || { kill -9 $(cat ${directory}/pid) $PPID; exit 1; }\nexec ${real} "$@"\n`,
    )
    chmodSync(join(bin, name), 0o755)
  }
  let cuts = 0
  for (let count = 1; count < 60; count += 3) {
    const board = bootBoard(t, flashed, at('board'), 'boot/firmware')
    // The wrappers must come first, before what the script adds itself.
    const script = board.at('boot/firmware/obelisk/first-boot.sh')
    writeFileSync(
      script,
      readFileSync(script, 'utf8').replace(
        'umask 022',
        () => `PATH=${bin}:$PATH\necho $$ >${directory}/pid\numask 022`,
      ),
    )
    writeFileSync(at('count'), `${count}\n`)
    const cut = board.run()
    const wasCut = cut.signal === 'SIGKILL'
    writeFileSync(at('count'), '1000\n')
    const line = board.text('boot/firmware/cmdline.txt')
    t.match(line, /^console=.*cgroup_enable=memory/, 'there is always a command line')
    if (wasCut) cuts++
    // As the board would: again for as long as the command line says so.
    if (/systemd\.run=/.test(line)) t.equal(board.run().status, 0)
    t.notMatch(board.text('boot/firmware/cmdline.txt'), /systemd\.run/)
    t.ok(board.has('etc/systemd/system/obelisk-agent.service'), `cut ${count}`)
    t.equal(board.text('etc/credstore/obelisk-enroll-token'), TOKEN)
    t.notOk(board.has('boot/firmware/obelisk/enroll-token'), 'no secret stays on the card')
    t.notOk(board.has('boot/firmware/obelisk-first-boot-failed.txt'))
    rmSync(at('board'), { recursive: true })
    if (!wasCut) break
  }
  t.ok(cuts >= 5, `${cuts} cuts`)
})

t.test('a first boot that fails says why on the card, and boots on', skip, async (t) => {
  const directory = t.testdir()
  const at = (name: string): string => join(directory, name)
  const image = makeImage(at('raspios.img'))
  const words = [
    'image',
    'flash',
    '--image',
    image,
    ...BOARD,
    '--package',
    makePackage(directory, 'arm64'),
  ]
  t.equal((await obelisk([...words, '--output', at('card.img')])).code, 0)
  const board = bootBoard(t, at('card.img'), at('board'), 'boot/firmware')
  rmSync(board.at('usr/bin/node'))
  t.equal(board.run().status, 0)
  t.match(
    board.text('boot/firmware/obelisk-first-boot-failed.txt'),
    /there is no Node on this image/,
  )
  t.notMatch(board.text('boot/firmware/cmdline.txt'), /systemd\./)
  symlinkSync(process.execPath, board.at('usr/bin/node'))
  t.equal(board.run().status, 0, 'tried again by hand')
  t.ok(board.has('usr/lib/obelisk-agent/agent.mjs'))
  t.notOk(board.has('boot/firmware/obelisk-first-boot-failed.txt'))

  // The archive of Node is unpacked, and is none that runs.
  const node = makeNodeArchive(directory, 183)
  t.equal((await obelisk([...words, '--node', node, '--output', at('other.img')])).code, 0)
  const other = bootBoard(t, at('other.img'), at('other'), 'boot')
  other.run()
  t.ok(other.has('usr/lib/obelisk-node/bin/node'))
  t.match(other.text('boot/obelisk-first-boot-failed.txt'), /the agent could not be installed/)
})

t.test(
  'a boot partition that is read-only does not make the board boot for ever',
  skip,
  async (t) => {
    const disk = SmallDisk.mount(t, 12)
    if (disk === undefined) return
    const directory = t.testdir({ bin: {} })
    const at = (name: string): string => join(directory, name)
    const words = ['image', 'flash', '--image', makeImage(at('raspios.img')), ...BOARD]
    const agent = makePackage(directory, 'arm64')
    t.equal((await obelisk([...words, '--package', agent, '--output', at('card.img')])).code, 0)
    mkdirSync(at('board'))
    disk.standInFor(at('board/boot'))
    const board = bootBoard(t, at('card.img'), at('board'), 'boot')
    mkdirSync(board.at('var/log'))

    // The words of the command line themselves, for this board.
    const line = readFromImage(at('card.img'), 'cmdline.txt')
    t.match(line, / systemd\.run_failure_action=none /)
    const [, command = ''] = /systemd\.run="\/bin\/sh -c '([^']*)'"/.exec(line) ?? []
    const script = command.replaceAll('$$', '$').replaceAll('/boot/', `${board.at('boot')}/`)
    writeFileSync(at('bin/systemctl'), `#!/bin/sh\necho "$*" >>${at('started')}\n`, { mode: 0o755 })
    const boot = () => {
      const PATH = `${at('bin')}:${process.env.PATH}`
      const env = { PATH, OBELISK_ROOT: at('board') }
      const begun = script.replace('n=60', 'n=0')
      return spawnSync('/bin/sh', ['-c', begun], { env, encoding: 'utf8' })
    }
    const begin = board.text('boot/cmdline.txt')
    const remount = (how: string) => spawnSync('mount', ['-o', `remount,${how}`, disk.path])
    remount('ro')
    for (const time of ['once', 'again']) {
      rmSync(at('started'), { force: true })
      const { status, stderr } = boot()
      t.equal(status, 1, `${time}: no reboot`)
      t.match(stderr, /the boot partition \S+ cannot be written/)
      t.equal(readFileSync(at('started'), 'utf8'), '--no-block start multi-user.target\n')
      t.match(board.text('var/log/obelisk-first-boot-failed.txt'), /cannot be written.*\n/)
      t.equal(board.text('boot/cmdline.txt'), begin)
    }
    remount('rw')
    rmSync(at('started'))
    t.equal(boot().status, 0, 'once it can be written, all is done, and the board boots anew')
    t.notOk(existsSync(at('started')))
    t.notMatch(board.text('boot/cmdline.txt'), /systemd\./)
    t.ok(board.has('usr/lib/obelisk-agent/agent.mjs'))
  },
)
