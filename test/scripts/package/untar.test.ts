/** Archives of strangers: nothing is made of what a package of ours would not have. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { unpackPackage } from '../../../scripts/package/untar.ts'
import { TAR_BLOCK, tarHeader } from '../../../shared/core/tar-header.ts'
import { SmallDisk } from '../../support/small-disk.ts'

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
  'a hard link': [
    /not a plain file/,
    [entry('a/b', { 124: '00000000000', [KIND_AT]: '1', 157: 'a/c' }).subarray(0, TAR_BLOCK)],
  ],
  'a device': [/not a plain file/, [entry('a/b', { [KIND_AT]: '3' })]],
  'a way up': [/no name of a file/, [entry('a/../../b')]],
  'a name from the root': [/no name of a file/, [entry('/a/b')]],
  'a name without a directory': [/no name of a file/, [entry('a')]],
  'a way up in two fields': [/no name of a file/, [entry('a/b', { 345: '..' })]],
  'another top': [/more than a in it/, [entry('a/b'), entry('b/b')]],
  'a name twice': [/File exists/, [entry('a/b'), entry('a/b')]],
  'a size that is none': [/size|headers/, [entry('a/b', { 124: '-0000000001' })]],
  'a size beyond all bounds': [/Unexpected EOF/, [entry('a/b', { 124: '77777777777' })]],
  'a mode for other users': [/-rws.* is not a plain file/, [entry('a/b', { 100: '0004755' })]],
  'a header that was changed': [/not look like a tar archive/, [damaged(entry('a/b'))]],
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
  writeFileSync(archive, gzipSync(Buffer.concat(entries).subarray(0, -1)))
  await t.rejects(unpackPackage(archive, `${tree}2`), { message: /Unexpected EOF/ })
  writeFileSync(archive, gzipSync(Buffer.concat([...entries, END])).subarray(0, -9))
  await t.rejects(unpackPackage(archive, `${tree}2`), { message: /unexpected end of file/ })
})

t.test('what becomes more than a package has is refused, packed or full of holes', async (t) => {
  const directory = t.testdir({ a: { b: '' } })
  const archive = join(directory, 'a.tar.gz')
  truncateSync(join(directory, 'a/b'), 2 ** 26 + 1)
  const message = /more than 67108864 bytes/
  for (const words of [[], ['--sparse']]) {
    execFileSync('tar', ['-czf', archive, ...words, '-C', directory, 'a'])
    t.ok(statSync(archive).size < 100_000)
    await t.rejects(unpackPackage(archive, join(directory, 'tree')), { message })
    t.notOk(existsSync(join(directory, 'tree')))
  }
})

t.test('a disk that is full is no fault of the archive', async (t) => {
  const disk = SmallDisk.mount(t, 1)
  if (disk === undefined) return
  const archive = join(t.testdir({ a: { b: 'x'.repeat(2 ** 21) } }), 'a.tar.gz')
  execFileSync('tar', ['-czf', archive, '-C', t.testdirName, 'a'])
  await t.rejects(unpackPackage(archive, join(disk.path, 'tree')), { code: 'no-room' })
})
