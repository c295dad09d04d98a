/**
 * Installations that are cut off at every step, one after the other, as by a power cut. What is installed
 * is then whole and runs, and each command that comes next does all of its work.
 */
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runCommand } from '../../scripts/commands/program.ts'
import { collectFacts } from '../../scripts/install/collect-facts.ts'
import { Performer } from '../../scripts/install/perform.ts'
import { type InstallWishes, planGoingBack, wayBackOf } from '../../scripts/install/plan.ts'
import { READINESS_LIMITS } from '../../scripts/install/readiness.ts'
import { SystemPrograms } from '../../scripts/install/system-programs.ts'
import { PrivateCopy } from '../../scripts/install/tree-copy.ts'
import { verifyTree } from '../../scripts/package/inventory.ts'
import { cutAt, stepsOf } from '../support/cut-off.ts'
import { memoryDirectory } from '../support/memory-directory.ts'
import { makeKey, makeTree } from '../support/packaged-tree.ts'

const TREE = 'usr/lib/obelisk-agent'
const UNIT = 'etc/systemd/system/obelisk-agent.service'
const WANTS = 'etc/systemd/system/multi-user.target.wants/obelisk-agent.service'
const STEPS_MAX = 500
const WISHES: InstallWishes = {
  role: 'agent',
  settings: { values: {} },
  isPackaged: false,
  isToStart: true,
  isToEnable: false,
}

const key = makeKey()
const { publicKey } = key

/** A directory with two versions and a root, of which each try has a copy. */
function bench(t: Test) {
  const directory = memoryDirectory(t)
  mkdirSync(join(directory, 'pristine/usr/bin'), { recursive: true })
  writeFileSync(join(directory, 'pristine/usr/bin/node'), '')
  const versions = ['1.0.0', '2.0.0', '3.0.0'].map((version) =>
    makeTree(join(directory, version), { version, architecture: 'arm64', key }),
  )
  const root = join(directory, 'root')
  const set = (from: string): void => {
    rmSync(root, { recursive: true, force: true })
    cpSync(join(directory, from), root, { recursive: true, verbatimSymlinks: true })
  }
  const keep = (name: string): void => {
    rmSync(join(directory, name), { recursive: true, force: true })
    cpSync(root, join(directory, name), { recursive: true, verbatimSymlinks: true })
  }
  set('pristine')
  return { directory, root, versions, set, keep, at: (path: string) => join(root, path) }
}

async function obelisk(...argv: string[]): Promise<{ code: number; err: string }> {
  return await obeliskWith(process.env.PATH, ...argv)
}

async function obeliskWith(PATH: string | undefined, ...argv: string[]) {
  const outcome = { code: 0, err: '' }
  const stderr = { write: (text: string | Uint8Array) => (outcome.err += text) }
  const stdin = (async function* () {})()
  const stdout = { write: () => true }
  outcome.code = await runCommand(argv, { stdout, stderr, stdin, environment: { PATH } }, '0')
  return outcome
}

/** All that is below a directory, with what is in it: two roots that are alike have the same. */
function contentOf(root: string): Record<string, string> {
  const entries = readdirSync(root, { withFileTypes: true, recursive: true })
  return Object.fromEntries(
    entries.flatMap((entry) => {
      const path = join(entry.parentPath, entry.name)
      const name = path.slice(root.length)
      if (entry.isSymbolicLink()) return [[name, readlinkSync(path)]]
      return entry.isFile() ? [[name, readFileSync(path, 'latin1')]] : []
    }),
  )
}

/** The first step of the work that is about the root: before it a package is copied to another place. */
async function firstStepIn(root: string, work: () => Promise<unknown>): Promise<number> {
  return (await stepsOf(work)).findIndex((step) => step.includes(`${root}/`)) + 1
}

/** Says whether a root is as it was never before: what follows need not be tried twice. */
function newness(root: string): () => boolean {
  const seen = new Set<string>()
  return () => seen.size < seen.add(JSON.stringify(contentOf(root))).size
}

/** The version that an upgrade would go back to, if it were started now and its own is not ready. */
async function wayBack(root: string, from: string): Promise<string | undefined> {
  const programs = new SystemPrograms({ PATH: process.env.PATH })
  const copy = await PrivateCopy.of(from, programs)
  try {
    const facts = await collectFacts({ role: 'agent', root, isLive: false, copy }, programs)
    return wayBackOf(facts, WISHES)?.version
  } finally {
    copy.remove()
  }
}

/** What a board would start: the unit, the program, and its configuration, each of them whole. */
function service(root: string): { runs: boolean; version: string } {
  const tree = join(root, TREE)
  const isWhole = existsSync(tree) && verifyTree(tree, publicKey).length === 0
  const version = isWhole ? readFileSync(join(tree, 'agent.mjs'), 'utf8').slice(3, 8) : 'none'
  const unit = existsSync(join(root, UNIT)) ? readFileSync(join(root, UNIT), 'utf8') : ''
  const hasUnit = /\n# [12]\.0\.0\n$/.test(unit)
  const isWanted = readdirSync(join(root, WANTS, '..')).includes('obelisk-agent.service')
  const file = join(root, 'etc/obelisk/agent.toml')
  const isConfigured = existsSync(file) && readFileSync(file, 'utf8').includes('id = "edge-')
  return { runs: isWhole && hasUnit && isWanted && isConfigured, version }
}

t.test('an upgrade that is cut off, at whichever step', async (t) => {
  const { root, versions, set, keep, at } = bench(t)
  const common = ['--role', 'agent', '--root', root]
  const [first = '', second = '', third = ''] = versions
  const install = (from: string, id: string) =>
    obelisk('install', ...common, '--from', from, '--id', id)
  const upgrade = () => install(second, 'edge-2')
  await install(first, 'edge-1')
  keep('installed')
  t.match(service(root), { runs: true, version: '1.0.0' })
  const from = await firstStepIn(root, upgrade)
  const upgraded = contentOf(root)
  t.match(service(root), { runs: true, version: '2.0.0' })

  const seen = new Set<string>()
  const isNew = newness(root)
  let steps = 0
  let isConfirmed = false
  for (let step = from; step < STEPS_MAX; step++) {
    set('installed')
    const cut = await cutAt(step, upgrade)
    if (!cut.isCut) break
    steps += 1
    // Of what is below another root nobody waits until it is ready.
    isConfirmed ||= service(root).version === '2.0.0' && cut.step === `rmSync ${at(TREE)}.previous`
    if (!isNew()) continue
    const left = service(root)
    seen.add(left.version)
    const told = `cut at step ${step}, ${cut.step}`
    if (!left.runs) t.fail(`the service is whole and runs: ${told}`)
    for (const next of isConfirmed ? [] : [second, third]) {
      t.equal(await wayBack(root, next), '1.0.0', `the way back stays: ${told}`)
    }
    keep('cut')

    const again = await upgrade()
    if (again.code !== 0) t.fail(`the same command goes on: ${told}: ${again.err}`)
    t.strictSame(contentOf(root), upgraded, told)
    set('cut')
    const mended = await obelisk('install', ...common)
    if (mended.code !== 0) t.fail(`it is mended without a package: ${told}: ${mended.err}`)
    if (!service(root).runs) t.fail(`and runs: ${told}`)
    t.strictSame(readdirSync(at('usr/lib')), ['obelisk-agent'], told)
    set('cut')
    const removed = await obelisk('uninstall', ...common, '--purge')
    if (removed.code !== 0) t.fail(`it is removed: ${told}: ${removed.err}`)
    t.strictSame(Object.keys(contentOf(root)), ['/usr/bin/node'], told)
  }
  t.comment(`${steps} steps`)
  t.ok(steps > 40, 'each call of an upgrade is one')
  t.strictSame([...seen].sort(), ['1.0.0', '2.0.0'], 'before and after the swap')
})

t.test('a first installation and a removal that are cut off', async (t) => {
  const { root, versions, set, keep } = bench(t)
  const common = ['--role', 'agent', '--root', root]
  const words = ['install', ...common, '--from', versions[0]!, '--id', 'edge-1']
  await obelisk(...words)
  const installed = contentOf(root)
  for (const [start, command] of [
    [[], words],
    [words, ['uninstall', ...common, '--purge']],
  ] as const) {
    let steps = 0
    set('pristine')
    if (start.length > 0) await obelisk(...start)
    keep('start')
    const from = await firstStepIn(root, () => obelisk(...command))
    const isNew = newness(root)
    for (let step = from; step < STEPS_MAX; step++) {
      set('start')
      const cut = await cutAt(step, () => obelisk(...command))
      if (!cut.isCut) break
      steps += 1
      if (!isNew()) continue
      keep('cut')
      for (const next of ['install', 'uninstall']) {
        set('cut')
        const told = `${command[0]} cut at ${step}, ${cut.step}, then ${next}`
        const argv = next === 'install' ? words : ['uninstall', ...common, '--purge']
        const { code, err } = await obelisk(...argv)
        if (code !== 0) t.fail(`${told}: ${err}`)
        const wanted = next === 'install' ? installed : { '/usr/bin/node': '' }
        t.strictSame(contentOf(root), wanted, told)
      }
    }
    t.comment(`${command[0]}: ${steps} steps`)
    t.ok(steps > 4)
  }
})

t.test('going back that is cut off keeps the sound version, which can be upgraded', async (t) => {
  const { root, versions, set, keep, at } = bench(t)
  const common = ['--role', 'agent', '--root', root]
  await obelisk('install', ...common, '--from', versions[0]!, '--id', 'edge-1')
  // As an upgrade leaves it that waits for its new version to become ready.
  cpSync(at(TREE), `${at(TREE)}.previous`, { recursive: true })
  rmSync(at(TREE), { recursive: true })
  cpSync(versions[1]!, at(TREE), { recursive: true })
  keep('waiting')
  const programs = new SystemPrograms({ PATH: process.env.PATH })
  const goBack = async (): Promise<void> => {
    const facts = await collectFacts({ role: 'agent', root, isLive: false }, programs)
    const steps = planGoingBack(facts, WISHES)
    const options = { root, limits: READINESS_LIMITS }
    const files = steps.filter((step) => step.do !== 'systemctl')
    await new Performer(options, programs, () => {}).perform(files)
  }
  const isNew = newness(root)
  for (let step = 1; step < STEPS_MAX; step++) {
    set('waiting')
    const cut = await cutAt(step, goBack)
    if (!isNew() && cut.isCut) continue
    const { runs, version } = service(root)
    const told = `cut at ${step}, ${cut.step}`
    if (!runs) t.fail(`${told}: ${version}`)
    for (const next of versions.slice(1)) {
      t.equal(await wayBack(root, next), '1.0.0', `the way back stays: ${told}`)
    }
    const { code, err } = await obelisk('install', ...common, '--from', versions[1]!)
    t.equal(code, 0, err)
    t.match(service(root), { runs: true, version: '2.0.0' })
    t.strictSame(readdirSync(at('usr/lib')), ['obelisk-agent'])
    if (!cut.isCut) {
      t.equal(version, '1.0.0', 'to its end it is the version before')
      t.ok(step > 5, `${step} steps`)
      break
    }
  }
})

t.test('where the kernel cannot swap, the next run puts the tree back', async (t) => {
  const { directory, root, versions, set, keep, at } = bench(t)
  // Without perl.
  const PATH = join(directory, 'bin')
  mkdirSync(PATH)
  symlinkSync('/bin/tar', join(PATH, 'tar'))
  const common = ['--role', 'agent', '--root', root]
  await obelisk('install', ...common, '--from', versions[0]!, '--id', 'edge-1')
  keep('installed')
  const upgrade = () => obeliskWith(PATH, 'install', ...common, '--from', versions[1]!)
  const seen = new Set<string>()
  for (const [index, name] of (await stepsOf(upgrade)).entries()) {
    if (!/^(renameSync|spawn) /.test(name)) continue
    set('installed')
    await cutAt(index + 1, upgrade)
    seen.add(service(root).version)
    t.equal((await obeliskWith(PATH, 'install', ...common)).code, 0, `cut at ${name}`)
    t.ok(service(root).runs)
    t.strictSame(readdirSync(at('usr/lib')), ['obelisk-agent'])
  }
  t.strictSame([...seen].sort(), ['1.0.0', '2.0.0', 'none'], 'between two renames there is none')
})

/** What a power cut, a card that fails or a person leaves of an installed tree. */
const DAMAGES: readonly [name: string, damage: (tree: string) => void][] = [
  ['an empty package.json', (tree) => truncateSync(join(tree, 'package.json'))],
  ['half a package.json', (tree) => truncateSync(join(tree, 'package.json'), 20)],
  ['another package.json', (tree) => writeFileSync(join(tree, 'package.json'), '{}')],
  ['no package.json', (tree) => rmSync(join(tree, 'package.json'))],
  [
    'a directory in its place',
    (tree) => {
      rmSync(join(tree, 'package.json'))
      mkdirSync(join(tree, 'package.json'))
    },
  ],
  ['no inventory', (tree) => rmSync(join(tree, 'inventory.json'))],
  ['an empty inventory', (tree) => truncateSync(join(tree, 'inventory.json'))],
  ['no signature', (tree) => rmSync(join(tree, 'inventory.sig'))],
  ['no key', (tree) => rmSync(join(tree, 'release-key.pem'))],
  ['no unit', (tree) => rmSync(join(tree, 'systemd'), { recursive: true })],
  ['an empty program', (tree) => truncateSync(join(tree, 'agent.mjs'))],
  ['a longer program', (tree) => appendFileSync(join(tree, 'agent.mjs'), '\0\0\0')],
  [
    'an empty directory',
    (tree) => {
      rmSync(tree, { recursive: true })
      mkdirSync(tree)
    },
  ],
  [
    'a file in its place',
    (tree) => {
      rmSync(tree, { recursive: true })
      writeFileSync(tree, '')
    },
  ],
]

t.test('a damaged installation is replaced, and removed', async (t) => {
  const { root, versions, set, keep, at } = bench(t)
  const common = ['--role', 'agent', '--root', root]
  await obelisk('install', ...common, '--from', versions[0]!, '--id', 'edge-1')
  const sound = contentOf(root)
  keep('installed')
  const previous = `${at(TREE)}.previous`
  for (const [name, damage] of DAMAGES) {
    const begin = (): void => {
      set('installed')
      damage(at(TREE))
    }
    begin()
    const alone = await obelisk('install', ...common)
    t.equal(alone.code, 65, name)
    t.match(alone.err, /not a sound package[\s\S]*--from <tree>/)
    const repaired = await obelisk('install', ...common, '--from', versions[0]!)
    t.equal(repaired.code, 0, `${name}: ${repaired.err}`)
    t.strictSame(contentOf(root), sound, `${name}, repaired by the same version`)

    begin()
    cpSync(versions[0]!, previous, { recursive: true })
    t.equal((await obelisk('install', ...common)).code, 0, `${name}, with the version before`)
    t.strictSame(contentOf(root), sound)

    begin()
    t.equal((await obelisk('uninstall', ...common, '--purge')).code, 0, `${name}, removed`)
    t.strictSame(Object.keys(contentOf(root)), ['/usr/bin/node'])

    set('installed')
    cpSync(versions[1]!, previous, { recursive: true })
    damage(previous)
    t.equal((await obelisk('install', ...common)).code, 0, `${name}, of the version before`)
    t.strictSame(contentOf(root), sound, 'the sound tree stays, the torso goes')
    cpSync(versions[1]!, previous, { recursive: true })
    damage(previous)
    t.equal((await obelisk('uninstall', ...common, '--purge')).code, 0)
    t.strictSame(Object.keys(contentOf(root)), ['/usr/bin/node'])
  }
})

t.test('a damaged key trusts nobody by itself', async (t) => {
  const { root, versions, at } = bench(t)
  const words = ['install', '--role', 'agent', '--root', root, '--from']
  await obelisk(...words, versions[0]!, '--id', 'edge-1')
  truncateSync(join(at(TREE), 'release-key.pem'), 30)
  const refused = await obelisk(...words, versions[1]!)
  t.match(refused, { code: 65, err: /release-key\.pem is damaged: name .* --release-key/ })
  const named = ['--release-key', join(versions[1]!, 'release-key.pem')]
  t.equal((await obelisk(...words, versions[1]!, ...named)).code, 0)
  t.match(service(root), { runs: true, version: '2.0.0' })
})
