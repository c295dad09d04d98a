/** The commands of a user, as programs of their own, against a fleet that runs. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import cbor from 'cbor'
import t, { type Test } from 'tap'
import { runCommand } from '../../scripts/commands/program.ts'
import { VERSION } from '../../shared/runtime/version.ts'
import { eventually, Fleet, freePort, PROGRAM, type Run, within } from '../support/processes.ts'
import { killAgent } from '../support/replicas.ts'
import { BASE, HttpClient, type Json, WireClient } from '../support/wire-client.ts'

const fleet = new Fleet(t)
const gateway = await fleet.gateway('--grid', '64x64', '--fields', 'precip:f32,visits:i32')
const http = new HttpClient(gateway.http)
const agents = await fleet.agents(['edge-1', 'edge-2'], gateway.url, '--telemetry-interval', '1')
const HTTP = ['--http', gateway.http]
const wire = await WireClient.connect(gateway.url, `${BASE}/task/#`)
t.teardown(() => wire.close())

interface Said {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Those that were run as programs. */
const ran = new Set<string>()

/** A command is the program the first time; what else it is asked is asked in this process, for a tenth of the cost. */
async function said(...argv: readonly string[]): Promise<Said> {
  const command = argv.slice(0, 2).join(' ')
  if (!ran.has(command)) {
    ran.add(command)
    return await program(...argv)
  }
  const text = { stdout: '', stderr: '' }
  const to = (name: keyof typeof text) => ({
    write: (more: string | Uint8Array) => {
      text[name] += Buffer.from(more).toString()
    },
  })
  const streams = { stdout: to('stdout'), stderr: to('stderr'), stdin: nothing(), environment: {} }
  return { code: await runCommand(argv, streams, VERSION), ...text }
}

async function* nothing(): AsyncGenerator<string> {}

/** As a program of its own, which has an exit code. */
async function program(...argv: readonly string[]): Promise<Said> {
  const run = fleet.start(argv)
  const { code } = await within(`the end of obelisk ${argv.join(' ')}`, run.exited)
  return { code, stdout: run.stdout, stderr: run.stderr }
}

/** Over HTTP to the gateway of this test. */
async function obelisk(...argv: readonly string[]): Promise<Said> {
  return await said(...argv, ...HTTP)
}

/** The one JSON text on stdout. */
async function json(t: Test, code: number, ...argv: readonly string[]): Promise<Json> {
  const answer = await obelisk(...argv, '--json')
  t.equal(answer.code, code, `${argv.join(' ')}: ${answer.stderr}`)
  return JSON.parse(answer.stdout) as Json
}

const idsOf = (nodes: Json): string[] => nodes.map(({ id }: Json) => id).sort()

t.test('a task is submitted, looked at, and its result printed', async (t) => {
  const region = ['--region', '8,8,16,4']
  const flags = ['--args', '{"field":"visits","value":3}', '--id', 'adds']
  const accepted = await obelisk('task', 'submit', 'add', ...region, ...flags)
  t.equal(accepted.code, 0)
  t.match(accepted.stdout, /^adds (accepted|running|completed)\n$/)
  t.match(await wire.end('adds'), { state: 'completed' })

  t.match(await json(t, 0, 'task', 'state', 'adds'), { id: 'adds', op: 'add', state: 'completed' })
  t.match((await obelisk('task', 'state', 'adds')).stdout, /^state +completed$/m)
  const result = await json(t, 0, 'task', 'result', 'adds')
  t.match(result, { id: 'adds', state: 'completed', copies: 2, value: { lsus: 64 } })
  t.match(JSON.parse((await obelisk('task', 'result', 'adds')).stdout), result, 'indented')
  const file = join(fleet.directory, 'result.cbor')
  const written = await obelisk('task', 'result', 'adds', '--cbor', '--output', file)
  t.same([written.code, written.stdout], [0, ''], 'only the file has it')
  t.strictSame(cbor.decodeFirstSync(readFileSync(file)), result)

  const waited = await json(
    t,
    0,
    'task',
    'submit',
    'stat',
    ...region,
    '--args',
    '{"field":"visits"}',
    '--wait',
  )
  t.match(waited, {
    op: 'stat',
    state: 'completed',
    value: { count: 64, min: 3, max: 3, sum: 192 },
  })
  t.match(waited.id, /^[A-Za-z0-9_-]{1,64}$/)
  const listed = await json(t, 0, 'task', 'ls')
  t.strictSame(
    listed.map(({ id }: Json) => id),
    [waited.id, 'adds'],
    'the newest first',
  )
  t.match((await obelisk('task', 'ls', '--state', 'completed', '--limit', '1')).stdout, waited.id)
})

t.test('a task may be a file, and items may be one', async (t) => {
  const items = join(fleet.directory, 'items.jsonl')
  writeFileSync(items, '{"key":"a","data":"abc"}\n{"key":"b","data":""}\n')
  const byItems = await json(t, 0, 'task', 'submit', 'digest', '--items', items, '--wait', '30')
  const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
  t.match(byItems, { state: 'completed', value: { items: 2, sha256: { a: abc } } })
  const task = { id: 'from-file', op: 'set', args: { fields: { precip: 1.5 } } }
  for (const [name, bytes] of [
    ['task.json', Buffer.from(JSON.stringify(task))],
    ['task.cbor', cbor.encode(task)],
  ] as const) {
    const path = join(fleet.directory, name)
    writeFileSync(path, bytes)
    const result = await json(t, 0, 'task', 'submit', '--file', path, '--wait')
    t.match(result, { id: 'from-file', state: 'completed' }, name)
  }
})

t.test(
  'a program is checked against the grid, runs as a task, and does the same as here',
  async (t) => {
    const write = join(fleet.directory, 'write.osl')
    const read = join(fleet.directory, 'read.osl')
    writeFileSync(write, 'visits = x + $step × y where x < 20\nprecip = √visits\n')
    writeFileSync(read, 'return far = argmax(visits)\nreturn all = sum(precip)\n')
    t.match(await obelisk('osl', 'check', write), {
      code: 0,
      stdout: /^a write: .*, takes \$step\n$/,
    })
    const wrong = join(fleet.directory, 'wrong.osl')
    writeFileSync(wrong, 'visits = precipp\n')
    const drawn =
      /^1:10: nothing is called "precipp"\n {2}visits = precipp\n {11}\^{7}\n {2}did you mean/
    t.match(await obelisk('osl', 'check', wrong), { code: 1, stdout: '', stderr: drawn })
    t.match(await obelisk('osl', 'run', wrong), { code: 1, stdout: '', stderr: drawn })
    const unbound = { code: 1, stderr: '$step has no number: --with step=…\n' }
    t.match(await obelisk('osl', 'run', write), unbound)

    const region = ['--region', '4,30,40,10']
    const flags = ['--with', 'step=3', ...region]
    const written = await json(t, 0, 'osl', 'run', write, ...flags, '--id', 'program', '--wait')
    t.match(written, { id: 'program', op: 'program', state: 'completed', value: { lsus: 400 } })
    const explained = await json(t, 0, 'osl', 'explain', write)
    t.equal(written.program.cost, explained.cost)
    const { value } = await json(t, 0, 'osl', 'run', read, ...region, '--wait')
    const grid = ['--local', '--grid', '64x64', '--fields', 'precip:f32,visits:i32']
    const local = await said('osl', 'run', write, ...grid, ...flags, '--json')
    const { visits, precip } = JSON.parse(local.stdout).fields
    const csv = join(fleet.directory, 'visits.csv')
    t.match(await obelisk('grid', 'get', 'visits', csv), { code: 0 })
    const cells = readFileSync(csv, 'utf8')
      .trim()
      .split(/\r\n|,/)
      .map(Number)
    for (let y = 30; y < 40; y++) {
      for (let x = 4; x < 20; x++) {
        t.strictSame([cells[64 * y + x], visits[64 * y + x]], [x + 3 * y, x + 3 * y])
      }
    }
    const sum = precip.reduce((all: number, one: number) => all + one, 0)
    t.match(value.far, { x: 19, y: 39, value: 19 + 3 * 39 })
    t.ok(Math.abs(value.all - sum) < 1e-6 * sum, `${value.all} is ${sum}`)

    const near = join(fleet.directory, 'near.osl')
    writeFileSync(near, 'visits = (visits[-1, 0] + visits[1, 0] + visits[0, 1] + visits) / 4\n')
    const steps = ['--region', '3,25,30,20', '--steps', '3']
    const here = await said('osl', 'run', near, ...grid, '--csv', `visits=${csv}`, ...steps)
    t.match(await obelisk('osl', 'run', near, ...steps, '--wait'), { code: 0 })
    t.match(await obelisk('grid', 'get', 'visits', csv), { code: 0 })
    const after = readFileSync(csv, 'utf8')
    t.notSame(
      after
        .trim()
        .split(/\r\n|,/)
        .map(Number),
      cells,
      'it does something',
    )
    t.equal(here.stdout, after, 'what runs here prints what the fleet then has')
  },
)

t.test('what the gateway refuses is exit code 1, with every problem', async (t) => {
  const wrong = ['task', 'submit', 'add', '--args', '{"field":"rain","speed":1}']
  const refused = await program(...wrong, ...HTTP)
  t.same([refused.code, refused.stdout], [1, ''])
  for (const path of ['args.field', 'args.value', 'args.speed']) t.match(refused.stderr, path)
  const again = await obelisk('task', 'submit', 'scale', '--id', 'adds')
  t.equal(again.code, 1)
  t.match(again.stderr, 'task-id-conflict')
  for (const command of [['state'], ['result'], ['cancel']]) {
    const answer = await obelisk('task', ...command, 'never-seen')
    t.same([answer.code, answer.stdout], [1, ''], command[0]!)
    t.match(answer.stderr, 'unknown-task')
  }
  t.match(await obelisk('task', 'cancel', 'adds'), { code: 1, stderr: /too-late/ })
  t.match(await obelisk('node', 'info', 'nobody'), { code: 1, stderr: /unknown-node/ })
})

t.test('a start that finds a port taken leaves no ledger, which would fix the grid', async (t) => {
  const data = join(fleet.directory, 'other')
  const [port, httpPort] = [`${await freePort()}`, `${await freePort()}`]
  const other = ['gateway', '--data', data] as const
  for (const [flag, ports] of [
    ['--http-port', ['--port', port, '--http-port', `${gateway.httpPort}`]],
    ['--port', ['--port', `${gateway.port}`, '--http-port', httpPort]],
  ] as const) {
    const refused = await program(...other, ...ports)
    t.match(refused, { code: 70, stderr: `take another one with ${flag}` })
    t.notMatch(refused.stderr, 'gateway-started')
  }
  const run = fleet.start([...other, '--port', port, '--http-port', httpPort, '--grid', '32x32'])
  await run.line('ready ')
  t.match(await run.end('SIGTERM'), { code: 0 })
  const larger = await program(...other, '--port', port, '--http-port', httpPort, '--grid', '64x64')
  t.match(larger, { code: 78, stderr: /made with 32x32, not with 64x64.*--data \(or remove / })
})

t.test('the nodes are shown', async (t) => {
  const nodes = await json(t, 0, 'node', 'ls')
  t.strictSame(idsOf(nodes), ['edge-1', 'edge-2'])
  t.ok(nodes.every(({ state }: Json) => state === 'alive'))
  const { stdout } = await obelisk('node', 'ls')
  t.match(stdout, /^ID +STATE/)
  t.match(stdout, /^edge-1 +alive +16 /m)
  const node = await json(t, 0, 'node', 'info', 'edge-2')
  t.match(node, { id: 'edge-2', connected: true, tiles: 16, telemetry: { node: 'edge-2' } })
  t.match((await obelisk('node', 'info', 'edge-2')).stdout, /^telemetry\.rss_bytes +\d+$/m)
})

t.test('sub prints what is published, CBOR as JSON', async (t) => {
  const to = ['--url', gateway.url]
  const line = await said('sub', `${BASE}/task/adds/result`, '-n', '1', '--json', ...to)
  t.equal(line.code, 0)
  t.match(JSON.parse(line.stdout), {
    ...{ topic: `${BASE}/task/adds/result`, qos: 1, retain: true },
    payload: { id: 'adds', state: 'completed', value: { lsus: 64 } },
  })
  const plain = await said('sub', `${BASE}/node/+/telemetry`, '-n', '2', ...to)
  t.equal(plain.code, 0)
  const lines = plain.stdout.trimEnd().split('\n')
  t.equal(lines.length, 2)
  for (const one of lines) {
    const [topic, ...rest] = one.split(' ')
    t.match(JSON.parse(rest.join(' ')), { v: 1, node: topic!.split('/')[3], lsus: 4096 })
  }
  const none = await program('sub', 'nobody/publishes/here', '-n', '1', '--timeout', '0.3', ...to)
  t.match(none, { code: 75, stdout: '', stderr: 'timed out after 0.3 s; messages: 0 of 1' })
})

/** The end of a command that is interrupted once it has said something. */
async function interrupted(about: string, ...argv: readonly string[]): Promise<Said> {
  const run = fleet.start([...argv, '--http', gateway.http])
  return await interruptedOnce(run, 'it waits', () => run.stderr.includes(about))
}

async function interruptedOnce(run: Run, what: string, isSo: () => boolean): Promise<Said> {
  await eventually(what, isSo)
  const { code } = await run.end('SIGINT')
  return { code, stdout: run.stdout, stderr: run.stderr }
}

t.test('an image that is interrupted leaves nothing behind', async (t) => {
  const image = join(fleet.directory, 'huge.img')
  const output = join(fleet.directory, 'card.img')
  writeFileSync(image, '')
  truncateSync(image, 2 ** 33)
  const board = ['--id', 'edge-9', '--gateway', gateway.url]
  const run = fleet.start(['image', 'flash', '--image', image, '--output', output, ...board])
  const ended = await interruptedOnce(run, 'it unpacks', () => existsSync(`${output}.partial`))
  t.match(ended, { code: 130, stdout: '', stderr: /interrupted; nothing was left behind/ })
  t.notOk(existsSync(output) || existsSync(`${output}.partial`))

  // At the question too, which waits for whoever could still type.
  writeFileSync(output, 'mine')
  const argv = [PROGRAM, 'image', 'flash', '--image', image, '--output', output, ...board]
  const child = spawn(process.execPath, argv, { stdio: ['pipe', 'ignore', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  let text = ''
  child.stderr!.on('data', (chunk) => {
    text += chunk
  })
  await eventually('it asks', () => text.includes('overwrite'))
  child.kill('SIGINT')
  const [code] = await within('its end', once(child, 'close'))
  t.match({ code, text }, { code: 130, text: 'interrupted; nothing was left behind' })
  t.equal(readFileSync(output, 'utf8'), 'mine')
})

t.test('the help of a word to the gateway is its own', async (t) => {
  const help = await program('gateway', 'recover', '--help')
  t.match(help, { code: 0, stdout: /^Usage: obelisk gateway recover/ })
  t.match(await program('help', 'gateway', 'recover'), help)
  t.match(await program('gateway', '--help'), {
    code: 0,
    stdout: /^Usage: obelisk gateway \[options\]/,
  })
})

t.test(
  'a drain that can never end is refused with the reason, or goes on without us',
  async (t) => {
    const argv = ['node', 'drain', 'edge-2', '--wait'] as const
    const reason =
      'too-few-nodes: 16 tiles of node edge-2 cannot leave it: 2 replicas need 2 other nodes'
    t.match(await obelisk(...argv), { code: 1, stdout: '', stderr: reason })
    const plan = await obelisk('ring', 'plan', '--leave', 'edge-2')
    t.match(plan, { code: 0, stdout: reason })
    const ended = await interrupted(reason, ...argv, '--force')
    t.match(ended, { code: 130, stdout: '', stderr: /still drains.*node drain edge-2 --undo/ })
    t.match(await json(t, 0, 'node', 'info', 'edge-2'), { draining: true })
    t.match((await obelisk('ring', 'moves')).stdout, reason)
    t.match(await obelisk('node', 'drain', 'edge-2', '--undo'), { code: 0 })
  },
)

t.test('a wait that ends too early is 75, and a task that ends badly is 1', async (t) => {
  for (const agent of agents) await killAgent(http, agent)
  const waits = ['task', 'submit', 'scale', '--id', 'waits', '--wait', '0.3']
  const late = await program(...waits, ...HTTP)
  t.same([late.code, late.stdout], [75, ''])
  t.match(late.stderr, 'waits')
  const ended = await interrupted('accepted', ...waits.slice(0, -1))
  t.match(ended, { code: 130, stdout: '', stderr: /goes on.*task cancel waits/ })
  t.match(await json(t, 0, 'task', 'cancel', 'waits'), { id: 'waits', state: 'cancelled' })
  t.match(await json(t, 1, 'task', 'result', 'waits'), { state: 'cancelled', effect: 'none' })
  const expired = await json(t, 1, 'task', 'submit', 'scale', '--deadline', '0.2', '--wait')
  t.match(expired, { state: 'expired', error: { code: 'deadline' } })
  await Promise.all(agents.map((agent) => agent.restart()))
})

t.test('nobody at the address is 69, and what cannot be understood is 2', async (t) => {
  const port = await freePort()
  for (const argv of [
    ['task', 'ls', '--http', `http://127.0.0.1:${port}`],
    ['task', 'submit', 'scale', '--wait', '--http', `http://127.0.0.1:${port}`],
    ['node', 'info', 'edge-1', '--http', `http://127.0.0.1:${port}`],
    ['sub', 'a/b', '--url', `mqtt://127.0.0.1:${port}`],
  ]) {
    const answer = await said(...argv)
    t.same([answer.code, answer.stdout], [69, ''], argv.join(' '))
    t.match(answer.stderr, String(port), 'it says where it looked')
    t.notMatch(answer.stderr, /\n\s+at /)
  }
  for (const argv of [
    ['task', 'submit'],
    ['task', 'submit', 'scale', '--region', '1,2,3'],
    ['task', 'submit', 'scale', '--args', '{'],
    ['task', 'submit', 'scale', '--wait', 'long'],
    ['task', 'state'],
    ['task', 'ls', '--http', 'gateway'],
    ['node', 'look'],
    ['sub'],
    ['sub', 'a', '-n', '0'],
  ]) {
    const answer = await said(...argv)
    t.same([answer.code, answer.stdout], [2, ''], argv.join(' '))
    t.not(answer.stderr, '')
  }
  const none = join(fleet.directory, 'none')
  const unread = await said('task', 'submit', 'digest', '--items', none)
  t.same([unread.code, unread.stdout], [66, ''])
  t.match(unread.stderr, none)
})

t.test('in a checkout, npx finds the command', async (t) => {
  const variables = {
    npm_config_cache: join(fleet.directory, 'npm'),
    npm_config_offline: 'true',
    // npx would build the checkout again, under the feet of the other tests.
    npm_config_ignore_scripts: 'true',
  }
  const argv = ['obelisk', 'node', 'ls', '--json', '--http', gateway.http]
  const run = fleet.command('npx', argv, variables)
  t.match(await within('npx', run.exited), { code: 0 }, run.stderr)
  t.strictSame(idsOf(JSON.parse(run.stdout)), ['edge-1', 'edge-2'])
})

t.test('commands that wait outlast a restart of the gateway', async (t) => {
  for (const agent of agents) await killAgent(http, agent)
  const submit = ['task', 'submit', 'add', '--args', '{"field":"visits","value":1}', '--wait']
  const task = fleet.start([...submit, '--id', 'outlasts', '--http', gateway.http])
  await eventually('it is accepted', () => task.stderr.includes('accepted'))
  const drain = fleet.start([
    ...['node', 'drain', 'edge-1', '--force', '--wait', '--http', gateway.http],
  ])
  await eventually('it waits', () => drain.stderr.includes('too-few-nodes'))
  const sub = fleet.start(['sub', `${BASE}/gateway/state`, '--json', '--url', gateway.url])
  await eventually('it is subscribed', () => sub.stdout.includes('online'))

  t.match(await gateway.run.end('SIGTERM'), { code: 0 })
  for (const run of [task, drain, sub]) {
    await eventually('it is missed', () => run.stderr.includes('trying again'))
    t.notOk(run.hasExited)
    t.equal(run.stderr.split('trying again').length, 2, 'said once')
  }
  await gateway.restart()
  await Promise.all(agents.map((agent) => agent.restart()))
  t.match(await within('the end of the task', task.exited), { code: 0 }, task.stderr)
  t.match(JSON.parse(task.stdout), { id: 'outlasts', state: 'completed' })
  await eventually('it goes on', () => drain.stderr.includes('the gateway is back'))
  await drain.end('SIGINT')
  t.match(await obelisk('node', 'drain', 'edge-1', '--undo'), { code: 0 })
  await eventually('it is subscribed again', () => sub.stdout.split('\n').length > 3)
  await sub.end('SIGINT')
  const states = sub.stdout.trimEnd().split('\n')
  t.strictSame(
    states.map((line) => (JSON.parse(line) as Json).payload),
    ['online', 'offline', 'online'],
  )
})

t.test('what cannot be printed is no success', async (t) => {
  const full = openSync('/dev/full', 'w')
  const child = spawn(process.execPath, [PROGRAM, 'node', '--help'], {
    stdio: ['ignore', full, 'pipe'],
  })
  closeSync(full)
  let stderr = ''
  child.stderr!.on('data', (text: Buffer) => (stderr += text))
  const [code] = await once(child, 'close')
  t.equal(code, 74)
  t.match(stderr, /^error: what is printed could not be written: ENOSPC/)
})

t.test('the log of a board is shown and followed, as far as its agent has it', async (t) => {
  const logs = ['node', 'logs', 'edge-1', '-n', '5']
  const again = async (): Promise<void> => {
    t.match(await gateway.run.end('SIGTERM'), { code: 0 })
    await gateway.restart()
  }
  await again()
  await eventually('the agent has told its warning', async () => {
    const { stdout } = await obelisk(...logs, '--level', 'warn')
    return stdout.includes('code="disconnected"')
  })
  const warned = await obelisk(...logs, '--level', 'warn')
  t.match(warned, { code: 0, stderr: /^older ones: journalctl -u obelisk-agent/ })
  t.notMatch(warned.stdout, 'agent started')
  const all = (await obelisk(...logs, '--json')).stdout.trimEnd().split('\n')
  const said = all.map((text) => (JSON.parse(text) as Json).msg)
  t.ok(said.indexOf('agent started') < said.length - 1, 'the oldest first')
  t.match(said, ['the store was not closed: it is looked through first', 'agent started'])

  const following = fleet.start([...logs, '-f', ...HTTP])
  const count = (): number => following.stdout.split('code="disconnected"').length - 1
  await eventually('it follows', () => count() === 1)
  await again()
  await eventually('what came meanwhile is shown', () => count() === 2)
  await killAgent(http, agents[0]!)
  await eventually('it is missed', () => following.stderr.includes('node-away'))
  t.match(await following.end('SIGINT'), { code: 130 })
  t.match(await obelisk(...logs), { code: 75, stdout: '', stderr: /node-away: .*journalctl/ })
  t.match(await obelisk('node', 'logs', 'stranger'), { code: 1, stderr: /unknown-node/ })
  await agents[0]!.restart()
})

t.test('a command that follows ends quietly when it is told to', async (t) => {
  const logs = ['node', 'logs', 'edge-2', '-f', ...HTTP]
  const sub = ['sub', `${BASE}/gateway/state`, '--url', gateway.url]
  await eventually('it is back', async () => (await http.node('edge-2')).connected === true)
  for (const argv of [logs, sub]) {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const run = fleet.start(argv)
      const isSub = argv === sub
      await eventually('it follows', () => (isSub ? run.stdout : run.stderr) !== '')
      t.match(await run.end(signal), { code: 130 }, `${argv[0]}, ${signal}`)
      t.equal(run.stderr, isSub ? '' : 'older ones: journalctl -u obelisk-agent, on the board\n')
    }
  }
})

t.test('a gateway that does not come back ends a wait as its time being over', async (t) => {
  for (const agent of agents) await killAgent(http, agent)
  const submit = ['task', 'submit', 'scale', '--id', 'orphan', '--http', gateway.http]
  const task = fleet.start([...submit, '--wait', '2'])
  const sub = fleet.start(['sub', `${BASE}/gateway/state`, '--timeout', '2', '--url', gateway.url])
  await eventually('both are there', () => task.stderr.includes('accepted') && sub.stdout !== '')
  await gateway.run.kill()
  t.match(await within('its end', task.exited), { code: 75 })
  t.match(task.stderr, /no gateway at .* after 2 s; task orphan .*obelisk task state orphan/)
  t.match(await within('its end', sub.exited), { code: 75 })
  t.match(sub.stderr, /timed out after 2 s; messages: 1; no gateway at mqtt:/)
})
