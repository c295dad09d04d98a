/** Archives of strangers: nothing is made of what a package of ours would not have. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { unpackPackage } from '../../../scripts/package/untar.ts'
import { TAR_BLOCK, tarHeader } from '../../../shared/core/tar-header.ts'

const END = Buffer.alloc(2 * TAR_BLOCK)

/** A file of one byte, or a directory, with other bytes of its header at some places. */
function entry(name: string, other: Readonly<Record<number, string>> = {}): Buffer {
  const isDirectory = name.endsWith('/')
  const header = tarHeader({ name, size: isDirectory ? 0 : 1, mode: 0o640, seconds: 0 })
  for (const [at, text] of Object.entries(other)) header.write(text, Number(at), 'latin1')
  header.fill(' ', 148, 156)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return Buffer.concat([header, Buffer.alloc(isDirectory ? 0 : TAR_BLOCK, 'x')])
}

function damaged(block: Buffer): Buffer {
  block[0]! ^= 1
  return block
}

const KIND_AT = 156
const REFUSED: Readonly<Record<string, readonly [message: RegExp, entries: readonly Buffer[]]>> = {
  'a symbolic link': [/not a plain file/, [entry('a/b', { [KIND_AT]: '2', 157: '/etc/passwd' })]],
  'a hard link': [/not a plain file/, [entry('a/b', { [KIND_AT]: '1', 157: 'a/c' })]],
  'a device': [/not a plain file/, [entry('a/b', { [KIND_AT]: '3' })]],
  'a way up': [/no name of a file/, [entry('a/../../b')]],
  'a name from the root': [/no name of a file/, [entry('/a/b')]],
  'a name without a directory': [/no name of a file/, [entry('a')]],
  'a name in two fields': [/no name of a file/, [entry('a/b', { 345: 'c' })]],
  'another top': [/more than a in it/, [entry('a/b'), entry('b/b')]],
  'a name twice': [/EEXIST/, [entry('a/b'), entry('a/b')]],
  'a size that is none': [/no size/, [entry('a/b', { 124: '-0000000001' })]],
  'a size beyond all bounds': [/no size/, [entry('a/b', { 124: '77777777777' })]],
  'a directory with a size': [/no size/, [entry('a/', { 134: '1' })]],
  'a mode for other users': [/has mode 4755/, [entry('a/b', { 100: '0004755' })]],
  'a header that was changed': [/no archive of ours/, [damaged(entry('a/b'))]],
  'more entries than a package has': [/more than 1000/, Array(1001).fill(entry('a/'))],
}

for (const [what, [message, entries]] of Object.entries(REFUSED)) {
  t.test(`${what} is refused`, async (t) => {
    const archive = join(t.testdir(), 'a.tar.gz')
    writeFileSync(archive, gzipSync(Buffer.concat([...entries, END])))
    await t.rejects(unpackPackage(archive, join(t.testdirName, 'tree')), { message })
  })
}

t.test('files are unpacked below their top, which is left out', async (t) => {
  const [archive, tree] = [join(t.testdir(), 'a.tar.gz'), join(t.testdirName, 'tree')]
  const entries = [entry('a/'), entry('a/b'), entry('a/c/'), entry('a/c/d')]
  writeFileSync(archive, gzipSync(Buffer.concat([...entries, END])))
  await unpackPackage(archive, tree)
  t.equal(readFileSync(join(tree, 'c/d'), 'utf8'), 'x')
  t.equal(statSync(join(tree, 'b')).mode & 0o777, 0o640)
  t.notOk(existsSync(join(tree, 'a')))
  writeFileSync(archive, gzipSync(Buffer.concat(entries)))
  await t.rejects(unpackPackage(archive, `${tree}2`), { message: /cut off/ })
})
