/** Browsers at a secured gateway that is a process of its own: their cookies, and what must not come by them. */
import { writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { eventually, Fleet } from '../support/processes.ts'
import { type Asked, command, SecuredGateway } from '../support/secured-gateway.ts'

const PASSWORD = 'correct horse'
const COOKIE =
  /^__Host-obelisk=([A-Za-z0-9_-]{43}); Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=43200$/

class Browsers {
  readonly gateway: SecuredGateway
  readonly #file: string

  static async start(t: Test): Promise<Browsers> {
    const gateway = await SecuredGateway.start(t)
    const file = join(gateway.fleet.directory, 'password')
    writeFileSync(file, PASSWORD)
    return new Browsers(gateway, file)
  }

  private constructor(gateway: SecuredGateway, file: string) {
    this.gateway = gateway
    this.#file = file
  }

  async user(name: string, role: string): Promise<void> {
    const password = ['--password-file', this.#file]
    await this.gateway.done('user', 'add', name, '--role', role, ...password)
  }

  /** As `fetch` of the gateway's own page would. */
  get own(): Record<string, string> {
    return { host: this.#host, origin: `https://${this.#host}`, 'sec-fetch-mode': 'cors' }
  }

  get #host(): string {
    return `localhost:${this.gateway.httpPort}`
  }

  login(shown: object, headers = this.own): Promise<Asked> {
    return this.gateway.ask('/api/login', { method: 'POST', headers, body: shown })
  }

  /** The header of who has logged in. */
  async cookie(shown: object): Promise<{ readonly cookie: string }> {
    const { status, body, headers } = await this.login(shown)
    if (status !== 200) throw new Error(`login: ${body}`)
    const [, secret] = COOKIE.exec(`${headers['set-cookie']}`)!
    return { cookie: `theme=dark; __Host-obelisk=${secret}; other=1` }
  }

  /** The status of a request with these headers. */
  async status(headers: Record<string, string>, path = '/api/nodes'): Promise<number> {
    return (await this.gateway.ask(path, { headers })).status
  }

  async stream(headers: Record<string, string>): Promise<IncomingMessage> {
    const { httpPort: port, ca } = this.gateway
    return await new Promise((resolve, reject) => {
      const at = { host: '127.0.0.1', port, servername: 'localhost', path: '/api/events' }
      const asking = request({ ...at, headers, ca, agent: false }, (response) => {
        response.on('error', () => {}).resume()
        resolve(response)
      })
      asking.on('error', reject)
      asking.end()
    })
  }

  async events(): Promise<string[]> {
    const { stdout } = await command(['security', 'log', '--json', '--data', this.gateway.data])
    const lines = stdout.trim().split('\n')
    return lines.map((line) => {
      const { event, who, code, via } = JSON.parse(line) as Record<string, string>
      return [event, who, code, via].filter(Boolean).join(' ')
    })
  }
}

/** Ours may be busy when it comes. */
async function ended(stream: IncomingMessage): Promise<void> {
  await eventually('the end of the stream', () => stream.destroyed)
}

t.test('a browser logs in by password or token, and out', async (t) => {
  const browsers = await Browsers.start(t)
  const { gateway, own } = browsers
  await browsers.user('ann', 'operator')
  const token = await gateway.done('user', 'token', 'create', 'ann')
  const answer = await browsers.login({ name: 'ann', password: PASSWORD })
  t.match(answer, { status: 200, headers: { 'set-cookie': [COOKIE], 'cache-control': 'no-store' } })
  t.same(JSON.parse(answer.body), { user: 'ann', roles: ['operator'] })
  const [ann, byToken] = [
    await browsers.cookie({ name: 'ann', password: PASSWORD }),
    await browsers.cookie({ token }),
  ]
  t.not(ann.cookie, byToken.cookie)
  for (const cookie of [ann, byToken]) {
    const who = await gateway.ask('/api/whoami', { headers: cookie })
    t.match(JSON.parse(who.body), { user: 'ann', roles: ['operator'] })
  }
  const change = { method: 'POST', headers: { ...ann, ...own }, body: { trust: true } }
  t.match(await gateway.ask('/api/detector', change), { status: 200 })
  t.equal(await browsers.status(ann, '/api/identities/user'), 403, 'his role decides')

  const stream = await browsers.stream(ann)
  const other = await browsers.stream(byToken)
  const logout = { method: 'POST', headers: { ...ann, ...own } }
  const out = await gateway.ask('/api/logout', logout)
  t.match(out, { status: 200, body: '{"loggedOut":true}' })
  t.match(`${out.headers['set-cookie']}`, /^__Host-obelisk=; .*Max-Age=0$/)
  await ended(stream)
  t.equal(await browsers.status(ann), 401)
  t.equal(await browsers.status(byToken), 200, 'another browser stays')
  t.notOk(other.destroyed)
  t.equal(await browsers.status(ann, '/healthz'), 200, 'a cookie that is over counts as none')
  t.match(await browsers.login({ token }, { ...own, ...ann }), { status: 200 })
  const again = await browsers.cookie({ token })
  t.match(await browsers.login({ token }, { ...own, ...again }), { status: 200 })
  t.equal(await browsers.status(again), 401, 'who logs in anew is out by what he had')

  await gateway.restart()
  t.equal(await browsers.status(byToken), 401, 'none outlives the gateway')
  t.ok((await browsers.events()).includes('login user/ann http'), 'closing writes what waits')
})

t.test('what is no login is refused, and counts as guessing', async (t) => {
  const browsers = await Browsers.start(t)
  const { gateway, own } = browsers
  await browsers.user('ann', 'viewer')
  const wrong = await browsers.login({ name: 'ann', password: 'wrong' })
  t.match(wrong, { status: 401, body: /unauthenticated/ })
  t.equal(
    wrong.headers['www-authenticate'],
    'Bearer realm="obelisk"',
    'the page asks, and no window',
  )
  t.equal(wrong.headers['set-cookie'], undefined)
  const plain = await gateway.ask('/api/nodes')
  t.match(plain.headers['www-authenticate'], /^Basic /)
  for (const body of [{}, { name: 'ann' }, { name: 'ann', password: PASSWORD, token: 'x' }, 'x']) {
    t.match(await gateway.ask('/api/login', { method: 'POST', headers: own, body }), {
      ...{ status: 400, body: /malformed/ },
    })
  }
  const form = { ...own, 'content-type': 'text/plain' }
  const asForm = {
    method: 'POST',
    headers: form,
    body: '{"name":"ann","password":"correct horse"}',
  }
  t.match(await gateway.ask('/api/login', asForm), { status: 415 })
  const evil = { ...own, origin: 'https://evil.example' }
  t.match(await browsers.login({ name: 'ann', password: PASSWORD }, evil), {
    ...{ status: 403, body: /wrong-origin/, headers: { 'set-cookie': undefined } },
  })
  for (let tries = 1; tries < 5; tries++) await browsers.login({ name: 'ann', password: 'wrong' })
  const locked = await browsers.login({ name: 'ann', password: PASSWORD })
  t.match(locked, { status: 429, body: /"code":"locked"/ })
  t.ok(Number(locked.headers['retry-after']) > 10)
  for (const event of ['login-failed user/ann wrong-password', 'locked user/ann user-locked']) {
    await eventually(event, async () => (await browsers.events()).includes(`${event} http`))
  }
})

t.test('attempt 53: a wrong Bearer beside a right cookie', async (t) => {
  const browsers = await Browsers.start(t)
  await browsers.user('ann', 'viewer')
  const ann = await browsers.cookie({ name: 'ann', password: PASSWORD })
  t.equal(await browsers.status(ann), 200)
  for (const authorization of ['Bearer nonsense', 'Basic YTpi', 'Basic', ' ', 'nonsense']) {
    t.equal(await browsers.status({ ...ann, authorization }), 401, authorization)
  }
  const pair = Buffer.from(`ann:${PASSWORD}`).toString('base64')
  t.equal(await browsers.status({ ...ann, authorization: `Basic ${pair}` }), 200)
})

t.test('attempt 54: what a page of another origin asks with the cookie', async (t) => {
  const browsers = await Browsers.start(t)
  const { gateway, own } = browsers
  await browsers.user('ann', 'admin')
  const ann = await browsers.cookie({ name: 'ann', password: PASSWORD })
  const { host } = own
  const origins = [
    ...['https://evil.example', 'null', '', 'nonsense', `http://${host}`, 'https://localhost'],
    ...[`https://${host}.evil.example`, `https://evil.example/${host}`, `https://127.0.0.1:1`],
  ]
  const ask = async (method: string, path: string, headers: object): Promise<Asked> =>
    await gateway.ask(path, {
      method,
      headers: { ...ann, host: host!, ...headers },
      ...(method === 'DELETE' ? {} : { body: {} }),
    })
  for (const [method, path] of [
    ['POST', '/process'],
    ['DELETE', '/api/identities/user/ann'],
    ['PUT', '/api/identities/user/ann'],
    ['POST', '/api/tokens'],
    ['POST', '/api/logout'],
  ] as const) {
    const refused = await ask(method, path, {})
    t.match(refused, { status: 403, body: /wrong-origin/ }, `${method} ${path} without one`)
    for (const origin of origins) {
      const { status, body } = await ask(method, path, { origin })
      t.same([status, /wrong-origin/.test(body)], [403, true], `${method} ${path} ${origin}`)
    }
  }
  t.equal(await browsers.status({ ...ann, origin: 'https://evil.example' }), 200, 'reads nothing')
  t.match(await ask('POST', '/api/tokens', { origin: `https://${host}` }), { status: 201 })
  const pair = Buffer.from(`ann:${PASSWORD}`).toString('base64')
  const token = await gateway.done('user', 'token', 'create', 'ann')
  for (const authorization of [`Basic ${pair}`, `Bearer ${token}`]) {
    const post = async (origin: object): Promise<number> => {
      const headers = { authorization, ...origin }
      return (await gateway.ask('/api/tokens', { method: 'POST', headers, body: {} })).status
    }
    t.equal(await post({ origin: 'https://evil.example' }), 403, 'a browser keeps passwords, too')
    t.equal(await post({}), 201, 'who is no browser says none')
  }
  const upper = `HTTPS://${host!.toUpperCase()}`
  t.match(await ask('POST', '/api/tokens', { origin: upper }), { status: 201 })
  const told = 'request-refused user/ann wrong-origin http'
  await eventually(told, async () => (await browsers.events()).includes(told))
})

t.test('a session ends with what it rests on', async (t) => {
  const browsers = await Browsers.start(t)
  const { gateway } = browsers
  await browsers.user('bert', 'viewer')
  const bert = await browsers.cookie({ name: 'bert', password: PASSWORD })
  const file = join(gateway.fleet.directory, 'password')
  const changes: readonly (readonly [string, readonly string[]])[] = [
    ['another role', ['user', 'set', 'ann', '--role', 'operator']],
    ['another password', ['user', 'passwd', 'ann', '--password-file', file]],
    ['removal', ['user', 'rm', 'ann']],
    ['no right', ['user', 'set', 'ann', '--disable']],
  ]
  await browsers.user('ann', 'viewer')
  for (const [name, argv] of changes) {
    if (name === 'no right') await browsers.user('ann', 'viewer')
    const ann = await browsers.cookie({ name: 'ann', password: PASSWORD })
    t.equal(await browsers.status(ann), 200)
    const stream = await browsers.stream(ann)
    await gateway.done(...argv)
    await ended(stream)
    t.equal(await browsers.status(ann), 401, name)
  }
  const token = await gateway.done('user', 'token', 'create', 'bert')
  const byToken = await browsers.cookie({ token })
  t.equal(await browsers.status(bert), 200, 'a new token ends nothing')
  await gateway.done('user', 'token', 'revoke', 'bert', token.split('-')[1]!)
  t.equal(await browsers.status(byToken), 401, 'the token')
})

t.test('where nobody is asked there is no login', async (t) => {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway()
  const login = async (path: string): Promise<number> => {
    const headers = { 'content-type': 'application/json' }
    return (await fetch(`${gateway.http}${path}`, { method: 'POST', headers, body: '{}' })).status
  }
  t.equal(await login('/api/login'), 409)
  t.equal(await login('/api/logout'), 409)
  const cookie = `__Host-obelisk=${'A'.repeat(43)}`
  t.equal((await fetch(`${gateway.http}/api/nodes`, { headers: { cookie } })).status, 200)
})
