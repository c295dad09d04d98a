import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  encodeInventory,
  fingerprintOf,
  INVENTORY_FILE,
  listed,
  readInventory,
  restoreModes,
  SIGNATURE_FILE,
  signInventory,
  type TreeFile,
  verifyTree,
} from '../../../scripts/package/inventory.ts'
import { writeTree } from '../../../scripts/package/tree.ts'

const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const PEM = publicKey.export({ type: 'spki', format: 'pem' }).toString()

const FILES: readonly TreeFile[] = [
  { path: 'agent.mjs', bytes: Buffer.from('a program'), mode: 0o644 },
  { path: 'install.sh', bytes: Buffer.from('a script'), mode: 0o755 },
  { path: 'systemd/obelisk-agent.service', bytes: Buffer.from('a unit'), mode: 0o644 },
]

function signed(files: readonly TreeFile[]): TreeFile[] {
  const facts = { version: '1.0.0', role: 'agent', architecture: 'arm64', packages: [] }
  const inventory = encodeInventory({ ...facts, files: files.map(listed) })
  return [
    ...files,
    { path: INVENTORY_FILE, bytes: inventory, mode: 0o644 },
    { path: SIGNATURE_FILE, bytes: signInventory(inventory, privateKey), mode: 0o644 },
  ]
}

/** A sound tree in a directory of its own. */
function treeFor(test: Test, files = signed(FILES)): string {
  const directory = test.testdir()
  writeTree(directory, files)
  return directory
}

t.test('a tree as it was signed has no problem', (t) => {
  const directory = treeFor(t)
  t.same(verifyTree(directory, PEM), [])
  t.same(verifyTree(directory, publicKey), [])
  t.equal(readInventory(directory).files.length, FILES.length)
  t.end()
})

const CHANGES: readonly [
  name: string,
  change: (directory: string) => void,
  path: string,
  message: RegExp,
][] = [
  ['a longer file', (at) => appendFileSync(join(at, 'agent.mjs'), '!'), 'agent.mjs', /10 bytes/],
  [
    'another content',
    (at) => writeFileSync(join(at, 'agent.mjs'), 'A program'),
    'agent.mjs',
    /con/,
  ],
  ['a missing file', (at) => rmSync(join(at, 'install.sh')), 'install.sh', /is missing/],
  ['a file more', (at) => writeFileSync(join(at, 'more.mjs'), ''), 'more.mjs', /not listed/],
  [
    'a file more in a folder more',
    (at) => {
      mkdirSync(join(at, 'node_modules/ws'), { recursive: true })
      writeFileSync(join(at, 'node_modules/ws/index.js'), '')
    },
    'node_modules/ws/index.js',
    /not listed/,
  ],
  ['a link more', (at) => symlinkSync('/etc/passwd', join(at, 'x')), 'x', /not listed/],
  [
    'a link in place of a file',
    (at) => {
      rmSync(join(at, 'agent.mjs'))
      symlinkSync('/etc/passwd', join(at, 'agent.mjs'))
    },
    'agent.mjs',
    /plain file/,
  ],
  ['a right more', (at) => chmodSync(join(at, 'agent.mjs'), 0o666), 'agent.mjs', /mode 0666/],
  ['set-user-id', (at) => chmodSync(join(at, 'install.sh'), 0o4755), 'install.sh', /mode 4755/],
  [
    'a right less of its owner',
    (at) => chmodSync(join(at, 'install.sh'), 0o444),
    'install.sh',
    /44/,
  ],
  ['no inventory', (at) => rmSync(join(at, INVENTORY_FILE)), INVENTORY_FILE, /cannot be checked/],
  ['no signature', (at) => rmSync(join(at, SIGNATURE_FILE)), INVENTORY_FILE, /cannot be checked/],
  [
    'another list',
    (at) => {
      const list = readFileSync(join(at, INVENTORY_FILE), 'utf8')
      writeFileSync(join(at, INVENTORY_FILE), list.replace('1.0.0', '1.0.1'))
    },
    SIGNATURE_FILE,
    /trusted key/,
  ],
  [
    'no base64',
    (at) => writeFileSync(join(at, SIGNATURE_FILE), '%'),
    SIGNATURE_FILE,
    /trusted key/,
  ],
]

for (const [name, change, path, message] of CHANGES) {
  t.test(`${name} is found`, (t) => {
    const directory = treeFor(t)
    change(directory)
    const problems = verifyTree(directory, PEM)
    t.equal(problems.length, 1)
    t.equal(problems[0]!.path, path)
    t.match(problems[0]!.message, message)
    t.end()
  })
}

t.test('all problems are told at once', (t) => {
  const directory = treeFor(t)
  rmSync(join(directory, 'agent.mjs'))
  writeFileSync(join(directory, 'b'), '')
  appendFileSync(join(directory, 'install.sh'), '!')
  t.same(
    verifyTree(directory, PEM).map(({ path }) => path),
    ['agent.mjs', 'install.sh', 'b'],
  )
  t.end()
})

t.test('a tree that another key signed is refused, and so is a key of another kind', (t) => {
  const directory = treeFor(t)
  const other = generateKeyPairSync('ed25519').publicKey
  t.match(verifyTree(directory, other), [{ path: SIGNATURE_FILE }])
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey
  t.match(verifyTree(directory, rsa), [{ message: /not an Ed25519 key/ }])
  t.match(verifyTree(directory, 'no key'), [{ message: /cannot be checked/ }])
  t.end()
})

t.test('a signed list that names files outside of the tree is none', (t) => {
  for (const path of ['../passwd', '/etc/passwd', 'a//b', './a']) {
    const files = signed([{ path, bytes: Buffer.from(''), mode: 0o644 }])
    const directory = t.testdir()
    writeTree(directory, files.slice(1))
    t.match(verifyTree(directory, PEM), [{ path: INVENTORY_FILE, message: /not an inventory/ }])
  }
  t.end()
})

t.test('what was unpacked under a strict umask is sound, and gets its modes back', (t) => {
  const directory = treeFor(t)
  for (const { path, mode } of FILES) chmodSync(join(directory, path), mode & 0o700)
  chmodSync(join(directory, 'systemd'), 0o700)
  t.same(verifyTree(directory, PEM), [])
  restoreModes(directory)
  for (const { path, mode } of FILES) t.equal(statSync(join(directory, path)).mode & 0o777, mode)
  t.equal(statSync(join(directory, 'systemd')).mode & 0o777, 0o755)
  t.same(verifyTree(directory, PEM), [])
  t.end()
})

t.test('a fingerprint is that of the key, in whichever form', (t) => {
  t.match(fingerprintOf(PEM), /^[0-9a-f]{64}$/)
  t.equal(fingerprintOf(PEM), fingerprintOf(createPublicKey(privateKey)))
  t.end()
})
