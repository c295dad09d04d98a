/** How a board loses its identity and gets another: nothing but the commands and the packaged programs. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Agent, eventually, Fleet, PROGRAM, type Run, within } from '../support/processes.ts'
import {
  type Json,
  joined,
  Secured,
  type SecuredHere,
  securedHere,
} from '../support/secured-fleet.ts'

/** As a person types it. */
async function enroll(
  { fleet }: SecuredHere,
  board: Agent,
  secured: Secured,
  ...argv: readonly string[]
): Promise<Run> {
  const at = ['--id', board.id, '--url', `mqtts://127.0.0.1:${secured.port}`]
  const own = ['agent', 'enroll', '--data', board.directory, ...at, ...argv]
  const run = fleet.command(process.execPath, [PROGRAM, ...own])
  await within('its enrolment', run.exited)
  return run
}

const filesOf = ({ directory }: Agent): string[] =>
  readdirSync(directory)
    .filter((name) => name.startsWith('identity'))
    .sort()
const keyOf = ({ directory }: Agent): string =>
  readFileSync(join(directory, 'identity', 'key.pem'), 'utf8')

const SUM = { op: 'stat', args: { field: 'n' } }
const ALL = { value: { sum: 3 * 64 * 64 } }

t.test('a board is enrolled by hand, and gets another key with --again', async (t) => {
  const bench = await securedHere(t)
  const { secured, here } = bench
  const file = await secured.token('n7')
  const board = secured.board('n7', here, '127.0.0.1')
  t.match(await within('its end', board.run.exited), { code: 78 }, 'it has nothing to show')
  const first = await enroll(bench, board, secured, '--token-file', file)
  t.match(await first.exited, { code: 0 }, first.stderr)
  t.match(first.stdout, /node n7 has an identity: .*\n.*next start/)
  await board.restart()
  const busy = await enroll(bench, board, secured, '--again', '--token-file', file)
  t.match(await busy.exited, { code: 70 })
  t.match(busy.stderr, /another process uses .*: end it/)
  await board.run.end('SIGTERM')
  const before = keyOf(board)
  const second = await enroll(bench, board, secured, '--token-file', file)
  t.match(await second.exited, { code: 78 })
  t.match(second.stderr, /--again/)
  const used = await enroll(bench, board, secured, '--again', '--token-file', file)
  t.match(await used.exited, { code: 78 })
  t.match(used.stderr, /another key has used the token/)
  await board.restart()
  t.equal(keyOf(board), before, 'what it had works as before')
  await secured.run({ op: 'set', args: { fields: { n: 3 } } })

  await board.run.end('SIGTERM')
  const fresh = await secured.token('n7', '--replace')
  const again = await enroll(bench, board, secured, '--again', '--token-file', fresh)
  t.match(await again.exited, { code: 0 }, again.stderr)
  t.same(filesOf(board), ['identity', 'identity.old'])
  t.not(keyOf(board), before)
  t.equal((await secured.keysOf('n7')).length, 2)
  await board.restart()
  t.same(filesOf(board), ['identity'])
  t.equal((await secured.keysOf('n7')).length, 1)
  t.match(await secured.run(SUM), ALL, 'its slice is as it was')
})

t.test('a node that was revoked comes back with another key, and what it holds', async (t) => {
  const bench = await securedHere(t)
  const { secured } = bench
  const [n1, n2] = [await joined(bench, 'n1'), await joined(bench, 'n2')]
  await secured.run({ op: 'set', args: { fields: { n: 3 } } })
  t.match(await secured.command('node', 'revoke', 'n1'), { exit: { code: 0 } })
  await eventually('it knows', () => n1.run.stderr.includes('"code":"revoked"'))
  t.notOk(n1.run.hasExited)
  const nodes = await secured.admin.json<Json[]>({ path: '/api/nodes' })
  t.match(
    nodes,
    [
      { id: 'n1', state: 'dead' },
      { id: 'n2', state: 'alive' },
    ],
    'at once',
  )
  await n1.run.end('SIGTERM')
  t.match(await secured.command('node', 'drain', 'n1', '--undo'), { exit: { code: 0 } })
  const file = await secured.token('n1')
  const again = await enroll(bench, n1, secured, '--again', '--token-file', file)
  t.match(await again.exited, { code: 0 }, again.stderr)
  await n1.restart()
  t.same(await secured.states(), { n1: 'alive', n2: 'alive' })
  t.match(await secured.run(SUM), ALL)
  t.same(filesOf(n1), ['identity'])
  t.notOk(n2.run.hasExited)
})

function spentTokenOf(board: Agent): string {
  return readFileSync(join(board.directory, 'spent-token'), 'utf8').trim()
}

t.test('a fleet that has lost its keys gets its boards back by a token each', async (t) => {
  const bench = await securedHere(t)
  const { here } = bench
  const board = await joined(bench, 'n1')
  await bench.secured.run({ op: 'set', args: { fields: { n: 3 } } })
  await board.run.end('SIGTERM')
  const before = keyOf(board)
  // Another gateway, with other keys and another ledger, as after a fire.
  const other = await Secured.start(new Fleet(t), here, '127.0.0.1')
  const url = `mqtts://127.0.0.1:${other.port}`
  const directory = ['agent', '--id', 'n1', '--url', url, '--data', board.directory]
  const token = await other.token('n1')
  const run = here(...directory, '--enroll-token-file', token)
  await eventually('it is enrolled', () => run.stderr.includes('"code":"enrolled"'))
  await eventually('the new ledger has not heard of it', () => run.stderr.includes('ledger'))
  t.not(keyOf(board), before)
  t.ok(readFileSync(token, 'utf8').startsWith(spentTokenOf(board)), 'it names the token')
  await run.end('SIGTERM')

  const used = await Secured.start(new Fleet(t), here, '127.0.0.1')
  const wrong = await used.token('n2')
  const back = here(...directory, '--enroll-token-file', wrong)
  await eventually('nothing was said', () => back.stderr.includes('"gateway-not-pinned"'))
  await eventually('it goes on with what it has', () => back.stderr.includes('ledger'))
  await back.end('SIGTERM')
})
