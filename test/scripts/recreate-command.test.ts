/** `ring recreate` at a gateway of which more is lost, or comes back, while the operator thinks about what he was shown. */
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { HttpServer } from '../../broker/adapters/http-server.ts'
import { Coordinator } from '../../broker/core/coordinator.ts'
import { GatewayDriver } from '../../broker/driver.ts'
import { HttpCalls, type HttpSources } from '../../broker/http-calls.ts'
import { runCommand } from '../../scripts/commands/program.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import { OPERATION_NAMES } from '../../shared/operations/catalog.ts'
import { packTiles } from '../../shared/operations/columns.ts'
import {
  encodeMessage,
  type Hello,
  PROTOCOL_VERSION,
  type Up,
} from '../../shared/protocol/messages.ts'
import { CHAIN_START } from '../../shared/protocol/stream-chain.ts'
import { SYSTEM_CLOCK } from '../../shared/runtime/clock.ts'
import { EMPTY_STORE, type GatewayBench } from '../support/gateway-bench.ts'
import { identityOf, rebuilt, recovering } from '../support/rebuilt-bench.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** A gateway that goes on from the ledger of a bench, behind its HTTP door; only MQTT is not there. */
async function serve(t: Test, bench: GatewayBench) {
  const { ledger, options } = bench
  const coordinator = new Coordinator(options, identityOf(bench), new Random(1))
  const fail = (error: unknown): void => {
    t.error(error)
  }
  const ignore = (): void => {}
  const ports = {
    clock: SYSTEM_CLOCK,
    write: async (records: Parameters<typeof ledger.write>[0]) => ledger.write(records),
    ...{ send: ignore, admit: ignore, disconnect: ignore, probe: ignore, publish: ignore },
    ...{ notice: ignore, isRecipient: () => false },
    seal: () => Promise.reject(new Error('nothing is sealed here')),
  }
  const driver = new GatewayDriver(coordinator, options.grid, ports, fail)
  driver.begin(coordinator.start(SYSTEM_CLOCK.now(), ledger.load()))
  const view = coordinator.view()
  const calls = new HttpCalls({ driver, view } as unknown as HttpSources)
  const server = new HttpServer({ host: '127.0.0.1', port: 0 }, calls, silent)
  await server.listen()
  t.teardown(() => Promise.all([server.close(), driver.stop()]))
  let connections = 0
  const receive = (node: string, message: Up): void =>
    driver.receive(`${node}-${connections}`, node as NodeId, encodeMessage(message), fail)
  const hello = (node: string, over: Partial<Hello>): void => {
    connections += 1
    const known = { boot: 1, process: `process-${node}`, storeId: `store-${node}`, position: 0 }
    receive(node, {
      ...{ t: 'hello', version: PROTOCOL_VERSION, node, weight: 1, grid: null, ...known },
      ...{ ledgerId: 'ledger', chain: CHAIN_START, seq: 0, operations: [...OPERATION_NAMES] },
      ...over,
    })
  }
  return {
    http: `http://127.0.0.1:${server.port}`,
    hello,
    missing: () => view.detector().tiles_missing ?? 0,
    /** `a` comes, and its pages of these tiles are damaged: nobody else has them. */
    lose: (...tiles: number[]) => hello('a', { broken: packTiles(tiles) }),
    /** A node of the lost ledger comes at last, and has this tile. */
    comesLate: (node: string, tile: number) => {
      const store = { storeId: `store-${node}`, position: 3 }
      hello(node, { ...store, ledgerId: 'lost', chain: new Uint8Array(8).fill(7), seq: 9 })
      const shown = { from: 0, next: null, tiles: packTiles([tile]), ats: [9] }
      receive(node, { t: 'held', ...store, ...shown })
    },
    recreate: (body: string) =>
      fetch(`http://127.0.0.1:${server.port}/api/ring/recreate`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      }),
  }
}

/** `told` is called with all that the command writes to the error output; what is given is typed at each question. */
async function run(
  argv: readonly string[],
  { answers = [], told = () => {} }: { answers?: string[]; told?: (text: string) => void } = {},
) {
  const out = { stdout: '', stderr: '' }
  const stdin = new Readable({ read() {} })
  const streams = {
    stdout: { isTTY: false, write: (text: string | Uint8Array) => (out.stdout += text) },
    stderr: {
      write: (text: string) => {
        out.stderr += text
        told(text)
        if (text.startsWith('give them up?')) stdin.push(answers.shift() ?? null)
      },
    },
    stdin: Object.assign(stdin, { isTTY: answers.length > 0 }),
    environment: {},
  }
  const code = await runCommand(argv, streams, '9.9.9')
  return { code, ...out }
}

/** Calls it at the first text that has this in it. */
function once(words: string, act: () => void): (text: string) => void {
  let isDone = false
  return (text) => {
    if (isDone || !text.includes(words)) return
    isDone = true
    act()
  }
}

t.test('what is lost after it was shown is shown again, and asked for again', async (t) => {
  for (const [second, left] of [
    ['y\n', 0],
    ['n\n', 7],
  ] as const) {
    const gateway = await serve(t, rebuilt())
    t.equal(gateway.missing(), 6)
    const { code, stdout, stderr } = await run(['ring', 'recreate', '--http', gateway.http], {
      answers: ['y\n', second],
      told: once('give them up?', () => gateway.lose(0)),
    })
    const [, first, again] = stderr.split('missing: ')
    t.match(first, /^6 tiles; 0 of them known .*more tiles are missing now than were shown/s)
    t.match(again, /^7 tiles; 1 of them known .*give them up\? \[y\/N\] /s)
    t.equal(code, left === 0 ? 0 : 1)
    t.equal(stdout, left === 0 ? '7 tiles begin anew, as zeros\n' : '')
    t.equal(gateway.missing(), left)
  }
})

t.test('a script is told that more are missing, and nothing is given up', async (t) => {
  const gateway = await serve(t, rebuilt())
  const argv = ['ring', 'recreate', '--yes', '--http', gateway.http]
  const race = { told: once('gone for good', () => gateway.lose(1)) }
  const ran = await run(argv, race)
  t.match(ran, {
    code: 1,
    stdout: '',
    stderr: /more tiles are missing now than were shown: nothing/,
  })
  t.equal(gateway.missing(), 7)
  t.match(await run([...argv, '--json']), { code: 0, stdout: '{"tiles":7}\n' })
  t.match(await run(argv), { code: 0, stdout: 'no tile is missing\n', stderr: '' })
})

t.test('what has come back meanwhile is no matter', async (t) => {
  const gateway = await serve(t, rebuilt(['z']))
  const argv = ['ring', 'recreate', '--yes', '--http', gateway.http]
  const told = once('gone for good', () => gateway.comesLate('z', 5))
  const ran = await run(argv, { told })
  t.match(ran, { code: 0, stdout: '5 tiles begin anew, as zeros\n', stderr: /^may have them: z,/m })
})

t.test('over HTTP, who says nothing of what he was shown gives up what is missing', async (t) => {
  const gateway = await serve(t, rebuilt())
  const of = async (body: object) => {
    const answer = await gateway.recreate(JSON.stringify(body))
    return [answer.status, await answer.json()] as const
  }
  const wish = { recreate: 'missing' }
  t.match(await of({ ...wish, shown: 'another' }), [409, { code: 'more-missing' }])
  for (const wrong of [{ ...wish, shown: 5 }, { ...wish, mark: 'x' }, { shown: 'x' }]) {
    t.match(await of(wrong), [400, { code: 'malformed', detail: /perhaps with "shown"/ }])
  }
  t.match(await of(wish), [200, { tiles: 6 }])
})

t.test('of many names it is said how many are not shown', async (t) => {
  const names = Array.from({ length: 103 }, (_, index) => `n${1000 + index}`)
  const one = await serve(t, rebuilt(names))
  const { stderr } = await run(['ring', 'recreate', '--http', one.http])
  t.match(stderr, /^may have them: n1000, .*, n1099 and 3 more, not back since the restore$/m)

  const waiting = await serve(t, recovering({ restored: { ts: 1, seq: 1, nodes: names } }, 0))
  for (let at = 0; at < 102; at++) waiting.hello(`e${at}`, { ...EMPTY_STORE, storeId: `s${at}` })
  const { stdout } = await run(['node', 'ls', '--http', waiting.http])
  t.match(stdout, /^awaited: n1000, .*, n1099 and 3 more$/m)
  t.match(stdout, /^here with an empty store, which counts as none: e0, .* and 2 more$/m)
})
