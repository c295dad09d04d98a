/** `obelisk fleet upgrade` against a real HTTP door: what is sent, what is shown meanwhile, and how it ends. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { PackageView } from '../../broker/adapters/package-store.ts'
import { runCommand } from '../../scripts/commands/program.ts'
import type { UpgradePlanRow, UpgradeView } from '../../shared/protocol/views.ts'
import { AppError } from '../../shared/runtime/errors.ts'
import { serve } from '../support/recorded-http-port.ts'

const ID = '0123456789abcdef'

function upgrade(state: UpgradeView['state'], nodes: object, more: object = {}): UpgradeView {
  const rows = Object.entries(nodes).map(([node, text]: [string, string]) => {
    const [its, code] = text.split(' ')
    return { node, state: its, ...(code && { code }) } as UpgradePlanRow
  })
  const counts: Record<string, number> = {}
  for (const { state: its } of rows) counts[its] = (counts[its] ?? 0) + 1
  return {
    ...{ id: ID, version: '2.0.0', state, wave: { nodes: 1 }, pause_seconds: 0 },
    ...{ canary_done: false, started_ts: 0, packages: {}, counts, nodes: rows },
    ...more,
  }
}

const GZIP_MAGIC = Buffer.of(0x1f, 0x8b)

/** A gateway whose upgrade goes through these views, one an answer. */
async function bench(t: Test, views: readonly UpgradeView[] = []) {
  const { recorded, base } = await serve(t)
  const packages: PackageView[] = []
  const calls: unknown[] = []
  let left = [...views]
  const next = (): UpgradeView | undefined => (left.length > 1 ? left.shift() : left[0])
  const { upgrades } = recorded.port
  Object.assign(upgrades, {
    packages: () => packages,
    find: (name: string) => packages.find(({ sha256 }) => sha256 === name),
    async takePackage(body: AsyncIterable<Uint8Array>) {
      const pieces: Uint8Array[] = []
      for await (const piece of body) pieces.push(piece)
      const bytes = Buffer.concat(pieces)
      if (bytes.includes('changed')) throw new AppError('package-untrusted', 'agent.mjs has others')
      const sha256 = createHash('sha256').update(bytes).digest('hex')
      const said = { version: '2.0.0', architecture: 'arm64', signed_by: 'k' }
      calls.push(['package', bytes.length])
      packages.push({ sha256, bytes: bytes.length, ...said })
      return packages.at(-1)!
    },
    latest: next,
    planFor: () => upgrade('running', { a: 'waiting', b: 'skipped by-hand' }).nodes,
    async start(wish: unknown) {
      calls.push(['start', wish])
      return next()!
    },
    async demand(demand: string) {
      calls.push([demand])
      return next()
    },
  })
  const file = join(t.testdir({}), 'agent.tar.gz')
  writeFileSync(file, Buffer.alloc(300_000, GZIP_MAGIC))
  const run = async (...argv: string[]) => {
    const said = { code: 0, out: '', err: '' }
    said.code = await runCommand(
      ['fleet', 'upgrade', ...argv],
      {
        stdout: { write: (text) => (said.out += text) },
        stderr: { write: (text) => (said.err += text) },
        stdin: (async function* () {})(),
        environment: { OBELISK_HTTP: base },
      },
      '9.9.9',
    )
    return said
  }
  const goThrough = (...others: UpgradeView[]): unknown => (left = others)
  return { run, file, calls, upgrades, goThrough }
}

t.test('a package is sent once, and the upgrade looked at until it is over', async (t) => {
  const { run, file, calls, goThrough } = await bench(t, [
    upgrade('running', { a: 'fetching', b: 'waiting' }, { waits_for: 'fetching' }),
    upgrade('running', { a: 'installing', b: 'fetched' }, { waits_for: 'wave' }),
    upgrade('done', { a: 'done', b: 'skipped by-hand' }),
  ])
  const words = ['--wave', '10%', '--only', 'pi-1', '--pause', '5', '--allow-away', '--again']
  const ran = await run(file, ...words)
  t.equal(ran.code, 0, ran.err)
  t.match(ran.err, `${file}: 300000 bytes on their way\n`)
  t.match(ran.err, 'version 2.0.0 for arm64')
  t.match(ran.err, 'to 2.0.0, running: 1 fetched, 1 installing (a wave is under way)\n')
  t.match(ran.out, /^a {5}done\nb {5}skipped {2}by-hand, /m)
  t.match(calls, [
    ['package', 300_000],
    [
      'start',
      {
        ...{ wave: { percent: 10 }, only: ['pi-1'], pauseMs: 5000 },
        ...{ mayBeAway: true, again: true },
      },
    ],
  ])
  goThrough(upgrade('done', { a: 'done' }))
  t.equal((await run(file)).code, 0)
  t.equal(calls.length, 3, 'what the gateway has is not sent again')
})

t.test('an upgrade that stops ends the command, and says why', async (t) => {
  const stopped = { code: 'upgrade-went-back', node: 'a' }
  const nodes = { a: 'went-back upgrade-went-back', b: 'fetched' }
  const { run, file, calls, goThrough } = await bench(t, [
    upgrade('running', { a: 'installing', b: 'fetched' }, { waits_for: 'wave' }),
    upgrade('stopped', nodes, { stopped }),
  ])
  const ran = await run(file)
  t.equal(ran.code, 1)
  t.match(ran.out, 'stopped: a: upgrade-went-back, did not become ready')
  t.match(await run('status'), { code: 1, out: /stopped: a: upgrade-went-back/ })
  const status = await run('status', '--json')
  t.match(JSON.parse(status.out), { id: ID, state: 'stopped' })
  goThrough(upgrade('done', { ...nodes, b: 'done' }))
  t.equal((await run('resume')).code, 1, 'one of them does not run it')
  t.match(await run('stop'), { code: 0, out: `upgrade ${ID} is done\n` })
  t.same(calls.slice(-2), [['resume'], ['stop']])
})

t.test('what cannot be is refused in words, and nothing begins', async (t) => {
  const { run, file, calls, upgrades } = await bench(t)
  t.match(await run(), { code: 2, err: /no package: name its file/ })
  t.match(await run('status'), { code: 1, err: 'error: no-upgrade: there never was an upgrade' })
  t.match(await run('stop'), { code: 1, err: /^error: no-upgrade: / })
  for (const wave of ['0', '0%', '101%', 'all']) {
    t.match(await run(file, '--wave', wave), { code: 2, err: /--wave: "/ }, wave)
  }
  t.match(await run(file, '--only', 'a,'), { code: 2, err: /empty id/ })
  t.match(await run(`${file}.none`), { code: 66, err: /none/ })
  t.match(await run(join(file, '..')), { code: 65, err: /is no file/ })
  t.match(await run('ab'.repeat(32)), { code: 1, err: /unknown-package: / })
  t.match(await run(file, '--only', 'nobody'), { code: 1, err: /there is no node "nobody"/ })
  upgrades.problemOf = () => ({ code: 'sole-copies', message: 'allow that with --allow-away' })
  t.match(await run(file), { code: 1, err: 'sole-copies: allow that with --allow-away' })
  writeFileSync(file, '\u001f')
  t.match(await run(file), { code: 65, err: /is no package: name the \.tar\.gz/ })
  writeFileSync(file, Buffer.concat([GZIP_MAGIC, Buffer.from('changed')]))
  t.match(await run(file), { code: 65, err: 'package-untrusted: agent.mjs has others' })
  t.notOk(calls.some((call) => (call as unknown[])[0] === 'start'))
})

t.test('with --dry-run, and where help is asked for, nothing begins either', async (t) => {
  const { run, file, calls } = await bench(t)
  const dry = await run(file, '--dry-run')
  t.match(dry, {
    code: 0,
    out: /^to 2\.0\.0:\nNODE {2}STATE {4}WHY\na {5}waiting\nb {5}skipped {2}by-hand/,
  })
  t.match(await run(file, '--help'), { code: 0, out: /Usage: obelisk fleet upgrade/ })
  t.same(calls, [['package', 300_000]])
})
