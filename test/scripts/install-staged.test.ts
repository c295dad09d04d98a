/** Versions that a gateway has sent, as root finds them with the agent: what is installed, and all that is not. */
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { installStaged } from '../../scripts/commands/install-staged.ts'
import { packTarball } from '../../scripts/package/archive.ts'
import { verifyTree } from '../../scripts/package/inventory.ts'
import { AppError } from '../../shared/runtime/errors.ts'
import { cutAt } from '../support/cut-off.ts'
import { memoryDirectory } from '../support/memory-directory.ts'
import { makeKey, makeOldKey } from '../support/packaged-tree.ts'
import { filesOf, StagedBoard } from '../support/staged-board.ts'

const STEPS_MAX = 1000
/** Of all boards here, so that each tree is signed once. */
const KEY = makeKey()

async function board(directory: string): Promise<StagedBoard> {
  const made = new StagedBoard(directory, KEY)
  const { code, err } = await made.install('1.0.0')
  if (code !== 0) throw new Error(err)
  return made
}

t.test('a newer package of the same keys is installed, once', async (t) => {
  const made = await board(memoryDirectory(t))
  t.same((await made.staged()).out, 'nothing is asked for\n')
  t.equal(made.outcome, undefined)
  const sha256 = made.ask(made.archive(made.tree({ version: '2.0.0' })))
  const { code, err } = await made.staged()
  t.equal(code, 0, err)
  t.equal(made.version, '2.0.0')
  t.same(made.outcome, { request: 'asked-1', sha256, outcome: 'ready' })
  t.notOk((await made.staged()).out.includes('put version'), 'the same once more changes nothing')
  t.match(made.outcome, { outcome: 'ready' })
})

t.test('the units are set up, and taken away where the board says no', async (t) => {
  const made = await board(memoryDirectory(t))
  const unit = (name: string): string => readFileSync(made.at(`etc/systemd/system/${name}`), 'utf8')
  t.match(unit('obelisk-agent-upgrade.path'), /PathChanged=.*request\.json/)
  t.match(unit('obelisk-agent-upgrade.service'), /--staged/)
  t.match(
    unit('obelisk-agent.service.d/10-install.conf'),
    /UPGRADE_DIRECTORY=\/run\/obelisk-agent-/,
  )
  for (const kind of ['path', 'service']) {
    const name = `obelisk-agent-upgrade.${kind}`
    const wants = made.at(`etc/systemd/system/multi-user.target.wants/${name}`)
    t.equal(readlinkSync(wants), `/etc/systemd/system/${name}`)
  }
  t.equal((await made.obelisk('install', '--role', 'agent')).out.split('\n')[0], NOTHING)
  t.equal((await made.obelisk('install', '--role', 'agent', '--upgrade=false')).code, 0)
  t.throws(() => unit('obelisk-agent-upgrade.path'))
  t.throws(() => unit('multi-user.target.wants/obelisk-agent-upgrade.service'))
  t.throws(() => unit('obelisk-agent.service.d/10-install.conf'))
  t.equal((await made.obelisk('install', '--role', 'agent')).out.split('\n')[0], NOTHING)
  await made.obelisk('install', '--role', 'agent', '--upgrade=true')
  t.ok(unit('obelisk-agent-upgrade.path'))
  t.equal((await made.obelisk('uninstall', '--role', 'agent', '--purge')).code, 0)
  t.throws(() => unit('obelisk-agent-upgrade.service'))
})

const NOTHING = 'nothing to do: the agent is installed as wished'

/** What an agent that was taken over might put there; each is refused, with this code. */
const REFUSED: Record<string, [code: string, stage: (made: StagedBoard) => void]> = {
  'another key': [
    'package-untrusted',
    (made) => {
      made.ask(made.archive(made.tree({ version: '2.0.0', key: makeKey() })))
    },
  ],
  'one signature alone': [
    'package-untrusted',
    (made) => {
      made.ask(made.archive(made.tree({ version: '2.0.0', key: makeOldKey(made.key) })))
    },
  ],
  'a changed program': [
    'package-untrusted',
    (made) => {
      const tree = made.tree({ version: '2.0.0' })
      writeFileSync(join(tree, 'agent.mjs'), '// 2.0.1\n')
      made.ask(made.archive(tree))
    },
  ],
  'a file besides': [
    'package-untrusted',
    (made) => {
      const files = filesOf(made.tree({ version: '2.0.0' }))
      const more = { path: 'more.mjs', bytes: Buffer.from('1'), mode: 0o644 }
      made.ask(packTarball([...files, more], 'a', 0))
    },
  ],
  'an older version': [
    'package-older',
    (made) => {
      made.ask(made.archive(made.tree({ version: '0.9.0' })))
    },
  ],
  'the same version, other files': [
    'package-older',
    (made) => {
      made.ask(made.archive(made.tree({ version: '1.0.0', more: { 'more.mjs': '1' } })))
    },
  ],
  'another architecture': [
    'package-untrusted',
    (made) => {
      made.ask(made.archive(made.tree({ version: '2.0.0', architecture: 's390x' })))
    },
  ],
  'the gateway': [
    'package-untrusted',
    (made) => {
      made.ask(made.archive(made.tree({ version: '2.0.0', role: 'gateway' })))
    },
  ],
  'no archive': [
    'package-untrusted',
    (made) => {
      made.ask(Buffer.from('nothing of ours'))
    },
  ],
  'half an archive': [
    'package-untrusted',
    (made) => {
      const archive = made.archive(made.tree({ version: '2.0.0' }))
      made.ask(archive.subarray(0, archive.length / 2))
    },
  ],
  'other bytes than the name says': [
    'package-untrusted',
    (made) => {
      made.ask(made.archive(made.tree({ version: '2.0.0' })))
      made.ask(Buffer.from('x'), { sha256: '00'.repeat(32) })
    },
  ],
  'no package': [
    'package-untrusted',
    (made) => {
      made.ask(Buffer.from('x'), { sha256: 'ab'.repeat(32) })
    },
  ],
  'a link to a package': [
    'package-untrusted',
    (made) => {
      const sha256 = made.ask(made.archive(made.tree({ version: '2.0.0' })))
      const staged = made.staging(`${sha256}.tar.gz`)
      renameSync(staged, made.at('elsewhere'))
      symlinkSync(made.at('elsewhere'), staged)
    },
  ],
  'a directory': [
    'package-untrusted',
    (made) => {
      const sha256 = made.ask(made.archive(made.tree({ version: '2.0.0' })))
      rmSync(made.staging(`${sha256}.tar.gz`))
      mkdirSync(made.staging(`${sha256}.tar.gz`))
    },
  ],
  'more than is taken': [
    'package-untrusted',
    (made) => {
      const sha256 = made.ask(made.archive(made.tree({ version: '2.0.0' })))
      truncateSync(made.staging(`${sha256}.tar.gz`), 65 * 1024 * 1024)
    },
  ],
}

for (const [name, [code, stage]] of Object.entries(REFUSED)) {
  t.test(`not installed: ${name}`, async (t) => {
    const made = await board(memoryDirectory(t))
    stage(made)
    const said = await made.staged()
    t.equal(said.code, 65, said.err)
    t.match(made.outcome, { outcome: 'refused', code, request: 'asked-1' })
    t.equal(made.version, '1.0.0')
  })
}

/** Where nobody knows what was asked for, there is no outcome either. */
const NO_REQUEST: Record<string, (made: StagedBoard) => void> = {
  'a link to a request': (made) => {
    renameSync(made.staging('request.json'), made.at('elsewhere'))
    symlinkSync(made.at('elsewhere'), made.staging('request.json'))
  },
  'a request that is none': (made) => writeFileSync(made.staging('request.json'), '[1'),
  'a name with a path': (made) => {
    writeFileSync(made.staging('request.json'), '{"id":"a","sha256":"../../x","boot":"b"}')
  },
  'a link in the place of the directory': (made) => {
    renameSync(made.staging(), made.at('elsewhere'))
    symlinkSync(made.at('elsewhere'), made.at('var/lib/private/obelisk-agent/upgrade'))
  },
}

for (const [name, stage] of Object.entries(NO_REQUEST)) {
  t.test(`not looked at: ${name}`, async (t) => {
    const made = await board(memoryDirectory(t))
    made.ask(made.archive(made.tree({ version: '2.0.0' })))
    stage(made)
    const { code, err } = await made.staged()
    t.equal(code, 65, err)
    t.equal(made.outcome, undefined)
    t.equal(made.version, '1.0.0')
  })
}

const isRoot = process.getuid!() === 0

t.test('what is of another user than the agent', { skip: !isRoot && 'needs root' }, async (t) => {
  for (const path of ['', 'request.json']) {
    const made = await board(memoryDirectory(t))
    made.ask(made.archive(made.tree({ version: '2.0.0' })))
    chownSync(made.staging(path), 1234, 1234)
    t.equal((await made.staged()).code, 65, `upgrade/${path}`)
    t.equal(made.version, '1.0.0')
  }
})

t.test('an older version that says that it may is installed', async (t) => {
  const made = await board(memoryDirectory(t))
  const inventory = { downgradeFrom: '1.0.0' }
  const ticket = made.archive(made.tree({ version: '0.9.0', inventory }))
  made.ask(ticket)
  t.equal((await made.staged()).code, 0)
  t.equal(made.version, '0.9.0')

  await made.install('1.0.1')
  made.ask(ticket, { id: 'asked-2' })
  t.equal((await made.staged()).code, 65, 'not in the place of what is newer than it names')
  t.match(made.outcome, { outcome: 'refused', code: 'package-older', request: 'asked-2' })
  t.equal(made.version, '1.0.1')
})

t.test('a word that it may replace any version is none', async (t) => {
  for (const inventory of [
    { downgradeTo: '0.9.0' },
    { downgradeFrom: '' },
    { downgradeFrom: 'zzz' },
    { downgradeFrom: ['9.9.9'] },
  ]) {
    const made = await board(memoryDirectory(t))
    made.ask(made.archive(made.tree({ version: '0.9.0', inventory })))
    t.equal((await made.staged()).code, 65)
    t.match(made.outcome, { outcome: 'refused', code: 'package-older' })
  }
})

t.test('a version of before the second key takes nothing by itself', async (t) => {
  const made = new StagedBoard(memoryDirectory(t), KEY)
  const tree = made.tree({ version: '1.0.0', key: makeOldKey(made.key) })
  t.equal((await made.obelisk('install', '--role', 'agent', '--from', tree)).code, 0)
  made.ask(made.archive(made.tree({ version: '2.0.0' })))
  const { code, err } = await made.staged()
  t.equal(code, 65)
  t.match(err, /both keys/)
})

t.test('a request of another start of the machine is over', async (t) => {
  const made = await board(memoryDirectory(t))
  made.ask(made.archive(made.tree({ version: '2.0.0' })), { boot: 'another' })
  t.equal((await made.staged()).out, 'nothing is asked for\n')
  t.equal(made.version, '1.0.0')
})

t.test('a version that went back is told as that, and any other failure by its code', async (t) => {
  const made = await board(memoryDirectory(t))
  made.ask(made.archive(made.tree({ version: '2.0.0' })))
  const write = (): boolean => true
  const stdin = (async function* () {})()
  const streams = { stdout: { write }, stderr: { write }, stdin, environment: process.env }
  const flags = { role: 'agent', root: made.root }
  const failing = (error: Error) => installStaged(flags, streams, () => Promise.reject(error))
  await t.rejects(failing(new AppError('went-back', 'the new version did not become ready')))
  t.match(made.outcome, { outcome: 'went-back', code: 'upgrade-went-back' })
  await t.rejects(failing(new AppError('no-room', 'the disk is full')))
  t.match(made.outcome, { outcome: 'refused', code: 'no-room' })
  await t.rejects(failing(Object.assign(new Error('write'), { code: 'ENOSPC' })))
  t.match(made.outcome, { outcome: 'refused', code: 'no-room' })
  await t.rejects(failing(new Error('a bug')))
  t.match(made.outcome, { outcome: 'refused', code: 'install-failed' })
})

t.test('an agent that changes its files at any moment changes nothing', async (t) => {
  const directory = memoryDirectory(t)
  const made = await board(directory)
  const good = made.archive(made.tree({ version: '2.0.0' }))
  const evil = made.archive(made.tree({ version: '3.0.0', key: makeKey() }))
  const versions = new Set<string>()
  let steps = 0
  for (let step = 1; step < STEPS_MAX; step++) {
    await made.obelisk('uninstall', '--role', 'agent', '--purge')
    mkdirSync(made.staging(), { recursive: true })
    await made.install('1.0.0')
    made.forgetOutcome()
    const sha256 = made.ask(good)
    let count = 0
    await cutAt(
      Number.POSITIVE_INFINITY,
      () => made.staged(),
      () => {
        count += 1
        // In place, so that a descriptor that is open sees it, too.
        if (count === step) writeFileSync(made.staging(`${sha256}.tar.gz`), evil)
      },
    )
    steps = count
    versions.add(made.version)
    if (step >= Math.min(count, 12)) break
  }
  t.ok(steps > 20, `${steps} steps`)
  t.same([...versions].sort(), ['1.0.0', '2.0.0'], 'refused, or what was verified')
})

t.test(
  'power that fails at any step leaves a whole version, and the next start ends it',
  async (t) => {
    const directory = memoryDirectory(t)
    const made = await board(directory)
    const archive = made.archive(made.tree({ version: '2.0.0' }))
    const pristine = join(directory, 'pristine')
    cpSync(made.root, pristine, { recursive: true, verbatimSymlinks: true })
    const tree = made.at('usr/lib/obelisk-agent')
    const versions = new Set<string>()
    const seen = new Set<string>()
    let steps = 0
    for (let step = 1; step < STEPS_MAX; step++) {
      rmSync(made.root, { recursive: true })
      cpSync(pristine, made.root, { recursive: true, verbatimSymlinks: true })
      made.ask(archive)
      const cut = await cutAt(step, () => made.staged())
      if (!cut.isCut) break
      steps += 1
      if (verifyTree(tree, made.key.publicKey).length > 0) t.fail(`whole after ${cut.step}`)
      versions.add(made.version)
      const left = ['usr', 'etc'].flatMap((name) =>
        readdirSync(made.at(name), { recursive: true, encoding: 'utf8' }),
      )
      if (seen.size === seen.add(`${made.version} ${left}`).size) continue
      // What is in memory is gone, and the agent's request is of another start.
      made.forgetOutcome()
      made.ask(archive, { boot: 'another' })
      const { code, err } = await made.staged()
      if (code !== 0) t.fail(`after ${cut.step}: ${err}`)
      if (verifyTree(tree, made.key.publicKey).length > 0) t.fail(`whole in the end: ${cut.step}`)
    }
    t.comment(`${steps} steps`)
    t.ok(steps > 40)
    t.same([...versions].sort(), ['1.0.0', '2.0.0'])
  },
)

t.test('modes of who unpacks do not matter', async (t) => {
  const made = await board(memoryDirectory(t))
  const before = process.umask(0o077)
  t.teardown(() => process.umask(before))
  made.ask(made.archive(made.tree({ version: '2.0.0' })))
  chmodSync(made.staging(), 0o700)
  const { code, err } = await made.staged()
  t.equal(code, 0, err)
})
