/**
 * The packages of this machine's architecture, made once: what is in them, that two runs make the same,
 * and that their programs run where there is no node_modules.
 */
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import {
  hostArchitecture,
  isPackaged,
  ROLES,
  type Role,
} from '../../scripts/package/architectures.ts'
import {
  readInventory,
  SECOND_SIGNATURE_FILE,
  verifyTree,
} from '../../scripts/package/inventory.ts'
import { makePackages } from '../../scripts/package/package.ts'
import { developmentKey, makeReleaseKey } from '../../scripts/package/release-key.ts'
import {
  fingerprintOf,
  formatPrivateKeys,
  formatPublicKeys,
  parsePrivateKeys,
  publicHalfOf,
} from '../../scripts/package/signing-keys.ts'
import { PROTOCOL_VERSION } from '../../shared/protocol/messages.ts'
import { VERSION } from '../../shared/runtime/version.ts'
import { Fleet, freePort } from '../support/processes.ts'
import { SmallDisk } from '../support/small-disk.ts'

const architecture = hostArchitecture()!
const roles = ROLES.filter((role) => isPackaged(role, architecture))
// Outside of the checkout, so that no node_modules is above.
const CHECKOUT_PROGRAM = new URL('../../dist/scripts/obelisk.js', import.meta.url).pathname
const WORK = mkdtempSync(join(tmpdir(), 'obelisk-package-'))
t.teardown(() => rmSync(WORK, { recursive: true, force: true }))

const KEY = join(WORK, 'release.pem')
const publicKeys = publicHalfOf(makeReleaseKey(KEY))
const publicKey = formatPublicKeys(publicKeys)
const PUBLIC_KEY = join(WORK, 'release-public.pem')
writeFileSync(PUBLIC_KEY, publicKey)

const nameOf = (role: Role): string => `obelisk-${role}-${VERSION}-${architecture}`
const debOf = (role: Role): string => `obelisk-${role}_${VERSION}_${architecture}.deb`

async function makeInto(output: string): Promise<string[]> {
  const said: string[] = []
  const argv = ['--architecture', architecture, '--key', KEY, '--output', output]
  const code = await makePackages(argv, (line) => said.push(line))
  if (code !== 0) throw new Error(said.join('\n'))
  return said
}

const OUTPUT = join(WORK, 'packages')
const said = await makeInto(OUTPUT)
for (const role of roles) unpack(role, WORK)
const treeOf = (role: Role): string => join(WORK, nameOf(role))

function unpack(role: Role, directory: string): string {
  mkdirSync(directory, { recursive: true })
  const archive = join(OUTPUT, `${nameOf(role)}.tar.gz`)
  const { status, stderr } = spawnSync('tar', ['-xpzf', archive, '-C', directory])
  if (status !== 0) throw new Error(stderr.toString())
  return join(directory, nameOf(role))
}

t.test('both wrappings of every role are there, and the key is told', (t) => {
  t.same(
    readdirSync(OUTPUT).sort(),
    roles.flatMap((role) => [`${nameOf(role)}.tar.gz`, debOf(role)]).sort(),
  )
  t.equal(said[0], `release key: ${fingerprintOf(publicKeys)}`)
  t.end()
})

t.test('a second run makes the same bytes', async (t) => {
  const again = join(WORK, 'again')
  await makeInto(again)
  for (const name of readdirSync(OUTPUT)) {
    t.ok(readFileSync(join(OUTPUT, name)).equals(readFileSync(join(again, name))), name)
  }
})

t.test('a tree is what its inventory says, and says what it is', (t) => {
  for (const role of roles) {
    const tree = treeOf(role)
    t.same(verifyTree(tree, publicKey), [])
    const { files, packages, ...facts } = readInventory(tree)
    t.same(facts, { version: VERSION, role, architecture, protocol: PROTOCOL_VERSION })
    const about = JSON.parse(readFileSync(join(tree, 'package.json'), 'utf8'))
    t.match(about, { name: `obelisk-${role}`, version: VERSION, obelisk: { role, architecture } })
    t.match(about.obelisk.glibc, /^2\.\d+$/)
    const paths = files.map(({ path }) => path)
    for (const path of [`${role}.mjs`, 'obelisk.mjs', 'lmdb.node', 'lmdb.cjs', 'install.sh']) {
      t.ok(paths.includes(path), path)
    }
    const licences = readFileSync(join(tree, 'THIRD-PARTY.txt'), 'utf8')
    for (const { name, version, license } of packages) {
      t.ok(licences.includes(`${name} ${version} (${license})`), `the licence of ${name}`)
    }
  }
  t.end()
})

/** Packages that ours pull in, and words that would be in a bundle with them. */
const LEFT_OUT: readonly [name: string, file?: string, word?: string][] = [
  ['ws', 'lib/websocket.js', 'Sec-WebSocket-'],
  ['socks', 'build/client/socksclient.js', 'SocksClientError'],
  ['readable-stream', 'lib/internal/streams/writable.js', 'kOnFinished'],
  ...['worker-timers', 'debug', 'lru-cache', 'msgpackr', 'pino', 'light-my-request'].map(
    (name) => [name] as [string],
  ),
  ...['ajv', '@fastify/ajv-compiler', 'fast-uri', 'semver', '@opentelemetry/api'].map(
    (name) => [name] as [string],
  ),
]

t.test('what no program of ours reaches is in no bundle', (t) => {
  const modules = new URL('../../node_modules/', import.meta.url)
  for (const role of roles) {
    const bundles = readdirSync(treeOf(role)).filter((name) => /\.[mc]js$/.test(name))
    const bundled = readInventory(treeOf(role)).packages.map(({ name }) => name)
    for (const [name, file, word] of LEFT_OUT) {
      t.notOk(bundled.includes(name), `${name} is not in ${role}`)
      if (file === undefined || word === undefined) continue
      const original = readFileSync(new URL(`${name}/${file}`, modules), 'utf8')
      t.ok(original.includes(word), `${name} has ${word}`)
      for (const bundle of bundles) {
        const text = readFileSync(join(treeOf(role), bundle), 'utf8')
        t.notOk(text.includes(word), `${bundle}: no ${word}`)
      }
    }
    for (const bundle of bundles) {
      const text = readFileSync(join(treeOf(role), bundle), 'utf8')
      t.notMatch(text, /\bfrom ?["']node:(?!module["'])/, `${bundle} requires what is of Node`)
    }
    for (const name of ['mqtt', 'lmdb', 'liblmdb', 'cbor-x']) t.ok(bundled.includes(name), name)
  }
  const agent = readFileSync(join(treeOf('agent'), 'agent.mjs'))
  t.notOk(agent.includes('disk-mounts'), 'nor monitors that nobody asks')
  t.ok(agent.length < 780_000, `agent.mjs has ${agent.length} bytes`)
  t.ok(
    agent.every((byte) => byte < 128),
    'one byte a character',
  )
  t.end()
})

const RUNS = {
  skip: roles.includes('gateway') ? false : 'no gateway is packaged for this architecture',
}

t.test('programs of packages run a task, are killed, and go on', RUNS, async (t) => {
  const fleet = new Fleet(t)
  const node = process.execPath
  const [port, httpPort] = [await freePort(), await freePort()]
  const http = `http://127.0.0.1:${httpPort}`
  const own = ['--port', `${port}`, '--http-port', `${httpPort}`, '--grid', '64x64']
  const gateway = fleet.command(node, [
    join(treeOf('gateway'), 'gateway.mjs'),
    ...[...own, '--replicas', '1', '--data', join(fleet.directory, 'gateway')],
  ])
  await gateway.line('ready ')
  const url = `mqtt://127.0.0.1:${port}`
  const about = ['--id', 'edge-1', '--url', url, '--data', join(fleet.directory, 'edge-1')]
  const agent = fleet.command(node, [join(treeOf('agent'), 'agent.mjs'), ...about])
  await agent.line('ready ')
  t.equal(await sumAfter(http, 'set', { fields: { value: 2 } }), 8192)

  // The store was not closed: it is tried out in a process of its own, which loads lmdb.cjs.
  await agent.kill()
  const link = join(fleet.directory, 'obelisk')
  symlinkSync(join(treeOf('agent'), 'obelisk.mjs'), link)
  const again = fleet.command(node, [link, 'agent', ...about])
  await again.line('ready ')
  t.equal(await sumAfter(http, 'add', { field: 'value', value: 1 }), 12_288)
  t.notMatch(again.stderr, 'store-set-aside')

  const list = fleet.command(link, ['node', 'ls', '--http', http])
  t.equal((await list.exited).code, 0)
  t.match(list.stdout, /edge-1 +alive/)
  const filter = 'obelisk/v1/gateway/state'
  const sub = fleet.command(link, ['sub', filter, '--url', url, '--count', '1', '--timeout', '20'])
  t.equal((await sub.exited).code, 0, sub.stderr)
  for (const run of [again, gateway]) t.equal((await run.end('SIGTERM')).code, 0)
})

async function sumAfter(http: string, op: string, args: unknown): Promise<unknown> {
  await submit(http, { op, args })
  return ((await submit(http, { op: 'stat', args: { field: 'value' } })) as { sum: number }).sum
}

async function submit(http: string, task: unknown): Promise<unknown> {
  const response = await fetch(`${http}/process?wait=20s`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(task),
  })
  const answer = (await response.json()) as { state: string; value: unknown }
  if (answer.state !== 'completed') throw new Error(JSON.stringify(answer))
  return answer.value
}

t.test('obelisk says where a program is that the package does not have', async (t) => {
  const alone = unpack('agent', join(WORK, 'alone'))
  for (const [name, words] of [
    ['gateway', /install the package obelisk-gateway/],
    ['demo', /only in a checkout/],
  ] as const) {
    const run = spawnSync(process.execPath, [join(alone, 'obelisk.mjs'), name])
    t.equal(run.status, 1)
    t.match(run.stderr.toString(), words)
  }
  const { stdout } = spawnSync(process.execPath, [join(alone, 'obelisk.mjs'), '--version'])
  t.equal(stdout.toString().trim(), VERSION)
})

t.test(
  'a configuration that is wrong ends a packaged program as it does one of the checkout',
  (t) => {
    const wrong = join(WORK, 'wrong.toml')
    writeFileSync(wrong, 'no_such_key = 1\n')
    for (const role of roles) {
      for (const [words, code] of [
        [['--config', wrong], 78],
        [['--no-such-option'], 2],
      ] as const) {
        const [packaged, ours] = [join(treeOf(role), 'obelisk.mjs'), CHECKOUT_PROGRAM].map(
          (program) => {
            const argv = [program, role, ...words]
            const { status, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' })
            return { status, stderr }
          },
        )
        t.equal(packaged!.status, code, packaged!.stderr)
        t.same(packaged, ours)
      }
    }
    t.end()
  },
)

t.test('dpkg reads the packages', (t) => {
  for (const role of roles) {
    const deb = join(OUTPUT, debOf(role))
    const field = (name: string): string =>
      spawnSync('dpkg-deb', ['--field', deb, name]).stdout.toString().trim()
    t.equal(field('Package'), `obelisk-${role}`)
    t.equal(field('Version'), VERSION)
    t.equal(field('Architecture'), architecture)
    t.match(field('Depends'), /^nodejs \(>= 20\.19\), libc6 \(>= 2\.\d+\), libstdc\+\+6 \(>= \d+\)/)
    const directory = join(WORK, `deb-${role}`)
    t.equal(spawnSync('dpkg-deb', ['--raw-extract', deb, directory]).status, 0)
    t.same(verifyTree(join(directory, `usr/lib/obelisk-${role}`), publicKey), [])
    const unit = `obelisk-${role}.service`
    t.same(
      readFileSync(join(directory, 'lib/systemd/system', unit)),
      readFileSync(join(treeOf(role), 'systemd', unit)),
    )
    t.match(
      readFileSync(join(directory, `usr/share/doc/obelisk-${role}/copyright`), 'utf8'),
      'Apache',
    )
    t.notOk(existsSync(join(directory, 'DEBIAN/conffiles')))
    for (const script of ['preinst', 'postinst', 'prerm', 'postrm']) {
      const path = join(directory, 'DEBIAN', script)
      t.equal(statSync(path).mode & 0o777, 0o755)
      t.notMatch(readFileSync(path, 'utf8'), '@ROLE@')
      t.equal(spawnSync('sh', ['-n', path]).status, 0, script)
    }
  }
  t.end()
})

/** Runs an install.sh with some commands replaced by ones that print a line. */
function install(tree: string, argv: readonly string[], commands: Record<string, string> = {}) {
  const directory = mkdtempSync(join(WORK, 'commands-'))
  for (const [name, line] of Object.entries({
    dpkg: architecture,
    systemctl: 'systemd 257 (257.9-1)',
    ...commands,
  })) {
    writeFileSync(join(directory, name), `#!/bin/sh\necho '${line}'\n`, { mode: 0o755 })
  }
  const { status, stdout, stderr } = spawnSync('sh', [join(tree, 'install.sh'), ...argv], {
    env: { ...process.env, PATH: `${directory}:${process.env.PATH}` },
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

t.test('install.sh refuses a machine that cannot run the package', (t) => {
  const tree = treeOf('agent')
  t.match(install(tree, [], { dpkg: 'mips' }), { status: 20, stderr: /this machine is mips/ })
  const other = { dpkg: 'riscv64' }
  t.match(install(tree, ['--key', '/nowhere'], other), { status: 66, stderr: /cannot be read/ })
  t.match(install(tree, ['--key', WORK], other), { status: 66, stderr: /is no file/ })
  t.match(install(tree, ['--key']), { status: 2 })
  t.match(install(tree, [], { getconf: 'glibc 2.17' }), { status: 22, stderr: /is glibc 2\.17/ })
  t.match(install(tree, [], { systemctl: 'systemd 247 (247.3-7)' }), {
    status: 23,
    stderr: /252 or newer is needed, and this is 247/,
  })
  const old = unpack('agent', join(WORK, 'old-node'))
  const script = readFileSync(join(old, 'install.sh'), 'utf8')
  const oldNode = join(WORK, 'old-node/node')
  writeFileSync(oldNode, '#!/bin/sh\necho v20.18.3\n', { mode: 0o755 })
  writeFileSync(
    join(old, 'install.sh'),
    script.replace(/\/usr\/lib\/obelisk-node\S+ .*;/, `${oldNode};`),
  )
  t.match(install(old, []), { status: 21, stderr: /20\.19 or newer.*is v20\.18\.3/ })
  chmodSync(oldNode, 0o644)
  t.match(install(old, []), { status: 21, stderr: /there is none/ })
  t.end()
})

const hasNode = ['/usr/bin/node', '/usr/local/bin/node'].some((path) => existsSync(path))

t.test(
  'install.sh takes only what the trusted key signed',
  {
    skip: hasNode ? false : 'no Node at a place that install.sh looks at',
  },
  (t) => {
    const tree = unpack('agent', join(WORK, 'changed'))
    const theirs = publicHalfOf(developmentKey(WORK))
    writeFileSync(join(WORK, 'other.pem'), formatPublicKeys(theirs))
    t.match(install(tree, ['--key', join(WORK, 'other.pem')]), {
      status: 65,
      stderr: /trusted key/,
    })
    // Sound, so the next check speaks.
    t.match(install(tree, ['--key', PUBLIC_KEY], { id: '1000' }), {
      status: 77,
      stderr: /only root/,
    })
    // A good Ed25519 key is not enough where the other one is trusted, too.
    const half = { ed25519: publicKeys.ed25519, mlDsa65: theirs.mlDsa65! }
    writeFileSync(join(WORK, 'half.pem'), formatPublicKeys(half))
    t.match(install(tree, ['--key', join(WORK, 'half.pem')]), {
      status: 65,
      stderr: new RegExp(`${SECOND_SIGNATURE_FILE} is not a signature by the trusted key`),
    })
    appendFileSync(join(tree, 'obelisk.mjs'), '\n')
    const refused = install(tree, ['--key', PUBLIC_KEY], { id: '1000' })
    t.match(refused, { status: 65, stderr: /obelisk\.mjs has \d+ bytes/ })
    rmSync(join(tree, 'package.json'))
    t.match(install(tree, []), { status: 65, stderr: /not a whole package/ })
    t.end()
  },
)

t.test('what cannot be packaged is said', async (t) => {
  const told = async (argv: readonly string[]): Promise<[number, string]> => {
    const lines: string[] = []
    const code = await makePackages(['--output', join(WORK, 'none'), ...argv], (line) => {
      lines.push(line)
    })
    return [code, lines.join('\n')]
  }
  t.match(await told(['--architecture', 'mips']), [2, /"mips" is none of amd64, arm64, armhf/])
  t.match(await told(['--role', 'demo']), [2, /"demo" is none of agent, gateway/])
  t.match(await told(['--speed', '1']), [2, /--speed/])
  t.match(await told(['--key', join(WORK, 'missing')]), [66, /ENOENT/])
  t.match(await told(['--key', PUBLIC_KEY]), [65, /--key/])
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  writeFileSync(join(WORK, 'rsa.pem'), rsa.export({ type: 'pkcs8', format: 'pem' }))
  t.match(await told(['--key', join(WORK, 'rsa.pem')]), [65, /not a release key/])
  const gatewayOnly = ['--role', 'gateway', '--architecture', 'armhf', '--key', KEY]
  t.match(await told(gatewayOnly), [
    2,
    /^release key: .*\n.*: nothing can be made: the gateway is for amd64 and arm64$/,
  ])
  t.notOk(existsSync(join(WORK, 'none')), 'nothing is written')
})

t.test('an output that takes no packages is said in one line', async (t) => {
  const disk = SmallDisk.mount(t, 1)
  const problem = async (output: string): Promise<string> => {
    const lines: string[] = []
    const argv = ['--role', 'agent', '--architecture', architecture, '--key', KEY]
    const code = await makePackages([...argv, '--output', output], (line) => lines.push(line))
    return `${code} ${lines.slice(1).join('\n')}`
  }
  const directory = t.testdir({ file: 'a file', taken: { [debOf('agent')]: { kept: '' } } })
  const file = join(directory, 'file')
  t.equal(await problem(file), `2 npm run package: --output: ${file} is not a directory`)
  t.match(await problem(join(file, 'below')), /^66 npm run package: \S+below has a file above it/)
  t.equal(readFileSync(file, 'utf8'), 'a file')
  const taken = join(directory, 'taken')
  t.match(await problem(taken), /^66 npm run package: \S+\.deb is a directory, where a file/)
  t.same(readdirSync(taken), [debOf('agent')], 'nothing half-written is left')

  if (disk === undefined) return
  disk.fillUpTo(64 * 1024)
  t.match(await problem(disk.path), /^73 npm run package: the disk of \S+\.deb is full$/)
  t.same(readdirSync(disk.path), ['filler'])
  spawnSync('mount', ['-o', 'remount,ro', disk.path])
  t.match(
    await problem(disk.path),
    /^77 npm run package: \S+\.deb is on a file system that is read-/,
  )
})

t.test('a key for development is made once, for its owner only', (t) => {
  const directory = t.testdir()
  const made = developmentKey(directory)
  t.equal(statSync(join(directory, '.release-key.pem')).mode & 0o777, 0o600)
  const printOf = (key: typeof made): string => fingerprintOf(publicHalfOf(key))
  t.equal(printOf(developmentKey(directory)), printOf(made))
  // One of before gets the other key, and keeps its own: boards trust that.
  const { ed25519 } = made
  writeFileSync(join(directory, '.release-key.pem'), formatPrivateKeys({ ed25519 }))
  const both = developmentKey(directory)
  t.ok(both.mlDsa65)
  t.equal(printOf({ ed25519: both.ed25519 }), printOf({ ed25519 }))
  t.equal(printOf(developmentKey(directory)), printOf(both))
  t.end()
})

t.test('a release key is made by a word, and one of before signs nothing', async (t) => {
  const path = join(t.testdir(), 'release.pem')
  const words = async (...argv: string[]): Promise<[number, string]> => {
    const said: string[] = []
    const code = await makePackages(argv, (line) => said.push(line))
    return [code, said.join('\n')]
  }
  const [code, told] = await words('--new-key', path)
  t.equal(code, 0)
  t.equal(statSync(path).mode & 0o777, 0o600)
  const text = readFileSync(path, 'utf8')
  const made = parsePrivateKeys(text)!
  t.match(told, new RegExp(fingerprintOf(publicHalfOf(made))))
  t.match(await words('--new-key', path), [65, /has both keys already/])
  t.equal(readFileSync(path, 'utf8'), text)

  writeFileSync(path, formatPrivateKeys({ ed25519: made.ed25519 }))
  t.match(await words('--key', path), [65, /the Ed25519 key alone: npm run package -- --new-key/])
  t.match(await words('--new-key', path), [0, /holds the release key/])
  const added = parsePrivateKeys(readFileSync(path, 'utf8'))!
  t.same(added.ed25519.export({ format: 'jwk' }), made.ed25519.export({ format: 'jwk' }))
  for (const damaged of ['', 'no key', text.slice(0, -40), `${text}more`, text + text]) {
    writeFileSync(path, damaged)
    t.match(await words('--key', path), [65, /not a release key/])
    t.match(await words('--new-key', path), [65, /not a release key/])
    t.equal(readFileSync(path, 'utf8'), damaged)
  }
})
