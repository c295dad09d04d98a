/** install.sh of a tarball, run as it is but for where it looks for an installed version. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { makeKey, makeTree } from '../support/packaged-tree.ts'

const ROOT = new URL('../../', import.meta.url)
const VERIFIER = `import '${new URL('dist/scripts/package/verify.js', ROOT).href}'\n`
const SCRIPT = readFileSync(new URL('scripts/package/install.sh', ROOT), 'utf8')
const key = makeKey()

/** An unpacked tarball, a place where a version may be installed, and a root to install below. */
function bench(t: Test) {
  const directory = t.testdir({ root: { usr: { bin: { node: '' } } }, lib: {} })
  const at = (path: string): string => join(directory, path)
  const installed = at('lib/obelisk-agent')
  const script = SCRIPT.replace('installed=/usr/lib/', `installed=${at('lib')}/`)
  const make = (path: string, more: Readonly<Record<string, string>> = {}): void => {
    const files = { 'install.sh': script, 'verify.mjs': VERIFIER, ...more }
    makeTree(at(path), { version: '1.0.0', architecture: 'armhf', key, more: files })
  }
  const run = (...words: string[]) => {
    const argv = [at('tree/install.sh'), ...words]
    const { status, stdout, stderr } = spawnSync('sh', argv, { encoding: 'utf8' })
    return { status, stdout, stderr }
  }
  const root = at('root')
  const begin = (): void => rmSync(join(root, 'usr/lib'), { recursive: true, force: true })
  const has = (path: string): boolean => existsSync(join(root, path))
  return { at, installed, make, run, root, begin, has }
}

const hasNode = ['/usr/bin/node', '/usr/local/bin/node'].some((path) => existsSync(path))
const skip = hasNode ? {} : { skip: 'no Node at a place that install.sh looks at' }

t.test('another root and the help need neither systemd nor this machine', skip, (t) => {
  const { make, run, root, has } = bench(t)
  make('tree')
  const help = run('--help')
  t.match(help, { status: 0, stdout: /^install\.sh takes --key <file> first[\s\S]*--dry-run/ })
  for (const words of [['--root', root, '--dry-run'], [`--root=${root}`]]) {
    const outcome = run(...words, '--id', 'edge-1')
    t.equal(outcome.status, 0, outcome.stderr)
    t.match(outcome.stdout, `${root}/usr/lib/obelisk-agent`)
    t.equal(has('usr/lib/obelisk-agent/agent.mjs'), words.length === 1)
  }
  t.match(run('--root', join(root, 'none')), { status: 2, stderr: /none is not there/ })
  t.end()
})

t.test('the verifier of the installed version checks, and not that of the package', skip, (t) => {
  const { at, make, run, root, installed, begin, has } = bench(t)
  const marker = at('was-run')
  make('tree', { 'verify.mjs': `import fs from 'node:fs'\nfs.writeFileSync('${marker}', '')\n` })
  mkdirSync(installed)
  const verifier = join(installed, 'verify.mjs')
  writeFileSync(verifier, VERIFIER)
  const sound = run('--root', root, '--id', 'edge-1')
  t.equal(sound.status, 0, sound.stderr)
  t.notOk(existsSync(marker), 'code that nobody has checked yet is not run')

  begin()
  writeFileSync(at('tree/agent.mjs'), 'evil')
  t.match(run('--root', root), { status: 65, stderr: /agent\.mjs has \d+ bytes[\s\S]*not what/ })
  t.notOk(existsSync(marker) || has('usr/lib'))

  make('tree')
  for (const damaged of ['', 'import {', 'process.exit(0)\n']) {
    begin()
    writeFileSync(verifier, damaged)
    const outcome = run('--root', root)
    t.equal(outcome.status, 0, outcome.stderr)
    t.match(outcome.stderr, /verify\.mjs is damaged; that of the package is used/)
  }
  writeFileSync(join(at(''), 'no-key'), '')
  t.match(run('--key', at('no-key'), '--root', root), { status: 65, stderr: /not what the owner/ })
  t.end()
})

t.test('what changes after it was checked is not used', skip, (t) => {
  const { at, make, run, root, installed, has } = bench(t)
  make('tree')
  mkdirSync(installed)
  // Somebody waits for the check to be over.
  const evil = `import fs from 'node:fs'\nfs.writeFileSync('${at('evil')}', '')\n`
  writeFileSync(
    join(installed, 'verify.mjs'),
    `${VERIFIER}import fs from 'node:fs'
for (const name of ['obelisk.mjs', 'agent.mjs', 'systemd/obelisk-agent.service']) {
  fs.writeFileSync('${at('tree')}/' + name, ${JSON.stringify(evil)})
}\n`,
  )
  const outcome = run('--root', root, '--id', 'edge-1')
  t.equal(outcome.status, 0, outcome.stderr)
  t.ok(has('usr/lib/obelisk-agent/agent.mjs'))
  t.equal(readFileSync(join(root, 'usr/lib/obelisk-agent/agent.mjs'), 'utf8'), '// 1.0.0\n')
  t.notOk(existsSync(at('evil')))

  make('tree')
  rmSync(at('tree/agent.mjs'))
  symlinkSync('/etc/passwd', at('tree/agent.mjs'))
  t.match(run('--root', root), { status: 65, stderr: /tree\/agent\.mjs is not a plain file/ })
  t.end()
})
