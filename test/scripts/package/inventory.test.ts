import { createHash, createPublicKey, generateKeyPairSync, randomBytes, verify } from 'node:crypto'
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
  INVENTORY_FILE,
  type InventoryFile,
  listed,
  PUBLIC_KEY_FILE,
  readInventory,
  restoreModes,
  SECOND_SIGNATURE_FILE,
  SIGNATURE_FILE,
  signedInventory,
  type TreeFile,
  verifyTree,
} from '../../../scripts/package/inventory.ts'
import {
  fingerprintOf,
  formatPublicKeys,
  isSignedByMlDsa65,
  type PrivateKeys,
  parsePublicKeys,
  publicHalfOf,
  signEd25519,
  signMlDsa65,
} from '../../../scripts/package/signing-keys.ts'
import { writeTree } from '../../../scripts/package/tree.ts'

const newKeys = (): Required<PrivateKeys> => ({
  ed25519: generateKeyPairSync('ed25519').privateKey,
  mlDsa65: randomBytes(32),
})
const pemOf = (keys: PrivateKeys): string => formatPublicKeys(publicHalfOf(keys))

const KEYS = newKeys()
const PEM = pemOf(KEYS)
/** What versions of before the second signature know. */
const OLD_KEYS: PrivateKeys = { ed25519: KEYS.ed25519 }
const OLD_PEM = pemOf(OLD_KEYS)

const FILES: readonly TreeFile[] = [
  { path: PUBLIC_KEY_FILE, bytes: Buffer.from(PEM), mode: 0o644 },
  { path: 'agent.mjs', bytes: Buffer.from('a program'), mode: 0o644 },
  { path: 'install.sh', bytes: Buffer.from('a script'), mode: 0o755 },
  { path: 'systemd/obelisk-agent.service', bytes: Buffer.from('a unit'), mode: 0o644 },
]

const FACTS = { version: '1.0.0', role: 'agent', architecture: 'arm64', packages: [] }

function signed(files: readonly TreeFile[], keys: PrivateKeys = KEYS): TreeFile[] {
  return [...files, ...signedInventory({ ...FACTS, files: files.map(listed) }, keys)]
}

/** As they were packaged before there was a second signature. */
const OLD_FILES: readonly TreeFile[] = FILES.map((file) =>
  file.path === PUBLIC_KEY_FILE ? { ...file, bytes: Buffer.from(OLD_PEM) } : file,
)

/** A sound tree in a directory of its own. */
function treeFor(test: Test, files = signed(FILES)): string {
  const directory = test.testdir()
  writeTree(directory, files)
  return directory
}

t.test('a tree as it was signed has no problem', (t) => {
  const directory = treeFor(t)
  t.same(verifyTree(directory, PEM), [])
  t.equal(readInventory(directory).files.length, FILES.length + 1)
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
  t.match(verifyTree(directory, pemOf(newKeys())), [{ path: SIGNATURE_FILE }])
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey
  const theirs = rsa.export({ type: 'spki', format: 'pem' }).toString()
  t.match(verifyTree(directory, theirs), [{ message: /not an Ed25519 key/ }])
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

t.test('a fingerprint is that of all keys', (t) => {
  const print = fingerprintOf(parsePublicKeys(PEM)!)
  t.match(print, /^[0-9a-f]{64}$/)
  t.equal(print, fingerprintOf(publicHalfOf(KEYS)))
  // Of the first alone it is what it always was.
  const spki = createPublicKey(KEYS.ed25519).export({ type: 'spki', format: 'der' })
  const known = createHash('sha256').update(spki).digest('hex')
  t.equal(fingerprintOf(parsePublicKeys(OLD_PEM)!), known)
  t.not(print, known)
  t.end()
})

const SECOND_CHANGES: readonly [name: string, change: (directory: string) => void][] = [
  ['it is another one', (at) => replaceSecond(at, signed(FILES, { ...newKeys(), ...OLD_KEYS }))],
  ['a bit of it', (at) => writeFileSync(join(at, SECOND_SIGNATURE_FILE), flippedSecond(at))],
  ['it is cut', (at) => writeFileSync(join(at, SECOND_SIGNATURE_FILE), 'AAAA')],
  ['something stands in it', (at) => appendFileSync(join(at, SECOND_SIGNATURE_FILE), ' !\n')],
  ['it is missing', (at) => rmSync(join(at, SECOND_SIGNATURE_FILE))],
]

function replaceSecond(directory: string, files: readonly TreeFile[]): void {
  const { bytes } = files.find(({ path }) => path === SECOND_SIGNATURE_FILE)!
  writeFileSync(join(directory, SECOND_SIGNATURE_FILE), bytes)
}

function flippedSecond(directory: string): string {
  const line = readFileSync(join(directory, SECOND_SIGNATURE_FILE), 'utf8')
  const bytes = Buffer.from(line, 'base64')
  bytes[100]! ^= 1
  return `${bytes.toString('base64')}\n`
}

/** Whoever can make Ed25519 signatures lists what he likes. */
function forged(directory: string, change: (files: InventoryFile[]) => InventoryFile[]): void {
  const inventory = readInventory(directory)
  const list = encodeInventory({ ...inventory, files: change([...inventory.files]) })
  writeFileSync(join(directory, INVENTORY_FILE), list)
  writeFileSync(join(directory, SIGNATURE_FILE), signEd25519(list, KEYS))
}

for (const [name, change] of SECOND_CHANGES) {
  t.test(`the second signature counts: ${name}`, (t) => {
    for (const trusted of [PEM, OLD_PEM]) {
      const directory = treeFor(t)
      change(directory)
      t.match(verifyTree(directory, trusted), [{ path: SECOND_SIGNATURE_FILE }])
      // With the first one forged it is still there.
      forged(directory, (files) => {
        const others = files.filter(({ path }) => path !== SECOND_SIGNATURE_FILE)
        if (name === 'it is missing') return others
        const bytes = readFileSync(join(directory, SECOND_SIGNATURE_FILE))
        return [...others, listed({ path: SECOND_SIGNATURE_FILE, bytes, mode: 0o644 })]
      })
      t.match(verifyTree(directory, trusted), [{ path: SECOND_SIGNATURE_FILE }])
    }
    t.end()
  })
}

t.test('a second signature that was right counts for the same bytes and key alone', (t) => {
  const [bytes, { mlDsa65: key }] = [Buffer.from('a list'), publicHalfOf(KEYS)]
  const line = signMlDsa65(bytes, KEYS.mlDsa65).toString()
  const otherKey = Buffer.from(key!)
  otherKey[100]! ^= 1
  const other = signMlDsa65(Buffer.from('a mist'), KEYS.mlDsa65).toString()
  for (let again = 0; again < 2; again++) {
    t.ok(isSignedByMlDsa65(bytes, line, key!))
    t.notOk(isSignedByMlDsa65(Buffer.from('a mist'), line, key!))
    t.notOk(isSignedByMlDsa65(bytes, line, otherKey))
    t.notOk(isSignedByMlDsa65(bytes, other, key!))
    t.notOk(isSignedByMlDsa65(bytes, `${line}\n`, key!))
  }
  t.end()
})

t.test('the second signature is no program, whoever forged the first', (t) => {
  const directory = treeFor(t)
  chmodSync(join(directory, SECOND_SIGNATURE_FILE), 0o755)
  forged(directory, (files) =>
    files.map((file) => {
      return file.path === SECOND_SIGNATURE_FILE ? { ...file, mode: '0755' } : file
    }),
  )
  t.match(verifyTree(directory, PEM), [{ path: SECOND_SIGNATURE_FILE, message: /mode 0755/ }])
  t.end()
})

t.test('who can forge the first signature changes nothing where both are trusted', (t) => {
  const directory = treeFor(t)
  writeFileSync(join(directory, 'agent.mjs'), 'an evil one')
  forged(directory, (files) =>
    files.map((file) =>
      file.path === 'agent.mjs'
        ? listed({ path: file.path, bytes: Buffer.from('an evil one'), mode: 0o644 })
        : file,
    ),
  )
  t.match(verifyTree(directory, PEM), [
    { path: SECOND_SIGNATURE_FILE, message: /not a signature by the trusted key/ },
  ])
  const list = readFileSync(join(directory, INVENTORY_FILE), 'utf8').replace('{', '{ "more": 1,')
  writeFileSync(join(directory, INVENTORY_FILE), list)
  writeFileSync(join(directory, SIGNATURE_FILE), signEd25519(Buffer.from(list), KEYS))
  t.match(verifyTree(directory, PEM), [{ path: SECOND_SIGNATURE_FILE }])
  t.end()
})

t.test('a package of before is sound for who knows the first key alone', (t) => {
  const directory = treeFor(t, signed(OLD_FILES, OLD_KEYS))
  t.same(verifyTree(directory, OLD_PEM), [])
  t.match(verifyTree(directory, PEM), [
    { path: SECOND_SIGNATURE_FILE, message: /is missing: a package is signed by both keys/ },
  ])
  t.end()
})

t.test('who knows the first key alone takes the other from the package, if that is whole', (t) => {
  const directory = treeFor(t)
  t.same(verifyTree(directory, OLD_PEM), [])
  const own = join(directory, PUBLIC_KEY_FILE)
  writeFileSync(own, OLD_PEM)
  t.match(verifyTree(directory, OLD_PEM), [
    { path: SECOND_SIGNATURE_FILE, message: /by a key that is not there/ },
  ])
  writeFileSync(own, pemOf({ ...newKeys(), ...OLD_KEYS }))
  t.match(verifyTree(directory, OLD_PEM), [{ path: SECOND_SIGNATURE_FILE }])
  t.end()
})

t.test('versions of before find nothing wrong with it', (t) => {
  const directory = treeFor(t)
  // What they do: one signature over the list, and each file but these two is listed.
  const bytes = readFileSync(join(directory, INVENTORY_FILE))
  const signature = Buffer.from(readFileSync(join(directory, SIGNATURE_FILE), 'latin1'), 'base64')
  t.ok(verify(null, bytes, createPublicKey(OLD_PEM), signature))
  t.ok(verify(null, bytes, createPublicKey(PEM), signature), 'they read the first key of two')
  const files = new Map(readInventory(directory).files.map((file) => [file.path, file]))
  for (const path of [PUBLIC_KEY_FILE, SECOND_SIGNATURE_FILE, 'agent.mjs', 'install.sh']) {
    const content = readFileSync(join(directory, path))
    t.equal(files.get(path)?.sha256, createHash('sha256').update(content).digest('hex'), path)
  }
  t.end()
})

t.test('a file of keys that was cut is damaged, not one of before', (t) => {
  t.ok(parsePublicKeys(PEM)?.mlDsa65)
  t.equal(parsePublicKeys(OLD_PEM)?.mlDsa65, undefined)
  const boundary = OLD_PEM.trimEnd().length
  for (let length = 0; length < PEM.trimEnd().length; length += length > 200 ? 97 : 1) {
    if (length >= boundary && length <= boundary + 1) continue
    t.equal(parsePublicKeys(PEM.slice(0, length)), undefined, `${length} characters`)
  }
  t.equal(parsePublicKeys(PEM + OLD_PEM), undefined)
  t.equal(parsePublicKeys(OLD_PEM + OLD_PEM), undefined)
  t.equal(parsePublicKeys(`${OLD_PEM}\nmore`), undefined)
  t.end()
})
