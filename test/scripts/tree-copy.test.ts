/** Trees that somebody else can write to while they are installed: only what was signed gets in. */
import { execFileSync } from 'node:child_process'
import fs, {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { copyTree } from '../../scripts/install/tree-copy.ts'
import { verifyTree } from '../../scripts/package/inventory.ts'
import { obelisk } from '../support/card-bench.ts'
import { memoryDirectory } from '../support/memory-directory.ts'
import { makeKey, makeTree } from '../support/packaged-tree.ts'

const key = makeKey()
const { publicKey } = key
const UNIT = 'systemd/obelisk-agent.service'
const READS = ['cpSync', 'lstatSync', 'openSync', 'readFileSync', 'readdirSync', 'statSync']

type Call = (...argv: unknown[]) => unknown

/** Runs the work; somebody does something before the n-th time that a tree is read, and undoes it after. */
async function withReader<T>(
  at: number,
  { change, undo }: { change: () => void; undo: () => void },
  work: () => Promise<T>,
): Promise<{ result: T; reads: number }> {
  const files = fs as unknown as Record<string, Call>
  const originals = new Map(READS.map((name) => [name, files[name]!]))
  let reads = 0
  let isBusy = false
  const somebody = (act: () => void): void => {
    isBusy = true
    act()
    isBusy = false
  }
  for (const [name, original] of originals) {
    files[name] = (...argv) => {
      if (isBusy || !/\/tree(\/|$)|^\/proc\/self\/fd\//.test(`${argv[0]}`)) return original(...argv)
      reads += 1
      if (reads === at) somebody(change)
      try {
        return original(...argv)
      } finally {
        if (reads === at) somebody(undo)
      }
    }
  }
  syncBuiltinESMExports()
  try {
    return { result: await work(), reads }
  } finally {
    for (const [name, original] of originals) files[name] = original
    syncBuiltinESMExports()
  }
}

/** A tree, a root to install it below, and files outside of both. */
function bench(t: Test) {
  const directory = memoryDirectory(t)
  const [tree, root, outside] = ['tree', 'root', 'outside'].map((name) => join(directory, name))
  mkdirSync(join(outside!, 'systemd'), { recursive: true })
  writeFileSync(join(outside!, 'secret'), 'secret')
  writeFileSync(join(outside!, UNIT), '[Service]\nExecStart=evil\n')
  const begin = (): void => {
    rmSync(root!, { recursive: true, force: true })
    mkdirSync(join(root!, 'usr/bin'), { recursive: true })
    writeFileSync(join(root!, 'usr/bin/node'), '')
    makeTree(tree!, { version: '1.0.0', architecture: 'arm64', key })
    chmodSync(join(outside!, 'secret'), 0o600)
  }
  begin()
  return { directory, tree: tree!, root: root!, outside: outside!, begin }
}

t.test('whatever is swapped while it is read, only what was signed is installed', async (t) => {
  const { tree, root, outside, begin } = bench(t)
  const at = (path: string): string => join(tree, path)
  const swap = (path: string, make: (path: string) => void) => ({
    change: () => {
      if (existsSync(at(path))) renameSync(at(path), `${tree}.away`)
      make(at(path))
    },
    undo: () => {
      rmSync(at(path), { recursive: true, force: true })
      renameSync(`${tree}.away`, at(path))
    },
  })
  const evil = '[Service]\nExecStart=evil\n'
  const attacks = {
    'an unsigned unit': swap(UNIT, (path) => writeFileSync(path, evil)),
    'a link to a file outside': swap('agent.mjs', (path) =>
      symlinkSync(join(outside, 'secret'), path),
    ),
    'a link to a directory outside': swap('systemd', (path) =>
      symlinkSync(join(outside, 'systemd'), path),
    ),
    'another inventory': swap('inventory.json', (path) => writeFileSync(path, '{"files":[]}')),
  }
  const signed = readFileSync(at(UNIT), 'utf8')
  const install = () =>
    obelisk(['install', '--role', 'agent', '--root', root, '--from', tree, '--id', 'edge-1'])
  const { reads } = await withReader(0, { change: () => {}, undo: () => {} }, install)
  for (const [name, attack] of Object.entries(attacks)) {
    const codes = new Set<number>()
    for (let read = 1; read <= reads; read++) {
      begin()
      const { result } = await withReader(read, attack, install)
      codes.add(result.code)
      const installed = join(root, 'usr/lib/obelisk-agent')
      if (result.code === 0) {
        t.strictSame(verifyTree(installed, publicKey), [], name)
        const unit = readFileSync(join(root, 'etc/systemd/system/obelisk-agent.service'), 'utf8')
        t.equal(unit, signed, 'the unit is the one that was signed')
      } else if (existsSync(installed)) t.fail(`${name}: refused, and yet there`)
      if (!/^(0|65|66)$/.test(`${result.code}`)) t.fail(`${result.code} ${result.err}`)
      const { mode } = statSync(join(outside, 'secret'))
      if ((mode & 0o777) !== 0o600) t.fail(`${name}: a file outside was changed`)
    }
    t.ok(codes.has(0) && codes.has(65), `${name}: ${[...codes]}`)
  }
  t.notOk(existsSync(join(root, 'usr/lib/obelisk-agent.new')))
})

t.test('what is no plain file is not copied, and not opened', (t) => {
  const { directory, tree, outside } = bench(t)
  symlinkSync(join(outside, 'secret'), join(tree, 'link'))
  symlinkSync(outside, join(tree, 'systemd/more'))
  symlinkSync('nowhere', join(tree, 'dangling'))
  execFileSync('mkfifo', [join(tree, 'pipe')])
  const copy = join(directory, 'copy')
  const problems = copyTree(tree, copy)
  t.strictSame(
    problems,
    ['dangling', 'link', 'pipe', 'systemd/more'].map((path) => ({
      path,
      message: 'is not a plain file',
    })),
  )
  t.strictSame(verifyTree(copy, publicKey), [])
  t.equal(statSync(copy).mode & 0o777, 0o700, 'for its owner alone')
  t.throws(() => copyTree(tree, copy), { code: 'EEXIST' }, 'never into what is there already')
  t.end()
})

t.test('what is far too large for a package is not copied to its end', async (t) => {
  const { tree, root } = bench(t)
  const words = ['install', '--role', 'agent', '--root', root, '--from', tree]
  for (let count = 0; count <= 1000; count++) writeFileSync(join(tree, `more-${count}`), '')
  t.match(await obelisk(words), { code: 65, err: /is not a package: it has more than 1000 entr/ })
  t.strictSame(readdirSync(root), ['usr'])
  t.notOk(existsSync(join(root, 'usr/lib')))
})
