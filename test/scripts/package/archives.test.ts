import { spawnSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import t from 'tap'
import { packTarball } from '../../../scripts/package/archive.ts'
import { newerInstruction } from '../../../scripts/package/armhf-native.ts'
import { strip, versionsNeeded } from '../../../scripts/package/elf.ts'

const FILES = [
  { path: 'b/two', bytes: Buffer.alloc(513, 'x'), mode: 0o755 },
  { path: 'a', bytes: Buffer.from(''), mode: 0o644 },
]

t.test('an archive is of root and of one time, whatever the umask and the order of files', (t) => {
  const directory = t.testdir()
  const path = join(directory, 'x.tar.gz')
  const umask = process.umask(0o077)
  const archive = packTarball(FILES, 'top', 1_000_000_000)
  process.umask(umask)
  t.same(packTarball(FILES.toReversed(), 'top', 1_000_000_000), archive)
  writeFileSync(path, archive)
  const listing = spawnSync('tar', ['--utc', '--numeric-owner', '-tvzf', path])
  t.equal(listing.status, 0, listing.stderr.toString())
  t.same(
    listing.stdout
      .toString()
      .trim()
      .split('\n')
      .map((line) => line.replace(/\s+/g, ' ')),
    [
      'drwxr-xr-x 0/0 0 2001-09-09 01:46 top/',
      '-rw-r--r-- 0/0 0 2001-09-09 01:46 top/a',
      'drwxr-xr-x 0/0 0 2001-09-09 01:46 top/b/',
      '-rwxr-xr-x 0/0 513 2001-09-09 01:46 top/b/two',
    ],
  )
  t.equal(spawnSync('tar', ['-xzf', path, '-C', directory]).status, 0)
  t.same(readFileSync(join(directory, 'top/b/two')), FILES[0]!.bytes)
  t.end()
})

/** Of this machine: the part of lmdb that npm installed. */
function installedPart(): Buffer {
  const lmdb = createRequire(createRequire(import.meta.url).resolve('lmdb'))
  const arch = { x64: 'x64', arm64: 'arm64', arm: 'arm' }[process.arch as string]
  return readFileSync(
    join(lmdb.resolve(`@lmdb/lmdb-linux-${arch}/package.json`), '../node.napi.glibc.node'),
  )
}

t.test('an object without its debug sections loads as before, and asks for the same', (t) => {
  const whole = installedPart()
  const stripped = strip(whole)
  t.ok(stripped.length < whole.length / 2, `${whole.length} → ${stripped.length} bytes`)
  t.same(versionsNeeded(stripped), versionsNeeded(whole))
  t.match(versionsNeeded(stripped).get('GLIBC'), /^2\.\d+$/)
  t.same(strip(stripped), stripped)
  const path = join(t.testdir(), 'lmdb.node')
  writeFileSync(path, stripped)
  const script = 'process.stdout.write(Object.keys(require(process.argv[1])).join())'
  const { status, stdout } = spawnSync(process.execPath, ['-e', script, path])
  t.equal(status, 0)
  t.match(stdout.toString(), 'Env')
  t.ok(statSync(path).size > 100_000)
  t.end()
})

const LISTING = ['00000000 <f>:', '   4:\te1a00000 \tnop', '   8:\tee207b01 \tvmul.f64\td7, d0, d1']
const FOR_ARM11 = [
  '   c:\te1921f9f \tldrex\tr1, [r2]',
  '   c:\tee070fba \tmcr\t15, 0, r0, cr7, cr10, {5}',
  '   c:\teeb57ac0 \tvcmpe.f32\ts14, #0.0',
  '   c:\teeb87bc7 \tvcvt.f64.s32\td7, s14',
  '   c:\te59f3008 \tldr\tr3, [pc, #8]\t@ 18 <movw>',
]
const TOO_NEW = [
  '   c:\te3053678 \tmovw\tr3, #22136\t@ 0x5678',
  '   c:\te7e602d0 \tubfx\tr0, r0, #5, #7',
  '   c:\tf57ff05b \tdmb\tish',
  '   c:\te730f110 \tudiv\tr0, r0, r1',
  '   c:\teeb77b00 \tvmov.f64\td7, #112\t@ 0x3f800000  1.0',
  '   c:\tee701ba0 \tvadd.f64\td17, d16, d16',
  '   c:\tf2200844 \tvadd.i32\tq0, q0, q2',
]

t.test('instructions that an ARM11 lacks are told from those that it has', (t) => {
  t.equal(newerInstruction([...LISTING, ...FOR_ARM11].join('\n')), undefined)
  for (const line of TOO_NEW) {
    t.equal(newerInstruction([...LISTING, line, ...FOR_ARM11].join('\n')), line)
  }
  t.end()
})
