/** Trees that somebody else can write to while they are installed: only what was signed gets in. */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
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
import { SystemPrograms } from '../../scripts/install/system-programs.ts'
import { copyTree } from '../../scripts/install/tree-copy.ts'
import { verifyTree } from '../../scripts/package/inventory.ts'
import { obelisk } from '../support/card-bench.ts'
import { memoryDirectory } from '../support/memory-directory.ts'
import { makeKey, makeTree } from '../support/packaged-tree.ts'

const key = makeKey()
const { publicKey } = key
const UNIT = 'systemd/obelisk-agent.service'
const TAR = '/bin/tar'

/**
 * A `tar` that somebody acts behind: `change` before it writes its n-th block, `undo` before its 2n-th, or once it has
 * ended. Both are words of a shell.
 */
function tarOf(directory: string, at: number, { change, undo }: { change: string; undo: string }) {
  const bin = join(directory, 'bin')
  mkdirSync(bin, { recursive: true })
  const [flag, act] = [join(bin, 'changed'), join(bin, 'act')]
  const undone = `[ "$(cat ${flag})" = undone ] || { ${undo}; echo undone >${flag}; }`
  writeFileSync(flag, '')
  const acting = `#!/bin/sh\nif [ -s ${flag} ]; then ${undone}; else ${change}; echo changed >${flag}; fi\n`
  writeFileSync(act, acting, { mode: 0o755 })
  const slow = `--blocking-factor=1 --checkpoint=${at} --checkpoint-action=exec=${act}`
  const text = `#!/bin/sh\n${TAR} ${slow} "$@"\ncode=$?\n[ ! -s ${flag} ] || ${undone}\nexit $code\n`
  writeFileSync(join(bin, 'tar'), text, { mode: 0o755 })
  return { path: `${bin}:${process.env.PATH}`, hasActed: () => readFileSync(flag, 'utf8') !== '' }
}

/** A tree, a root to install it below, and files outside of both. */
function bench(t: Test) {
  const directory = memoryDirectory(t)
  const [tree, root, outside] = ['tree', 'root', 'outside'].map((name) => join(directory, name))
  mkdirSync(join(outside!, 'systemd'), { recursive: true })
  writeFileSync(join(outside!, 'secret'), 'secret')
  writeFileSync(join(outside!, UNIT), '[Service]\nExecStart=evil\n')
  writeFileSync(join(outside!, 'inventory.json'), '{"files":[]}')
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
  const { directory, tree, root, outside, begin } = bench(t)
  const swap = (path: string, make: string) => {
    const at = join(tree, path)
    return {
      change: `mv ${at} ${tree}.away; ${make} ${at}`,
      undo: `rm -r ${at}; mv ${tree}.away ${at}`,
    }
  }
  const attacks = {
    'an unsigned unit': swap(UNIT, `cp ${join(outside, UNIT)}`),
    'a link to a file outside': swap('agent.mjs', `ln -s ${join(outside, 'secret')}`),
    'a link to a directory outside': swap('systemd', `ln -s ${join(outside, 'systemd')}`),
    'another inventory': swap('inventory.json', `cp ${join(outside, 'inventory.json')}`),
  }
  const signed = readFileSync(join(tree, UNIT), 'utf8')
  const before = process.env.PATH
  t.teardown(() => {
    process.env.PATH = before
  })
  for (const [name, attack] of Object.entries(attacks)) {
    const codes = new Set<number>()
    for (let block = 1; ; block += 2) {
      begin()
      process.env.PATH = before
      const tar = tarOf(directory, block, attack)
      process.env.PATH = tar.path
      const argv = ['install', '--role', 'agent', '--root', root, '--from', tree, '--id', 'edge-1']
      const { code, err } = await obelisk(argv)
      if (!tar.hasActed()) break
      codes.add(code)
      const installed = join(root, 'usr/lib/obelisk-agent')
      if (code === 0) {
        t.strictSame(verifyTree(installed, publicKey), [], name)
        const unit = readFileSync(join(root, 'etc/systemd/system/obelisk-agent.service'), 'utf8')
        t.equal(unit, signed, 'the unit is the one that was signed')
      } else if (existsSync(installed)) t.fail(`${name}: refused, and yet there`)
      if (!/^(0|65|66)$/.test(`${code}`)) t.fail(`${code} ${err}`)
      const { mode } = statSync(join(outside, 'secret'))
      if ((mode & 0o777) !== 0o600) t.fail(`${name}: a file outside was changed`)
    }
    t.ok(codes.has(0) && codes.size > 1, `${name}: ${[...codes]}`)
  }
  t.notOk(existsSync(join(root, 'usr/lib/obelisk-agent.new')))
})

t.test('what is no plain file is refused, and not opened', async (t) => {
  const { directory, tree, outside } = bench(t)
  const programs = new SystemPrograms(process.env)
  const copy = join(directory, 'copy')
  await copyTree(tree, copy, programs)
  t.strictSame(verifyTree(copy, publicKey), [])
  t.equal(statSync(copy).mode & 0o777, 0o700, 'for its owner alone')
  const again = copyTree(tree, copy, programs)
  await t.rejects(again, { code: 'EEXIST' }, 'never into what is there already')
  const makers: Record<string, (path: string) => void> = {
    link: (path) => symlinkSync(join(outside, 'secret'), path),
    'systemd/more': (path) => symlinkSync(outside, path),
    dangling: (path) => symlinkSync('nowhere', path),
    pipe: (path) => execFileSync('mkfifo', [path]),
  }
  for (const [name, make] of Object.entries(makers)) {
    make(join(tree, name))
    rmSync(copy, { recursive: true, force: true })
    const message = new RegExp(`${tree} is not a package: .*tree/${name}.* is not a plain file`)
    await t.rejects(copyTree(tree, copy, programs), { code: 'bad-package', message })
    t.notOk(existsSync(copy))
    rmSync(join(tree, name))
  }
  linkSync(join(tree, 'agent.mjs'), join(directory, 'other'))
  linkSync(join(tree, 'agent.mjs'), join(tree, 'twice'))
  rmSync(copy, { recursive: true, force: true })
  await copyTree(tree, copy, programs)
  t.equal(statSync(join(copy, 'twice')).nlink, 1, 'of two names of a file there are two')
})

t.test('what is far too large for a package is not copied to its end', async (t) => {
  const { tree, root } = bench(t)
  const words = ['install', '--role', 'agent', '--root', root, '--from', tree]
  for (let count = 0; count <= 1000; count++) writeFileSync(join(tree, `more-${count}`), '')
  t.match(await obelisk(words), { code: 65, err: /is not a package: it has more than 1000 entr/ })
  t.strictSame(readdirSync(root), ['usr'])
  t.notOk(existsSync(join(root, 'usr/lib')))
})
