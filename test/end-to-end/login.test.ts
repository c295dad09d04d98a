/** Commands on another machine, with a login at a secured gateway that is a process of its own. */
import {
  chmodSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { clientFor, HTTP_DEFAULT } from '../../scripts/commands/gateway-at-hand.ts'
import { parseToken } from '../../shared/protocol/tokens.ts'
import { Fleet, PROGRAM, within } from '../support/processes.ts'
import { command, type Said, SecuredGateway } from '../support/secured-gateway.ts'

interface Person {
  readonly file: string
  readonly environment: Readonly<Record<string, string>>
  run(...argv: readonly string[]): Promise<Said>
  login(token: string, url: string): Promise<Said>
}

/** Of all that leave it as it is for the others; and another one, which nobody is to tell anything. */
const [gateway, other] = await Promise.all([SecuredGateway.start(t), SecuredGateway.start(t)])

let people = 0

/** Somebody with a home of his own. */
function person(): Person {
  const home = join(gateway.fleet.directory, `home-${++people}`)
  const environment = { XDG_CONFIG_HOME: home }
  return {
    ...{ file: join(home, 'obelisk', 'context.json'), environment },
    run: (...argv) => command(argv, environment),
    login: (token, url) => command(['login', url], environment, Readable.from([`${token}\n`])),
  }
}

t.test('who logs in may what he may, by each command, and no more', async (t) => {
  const token = await gateway.user('ann', 'operator')
  const ann = person()
  // Where nobody may be, or the gateway of whoever runs this.
  const asked = (): string => clientFor(undefined, ann.environment).address
  t.equal(asked(), HTTP_DEFAULT, 'without a login')

  const logged = await ann.login(token, gateway.url)
  t.match(logged, {
    code: 0,
    stdout: `logged in at ${gateway.url} as ann (operator)\n`,
    stderr: '',
  })
  t.equal(statSync(ann.file).mode & 0o777, 0o600)
  t.equal(statSync(join(ann.file, '..')).mode & 0o777, 0o700)
  t.match(JSON.parse(readFileSync(ann.file, 'utf8')), {
    ...{ url: gateway.url, mqtt: `mqtts://localhost:${gateway.port}`, user: 'ann', token },
    ca: gateway.ca,
  })
  t.equal(asked(), gateway.url)

  t.match(await ann.run('whoami'), {
    code: 0,
    stdout: `gateway  ${gateway.url}\nuser     ann\nroles    operator\n`,
  })
  t.same(JSON.parse((await ann.run('whoami', '--json')).stdout), {
    ...{ gateway: gateway.url, user: 'ann', roles: ['operator'], topics: [] },
    mqttPort: gateway.port,
  })
  for (const argv of [
    ['task', 'ls'],
    ['node', 'ls'],
    ['ring', 'moves'],
    ['gateway', 'trust'],
    ['token', 'create', 'n1'],
    ['token', 'ls'],
  ]) {
    t.match(await ann.run(...argv, '--json'), { code: 0, stderr: '' }, argv.join(' '))
  }
  const sub = await ann.run('sub', 'obelisk/v1/gateway/state', '-n', '1')
  t.match(sub, { code: 0, stdout: 'obelisk/v1/gateway/state "online"\n' })
  const url = ['--url', `mqtts://localhost:${gateway.port}`]
  t.match(await ann.run('sub', 'obelisk/v1/gateway/state', '-n', '1', ...url), { code: 0 })
  t.match(await ann.run('user', 'ls'), { code: 77, stderr: /^error: forbidden: / })

  const owner = await gateway.owner('whoami')
  t.match(owner, { code: 0, stdout: /^gateway {2}unix:.*\nuser {5}its owner\nroles {4}admin\n$/ })
  t.match(await ann.run('whoami', '--http', gateway.url), { code: 0, stdout: /ann/ }, 'the same')
  const byAddress = `https://127.0.0.1:${gateway.httpPort}`
  t.match(await ann.run('whoami', '--http', byAddress), { code: 78, stderr: /does not trust/ })
  t.match(await ann.login(token, byAddress), { code: 0 }, 'by any address')
  t.match(await ann.run('node', 'ls'), { code: 0 })

  t.match(await ann.run('logout'), { code: 0, stdout: /^logged out/ })
  t.notOk(existsSync(ann.file))
  t.match(await ann.run('logout', '--json'), { code: 0, stdout: '{"loggedOut":false}\n' })
  t.equal(asked(), HTTP_DEFAULT)
})

t.test('as programs, with the token in a file', async (t) => {
  const file = join(gateway.fleet.directory, 'token')
  writeFileSync(file, `${await gateway.user('pat', 'submitter', '--op', 'add')}\n`)
  const { environment } = person()
  const program = async (...argv: readonly string[]): Promise<Said> => {
    const run = gateway.fleet.command(process.execPath, [PROGRAM, ...argv], environment)
    const { code } = await within(argv.join(' '), run.exited)
    return { code: code ?? -1, stdout: run.stdout, stderr: run.stderr }
  }
  const logged = await program('login', gateway.url, '--token-file', file, '--json')
  t.match(logged, { code: 0 }, logged.stderr)
  t.match(JSON.parse(logged.stdout), { user: 'pat', roles: ['submitter'], grant: { ops: ['add'] } })
  t.notMatch(logged.stdout, /obu1-/)
  t.match((await program('whoami')).stdout, /^granted {2}operations: add; LSUs: all; fields: all$/m)
  t.match(await program('node', 'ls'), { code: 77, stderr: /forbidden/ })
  const submitted = await program('task', 'submit', 'stat', '--args', '{"field":"value"}')
  t.match(submitted, { code: 77, stderr: /not-granted/ })
  t.match(await program('logout'), { code: 0 })
})

t.test('what cannot be a login is said, and nothing is kept of it', async (t) => {
  const token = await gateway.user('una', 'viewer')
  const board = await gateway.done('token', 'create', 'n1')
  const { id } = parseToken(token)!
  const cases: readonly [name: string, token: string, url: string, code: number, said: RegExp][] = [
    ['another gateway', token, other.url, 78, /is not the gateway of this token; nothing was said/],
    ['in clear', token, gateway.url.replace('https', 'http'), 78, /alone: obelisk login https:/],
    [
      'over MQTT',
      token,
      'mqtts://127.0.0.1:8883',
      78,
      /: obelisk login https:\/\/127\.0\.0\.1:8025$/m,
    ],
    ['of a board', board, gateway.url, 65, /gives a board its identity/],
    ['none', 'obu1-nonsense', gateway.url, 65, /that is no token/],
    ['with a path', token, `${gateway.url}/api`, 2, /more than a host and a port/],
    ['nobody there', token, 'https://127.0.0.1:1', 69, /no secured gateway at/],
    ['an MQTT port', token, `https://127.0.0.1:${gateway.port}`, 69, /no secured gateway at/],
  ]
  for (const [name, text, url, code, said] of cases) {
    const ann = person()
    t.match(await ann.login(text, url), { code, stdout: '', stderr: said }, name)
    t.notOk(existsSync(ann.file), name)
  }
  const ann = person()
  t.match(await command(['login', gateway.url], ann.environment), { code: 2, stderr: /no token/ })
  t.match(await command(['login', gateway.url], {}, Readable.from([token])), {
    ...{ code: 78, stderr: /neither HOME nor XDG_CONFIG_HOME/ },
  })
  await gateway.done('user', 'token', 'revoke', 'una', id)
  t.match(await ann.login(token, gateway.url), {
    code: 77,
    stderr: /^error: unauthenticated: \S+ does not take this token: .*user token create/,
  })
  t.notOk(existsSync(ann.file))
  const log = await command(['security', 'log', '--json', '--data', other.data])
  t.notMatch(log.stdout, /login-failed/, 'the other gateway was told nothing')
})

t.test('a login that opens nothing any more', async (t: Test) => {
  const gateway = await SecuredGateway.start(t)
  const token = await gateway.user('ann', 'viewer')
  const ann = person()
  await ann.login(token, gateway.url)

  chmodSync(ann.file, 0o640)
  for (const argv of [['node', 'ls'], ['sub', '#'], ['whoami']]) {
    t.match(await ann.run(...argv), { code: 78, stderr: /others can read it: chmod 600/ })
  }
  t.match(await ann.run('node', 'ls', '--http', 'http://127.0.0.1:1'), { code: 69 }, 'nobody asked')
  chmodSync(ann.file, 0o600)
  t.match(await ann.run('node', 'ls'), { code: 0 })

  const context = readFileSync(ann.file, 'utf8')
  writeFileSync(ann.file, context.replaceAll(`${gateway.httpPort}`, `${other.httpPort}`))
  t.match(await ann.run('node', 'ls'), { code: 78, stderr: /not the gateway of the login/ })
  writeFileSync(
    ann.file,
    context.replace(/mqtts:\/\/localhost:\d+/, `mqtts://localhost:${other.port}`),
  )
  t.match(await ann.run('sub', '#'), { code: 78, stderr: /not the gateway of the login/ })
  writeFileSync(ann.file, '{}')
  t.match(await ann.run('node', 'ls'), { code: 78, stderr: /not what obelisk login wrote/ })
  writeFileSync(ann.file, context)

  await gateway.done('user', 'rm', 'ann')
  t.match(await ann.run('node', 'ls'), {
    code: 77,
    stderr: /unauthenticated: the gateway does not/,
  })
  t.match(await ann.run('sub', '#'), { code: 77, stderr: /does not let us in/ })
  const plain = ['--http', `http://127.0.0.1:${gateway.httpPort}`]
  t.match(await ann.run('node', 'ls', ...plain), {
    code: 78,
    stderr: new RegExp(`https-only: .*obelisk login https://127.0.0.1:${gateway.httpPort}\n`),
  })
  await gateway.run.end('SIGTERM')
  t.match(await ann.run('node', 'ls'), { code: 69, stderr: /no gateway at https:/ })
})

t.test('who has to wait is told how long', async (t) => {
  const gateway = await SecuredGateway.start(t)
  const file = join(gateway.fleet.directory, 'password')
  writeFileSync(file, 'correct horse')
  await gateway.done('user', 'add', 'ann', '--role', 'viewer', '--password-file', file)
  const basic = (password: string): { headers: Record<string, string> } => {
    const pair = Buffer.from(`ann:${password}`).toString('base64')
    return { headers: { authorization: `Basic ${pair}` } }
  }
  for (let tries = 0; tries < 5; tries++) {
    t.match(await gateway.ask('/api/nodes', basic(`wrong ${tries}`)), { status: 401 })
  }
  const locked = await gateway.ask('/api/nodes', basic('correct horse'))
  t.match(locked, { status: 429, body: /"code":"locked"/ })
  const seconds = Number(locked.headers['retry-after'])
  t.ok(seconds > 30 && seconds <= 60, `${seconds}`)
  const elsewhere = { ...basic('correct horse'), localAddress: '127.0.0.2' }
  t.match(await gateway.ask('/api/nodes', elsewhere), { status: 200 }, 'attempt 33')
  const url = `${gateway.url.replace('//', '//ann:correct%20horse@')}/`
  const ann = person()
  const token = await gateway.done('user', 'token', 'create', 'ann')
  t.match(await ann.login(token, gateway.url), { code: 77, stderr: /locked: .*; again in \d+ s/ })
  t.notMatch(await ann.run('whoami', '--http', url), { stderr: /correct/ }, 'no password is shown')
})

t.test('more tasks than granted, with the time until the next', async (t) => {
  const token = await gateway.user('sam', 'submitter')
  const grant = { ops: '*', regions: '*', fields: '*', tasksPerSecond: 0.1 }
  await gateway.put('/api/identities/user/sam', { grant })
  const ask = { method: 'POST', headers: { authorization: `Bearer ${token}` }, body: { op: 'x' } }
  t.match(await gateway.ask('/process', ask), { status: 422 }, 'one is taken, and is none')
  const refused = await gateway.ask('/process', ask)
  t.match(refused, { status: 429, body: /"code":"rate-limited"/ })
  const seconds = Number(refused.headers['retry-after'])
  t.ok(seconds > 5 && seconds <= 10, `${seconds}`)
})

t.test('an admin changes himself from elsewhere, and hears of it', async (t) => {
  const token = await gateway.user('ada', 'admin')
  const ann = person()
  await ann.login(token, gateway.url)
  const sub = ann.run('sub', 'obelisk/v1/gateway/state', '-n', '9')
  t.match(await ann.run('user', 'token', 'create', 'ada'), { code: 0, stdout: /^obu1-/ })
  t.match(await ann.run('user', 'set', 'ada', '--topic', 'own/#'), { code: 0, stderr: '' })
  t.match(await ann.run('user', 'set', 'ada', '--role', 'viewer'), { code: 0, stderr: '' })
  t.match(await ann.run('user', 'ls'), { code: 77, stderr: /forbidden/ })
  await gateway.done('user', 'rm', 'ada')
  t.match(await sub, { code: 77 })
})

t.test('who is no admin any more makes none, however many orders he has under way', async (t) => {
  const headers = { authorization: `Bearer ${await gateway.user('mallory', 'admin')}` }
  const order = {
    ...{ method: 'POST', headers, body: { roles: ['admin'], password: 'a back door' } },
    // Who comes too late was wrong there.
    localAddress: '127.0.0.2',
  }
  const orders = Array.from({ length: 12 }, (_, n) =>
    gateway.ask(`/api/identities/user/back${n}`, order).then(({ status }) => status),
  )
  t.equal(await Promise.race(orders), 201)
  await gateway.done('user', 'rm', 'mallory')
  const users = await gateway.done('user', 'ls', '--json')
  const answers = await Promise.all(orders)
  t.equal(await gateway.done('user', 'ls', '--json'), users)
  const made = (JSON.parse(users) as { name: string }[]).filter(({ name }) => /^back\d/.test(name))
  t.ok(answers.includes(403), `${answers}`)
  t.equal(answers.filter((status) => status === 201).length, made.length)
})

t.test('what a user may do is changed by what is said, and by nothing else', async (t) => {
  const grant = async (): Promise<unknown> => {
    const users: { name: string; grant: unknown }[] = JSON.parse(
      await gateway.done('user', 'ls', '--json'),
    )
    return users.find(({ name }) => name === 'sub')!.grant
  }
  const set = async (...argv: readonly string[]): Promise<string> =>
    await gateway.done('user', 'set', 'sub', ...argv)
  await gateway.user('sub', 'submitter', '--op', 'get', '--region', '0,0,4,4')
  const regions = [{ x: 0, y: 0, w: 4, h: 4 }]
  await gateway.put('/api/identities/user/sub', { grant: { tasksPerSecond: 2 } })
  await set('--role', 'viewer,submitter')
  await set('--field', 'value')
  t.same(await grant(), { ops: ['get'], regions, fields: ['value'], tasksPerSecond: 2 })
  await set('--region', '*')
  await gateway.put('/api/identities/user/sub', { grant: { tasksPerSecond: null } })
  t.same(await grant(), { ops: ['get'], regions: '*', fields: ['value'] })
  await gateway.put('/api/identities/user/sub', { grant: null })
  t.match(await set('--role', 'submitter'), /may submit nothing yet/)
  const wanting = await gateway.owner('user', 'set', 'sub', '--region', '0,0,4,4')
  t.match(wanting, { code: 1, stderr: /^error: grant-incomplete: / })
  await set('--region', '0,0,4,4', '--op', '*', '--field', '*')
  t.same(await grant(), { ops: '*', regions, fields: '*' })

  for (const option of ['--role', '--op', '--field', '--region']) {
    for (const text of option === '--region' ? ['', '0,0,0,0', '0,0,1,0', '1,2,3'] : ['', ',']) {
      const argv = ['user', 'add', 'bob', '--role', 'viewer', '--no-password', option, text]
      t.match(await gateway.owner(...argv), { code: 2 }, `${option} "${text}"`)
    }
  }
  for (const grant of [{ ops: [] }, { fields: [] }, { regions: [] }, { ops: [''] }]) {
    const put = gateway.put('/api/identities/user/sub', { grant })
    await t.rejects(put, { code: 'malformed' }, JSON.stringify(grant))
  }
})

t.test(
  'a socket in the working directory counts where nobody else can have put it there',
  async (t) => {
    const fleet = new Fleet(t)
    const here = join(fleet.directory, 'here')
    mkdirSync(here, { mode: 0o755 })
    const folder = join(here, 'obelisk-gateway')
    const made = fleet.start(['gateway', 'secure', '--data', folder])
    t.match(await within('its keys', made.exited), { code: 0 })
    const ports = ['--port', '0', '--http-port', '0']
    const gateway = fleet.start(['gateway', '--data', folder, ...ports])
    await gateway.line('ready mqtts=')
    const line = 'cd "$0" && exec "$@"'
    const run = fleet.command('sh', ['-c', line, here, process.execPath, PROGRAM, 'whoami'])
    t.match(await within('whoami', run.exited), { code: 0 }, run.stderr)
    t.match(run.stdout, /^user {5}its owner$/m)
    const before = process.cwd()
    t.teardown(() => process.chdir(before))
    const whoami = async (): Promise<Said> => {
      process.chdir(here)
      return await command(['whoami'])
    }
    chmodSync(here, 0o777)
    t.match(await whoami(), { code: 77, stdout: '', stderr: /may be anybody's: --http unix:/ })
    chmodSync(here, 0o1777)
    t.match(await whoami(), { code: 0 }, 'where only owners may rename')
    chmodSync(here, 0o755)
    if (process.geteuid!() !== 0) return
    for (const path of [join(folder, 'admin.sock'), folder, here]) {
      lchownSync(path, 65_534, 65_534)
      t.match(await whoami(), { code: 77 }, `${path} of somebody else`)
      lchownSync(path, 0, 0)
    }
    t.match(await whoami(), { code: 0 })
  },
)

t.test('no secret goes where anybody may listen', async (t) => {
  const { run } = person()
  const open = await new Fleet(t).gateway()
  const file = join(gateway.fleet.directory, 'password')
  writeFileSync(file, 'correct horse')
  const password = ['--password-file', file]
  for (const argv of [
    ['user', 'add', 'ann', '--role', 'viewer', ...password],
    ['user', 'passwd', 'ann', ...password],
    ['user', 'set', 'ann', ...password],
    ['ca', 'backup', join(gateway.fleet.directory, 'backup'), '--passphrase-file', file],
  ]) {
    const said = await run(...argv, '--http', open.http)
    t.match(said, { code: 78, stderr: /no secret goes to http:/ }, argv.join(' '))
  }
  const named = open.http.replace('//', '//ann:secret@')
  t.match(await run('node', 'ls', '--http', named), { code: 0 }, 'on this machine')
  const away = await run('node', 'ls', '--http', 'http://ann:secret@192.0.2.1:8025')
  t.match(away, { code: 78, stderr: /^error: no secret goes to http:\/\/192\.0\.2\.1:8025/ })
  const odd = 'p@ss:/%'
  writeFileSync(file, odd.padEnd(8, '!'))
  await gateway.done('user', 'add', 'odd', '--role', 'viewer', ...password)
  const url = gateway.url.replace('//', `//odd:${encodeURIComponent(odd.padEnd(8, '!'))}@`)
  const asked = gateway.fleet.command(process.execPath, [PROGRAM, 'whoami', '--http', url], {
    NODE_EXTRA_CA_CERTS: join(gateway.data, 'security', 'ca.crt'),
  })
  t.match(await within('whoami', asked.exited), { code: 0 }, asked.stderr)
  t.match(asked.stdout, /^user {5}odd$/m)
})
