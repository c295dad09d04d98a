/** A secured fleet whose clocks are wrong: of boards that never had one, and of a gateway that gets the time later. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { eventually, Fleet, PROGRAM, within } from '../support/processes.ts'
import { type Obelisk, Secured } from '../support/secured-fleet.ts'
import { SetClock } from '../support/set-clock/set-clock.ts'
import { shortDirectory } from '../support/short-directory.ts'

const HOST = '127.0.0.1'
const IN_1970 = 12_000
const IN_2100 = Date.UTC(2100, 5, 1)

const directory = shortDirectory()
// A gateway looks at its certificate every minute.
t.setTimeout(300_000)
t.teardown(() => rmSync(directory, { recursive: true, force: true }))
const skip = SetClock.obstacle(directory) ?? false

/** Runs `obelisk` by this clock. */
function by(fleet: Fleet, clock: SetClock): Obelisk {
  return (...argv) => fleet.command(process.execPath, [PROGRAM, ...argv], clock.variables)
}

/** Why a client that checks names and times does not come in, as the program of that clock sees it. */
async function browserOf(fleet: Fleet, clock: SetClock, port: number, ca: string): Promise<string> {
  const script = `
    const { connect } = require('node:tls')
    const ca = require('node:fs').readFileSync(${JSON.stringify(ca)})
    const socket = connect({ host: '${HOST}', port: ${port}, servername: 'localhost', ca })
    socket.on('secureConnect', () => { console.log('connected'); process.exit() })
    socket.on('error', ({ code }) => console.log(code))`
  const run = fleet.command(process.execPath, ['--eval', script], clock.variables)
  await within('its word', run.exited)
  return run.stdout.trim()
}

t.test('attempt 67: boards in 1970 and in 2100 join', { skip }, async (t) => {
  const fleet = new Fleet(t)
  const here: Obelisk = (...argv) => fleet.start(argv)
  const secured = await Secured.start(fleet, here, HOST)
  const clocks = {
    past: new SetClock(directory, 'past', IN_1970),
    future: new SetClock(directory, 'future', IN_2100),
  }
  for (const [id, clock] of Object.entries(clocks)) {
    const said = fleet.command(process.execPath, ['--print', 'Date.now()'], clock.variables)
    await within('the time', said.exited)
    const year = new Date(Number(said.stdout)).getUTCFullYear()
    t.equal(year, id === 'past' ? 1970 : 2100, 'that is what its programs see')
    const token = ['--enroll-token-file', await secured.token(id)]
    const board = await secured.board(id, by(fleet, clock), HOST, ...token).ready()
    await board.run.kill()
    board.start()
    await board.ready()
  }
  t.same(await secured.states(), { future: 'alive', past: 'alive' })
  await secured.run({ op: 'set', args: { fields: { n: 3 } } })
  t.match(await secured.run({ op: 'stat', args: { field: 'n' } }), { value: { sum: 3 * 64 * 64 } })
  const ca = join(secured.data, 'security', 'ca.crt')
  // So it is no matter of a clock that OpenSSL does not look at.
  t.equal(await browserOf(fleet, clocks.past, secured.port, ca), 'CERT_NOT_YET_VALID')
  t.equal(await browserOf(fleet, clocks.future, secured.port, ca), 'CERT_HAS_EXPIRED')
})

t.test('attempt 68: a gateway that begins in 1970 lets browsers in soon', { skip }, async (t) => {
  const fleet = new Fleet(t)
  const right = new SetClock(directory, 'right', Date.now())
  const clock = new SetClock(directory, 'gateway', IN_1970)
  const secured = await Secured.start(fleet, by(fleet, clock), HOST)
  const token = ['--enroll-token-file', await secured.token('n1')]
  const board = await secured.board('n1', by(fleet, right), HOST, ...token).ready()
  const ca = join(secured.data, 'security', 'ca.crt')
  const asks = (): Promise<string> => browserOf(fleet, right, secured.port, ca)
  t.equal(await asks(), 'CERT_HAS_EXPIRED')

  clock.set(Date.now())
  const setMs = performance.now()
  await eventually('it has another one', () =>
    secured.gateway.stderr.includes('"code":"leaf-renewed"'),
  )
  t.equal(await asks(), 'connected')
  t.comment(`after ${Math.round((performance.now() - setMs) / 1000)} s`)
  t.same(await secured.states(), { n1: 'alive' })
  t.notOk(board.run.hasExited)
  await secured.gateway.end('SIGTERM')
  t.ok((await secured.events(t)).includes('leaf-renewed gateway'))
})
