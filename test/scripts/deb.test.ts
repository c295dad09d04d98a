/** Debian packages with the real dpkg, below a root of their own: installed, cut off, damaged, removed. */
import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { hostArchitecture } from '../../scripts/package/architectures.ts'
import { writeDeb } from '../../scripts/package/deb.ts'
import { assembleTree } from '../../scripts/package/tree.ts'
import { makeKey } from '../support/packaged-tree.ts'
import { PROGRAM } from '../support/processes.ts'

const architecture = hostArchitecture()!
const NAME = 'obelisk-agent'
const TREE = `usr/lib/${NAME}`
const WANTS = `etc/systemd/system/multi-user.target.wants/${NAME}.service`
const key = makeKey()

/** A package with a program that says its version, whose `obelisk.mjs` is the built command. */
function makeDeb(path: string, version: string): string {
  const native = { bytes: Buffer.from('native'), glibc: '2.17', libstdcxx: '3.4.22' }
  const parts = { role: 'agent', architecture, version, native } as const
  const text = (name: string, content: string) => ({
    path: name,
    bytes: Buffer.from(content),
    mode: name === 'obelisk.mjs' ? 0o755 : 0o644,
  })
  const files = [
    text('agent.mjs', `// ${version}\n`),
    text('obelisk.mjs', `#!/usr/bin/env node\nimport '${PROGRAM}'\n`),
    text(`only-${version}.txt`, ''),
  ]
  const tree = assembleTree({
    ...parts,
    bundles: { files, packages: [] },
    key: key.privateKey,
  })
  writeFileSync(path, writeDeb({ ...parts, tree, seconds: 1_700_000_000 }))
  return path
}

/** A root that dpkg works on; the scripts of packages run outside of it, with this machine's programs. */
function makeSystem(t: Test) {
  const directory = t.testdir({
    root: {
      usr: { bin: { node: '' } },
      etc: { systemd: { system: {} } },
      var: { lib: { dpkg: { status: '', info: {}, updates: {}, alternatives: {} } }, log: {} },
    },
  })
  const root = join(directory, 'root')
  const at = (path: string): string => join(root, path)
  const debs = ['1.0.0', '2.0.0'].map((version) => makeDeb(join(directory, version), version))
  mkdirSync(at('etc/alternatives'))
  const dpkg = (...words: string[]) => {
    const forced = ['--force-script-chrootless', '--force-depends', '--force-not-root']
    const argv = [`--root=${root}`, '--log=/dev/null', ...forced, ...words]
    const { status, stdout, stderr } = spawnSync('dpkg', argv, { encoding: 'utf8' })
    return { status, said: `${stdout}${stderr}` }
  }
  const state = (): string =>
    /^Status: (.*)$/m.exec(readFileSync(at('var/lib/dpkg/status'), 'utf8'))?.[1] ?? 'not known'
  const version = (): string => readFileSync(at(`${TREE}/agent.mjs`), 'utf8').slice(3, 8)
  return { directory, root, at, debs, dpkg, state, version }
}

const hasDpkg = spawnSync('dpkg', ['--force-help']).stdout?.includes('script-chrootless') === true
const skip = hasDpkg ? {} : { skip: 'dpkg is not here, or an old one' }
/** Of `obelisk`, whichever package it is from. */
const WORDS = [
  'usr/share/man/man1/obelisk.1.gz',
  'usr/share/bash-completion/completions/obelisk',
  'usr/share/zsh/vendor-completions/_obelisk',
  'usr/share/fish/vendor_completions.d/obelisk.fish',
]
const INSTALLED = 'install ok installed'

t.test('installed, upgraded, removed, purged', skip, (t) => {
  const { at, debs, dpkg, state, version } = makeSystem(t)
  const first = dpkg('-i', debs[0]!)
  t.equal(first.status, 0, first.said)
  t.equal(state(), INSTALLED)
  t.ok(lstatSync(at(WANTS)).isSymbolicLink(), 'the unit is enabled')
  t.ok(lstatSync(at('usr/bin/obelisk')).isSymbolicLink())
  for (const path of WORDS) t.ok(lstatSync(at(path)).isSymbolicLink(), path)
  rmSync(at(WANTS))

  // As an upgrade leaves it whose power failed.
  cpSync(at(TREE), at(`${TREE}.new`), { recursive: true })
  const second = dpkg('-i', debs[1]!)
  t.equal(second.status, 0, second.said)
  t.match(second.said, /obelisk-agent\.service is disabled, and stays so/)
  t.notOk(existsSync(at(WANTS)))
  t.equal(version(), '2.0.0')
  t.strictSame(readdirSync(at('usr/lib')), [NAME])

  mkdirSync(at('var/lib/obelisk-agent'))
  const removed = dpkg('-r', NAME)
  t.equal(removed.status, 0, removed.said)
  t.equal(state(), 'deinstall ok config-files')
  t.notOk(existsSync(at(TREE)))
  for (const path of WORDS) t.notOk(existsSync(at(path)), path)
  t.ok(existsSync(at('etc/obelisk/agent.toml')) && existsSync(at('var/lib/obelisk-agent')))
  const purged = dpkg('-P', NAME)
  t.equal(purged.status, 0, purged.said)
  t.notOk(existsSync(at('etc/obelisk')) || existsSync(at('var/lib/obelisk-agent')))
  t.end()
})

t.test('a damaged installation is repaired by the package, and removed', skip, (t) => {
  const { root, directory, at, debs, dpkg, state, version } = makeSystem(t)
  t.equal(dpkg('-i', debs[0]!).status, 0)
  cpSync(root, join(directory, 'sound'), { recursive: true, verbatimSymlinks: true })
  const begin = (damage: () => void): void => {
    rmSync(root, { recursive: true })
    cpSync(join(directory, 'sound'), root, { recursive: true, verbatimSymlinks: true })
    damage()
  }
  const torso = (): void => {
    mkdirSync(at(`${TREE}.previous`))
    writeFileSync(at(`${TREE}.previous/package.json`), '')
  }
  for (const [name, damage] of [
    ['an empty package.json and program', () => emptied('package.json', 'obelisk.mjs')],
    [
      'no inventory, no unit',
      () => removedFiles('inventory.json', 'systemd/obelisk-agent.service'),
    ],
    ['a torso of the version before', torso],
  ] as const) {
    begin(damage)
    const upgraded = dpkg('-i', debs[1]!)
    t.equal(upgraded.status, 0, `${name}: ${upgraded.said}`)
    t.strictSame([state(), version()], [INSTALLED, '2.0.0'])
    t.strictSame(readdirSync(at('usr/lib')), [NAME])
    begin(damage)
    const removed = dpkg('-r', NAME)
    t.equal(removed.status, 0, `${name}: ${removed.said}`)
    const left = existsSync(at('usr/lib')) ? readdirSync(at('usr/lib')) : []
    t.strictSame(left, [], 'nothing of it is left')
  }
  t.end()

  function emptied(...names: string[]): void {
    for (const name of names) truncateSync(at(`${TREE}/${name}`))
  }

  function removedFiles(...names: string[]): void {
    for (const name of names) rmSync(at(`${TREE}/${name}`))
  }
})

t.test('without Node a package is removed, and says what it needs', skip, (t) => {
  const { directory, at, debs, dpkg, state } = makeSystem(t)
  t.equal(dpkg('-i', debs[0]!).status, 0)
  // The scripts as they were unpacked, on a machine that has no Node anywhere.
  for (const name of ['prerm', 'postinst']) {
    const script = at(`var/lib/dpkg/info/${NAME}.${name}`)
    writeFileSync(script, readFileSync(script, 'utf8').replaceAll('/bin/node', '/bin/no-node'))
  }
  const script = at(`var/lib/dpkg/info/${NAME}.postinst`)
  const env = { ...process.env, DPKG_ROOT: at(''), DPKG_ADMINDIR: at('var/lib/dpkg') }
  const configured = spawnSync('sh', [script, 'configure', '1.0.0'], { env, encoding: 'utf8' })
  t.equal(configured.status, 71, configured.stderr)
  t.match(configured.stderr, /there is no Node: sudo apt install nodejs/)
  const removed = dpkg('-r', NAME)
  t.equal(removed.status, 0, removed.said)
  t.equal(state(), 'deinstall ok config-files')
  t.ok(existsSync(directory))
  t.end()
})

t.test('after its package was removed, an installation by hand is nobody else’s', skip, (t) => {
  const { directory, root, at, debs, dpkg } = makeSystem(t)
  t.equal(dpkg('-i', debs[0]!).status, 0)
  const tree = join(directory, 'tree')
  cpSync(at(TREE), tree, { recursive: true })
  const install = () => {
    const words = ['install', '--role', 'agent', '--root', root, '--from', tree]
    const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...words], {
      encoding: 'utf8',
    })
    return `${status} ${stderr}`
  }
  t.match(install(), /^2 .*belongs to the package obelisk-agent/)
  t.equal(dpkg('-r', NAME).status, 0)
  t.match(install(), /^0 /)
  appendFileSync(at(`${TREE}/agent.mjs`), '!')
  t.match(install(), /^0 /, 'and repaired')
  t.end()
})
