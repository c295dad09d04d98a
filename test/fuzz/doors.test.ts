/**
 * The doors of a secured gateway, real TLS and all, with damaged, cut and endless bytes: before, within and after the
 * handshake. Whatever comes, each connection ends, nobody gets an identity for it, memory stays, and others come in
 * meanwhile. `RUNS` says how many connections.
 */
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { enrol } from '../../firmware-agent/adapters/enrolment-client.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import {
  decodeAnswer,
  ENROLMENT_PROTOCOL,
  GATEWAY_SERVER_NAME,
} from '../../shared/protocol/enrolment.ts'
import { newKeyPair } from '../../shared/runtime/public-keys.ts'
import { requestLine } from '../support/enrolment-lines.ts'
import { eventually, within } from '../support/processes.ts'
import { SecurityBench } from '../support/security-bench.ts'
import { helloOfTls10, newHello } from '../support/tls-hello.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const RUNS = Number(process.env.RUNS ?? 800)
t.comment(`SEED=${seed} RUNS=${RUNS} npx tap run test/fuzz/doors.test.ts`)
t.setTimeout(120_000 + RUNS * 200)

const TIMEOUT_MS = 2000
/** Connections at a time: they wait for their end more than for anything else. */
const AT_ONCE = 100
const WAITING_MAX = 64
/** Of what is left after each; a connection that is kept has some 30 KB. */
const KEPT_BYTES_MAX = 512
const SLACK_BYTES = 2 * 1024 * 1024
const MINUTE_MS = 60_000

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

async function usedBytes(): Promise<number> {
  for (let times = 0; times < 3; times++) {
    await new Promise(setImmediate)
    collect()
  }
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

function mutate(bytes: Buffer, random: Random): Buffer {
  const at = random.integer(bytes.length + 1)
  const changed = Buffer.from(bytes)
  switch (random.integer(5)) {
    case 0:
      if (at < bytes.length) changed[at]! ^= 1 << random.integer(8)
      return changed
    case 1:
      return changed.subarray(0, at)
    case 2:
      return Buffer.concat([changed.subarray(0, at), changed.subarray(at + random.integer(9))])
    case 3: {
      const more = Buffer.from(
        Array.from({ length: random.integer(40) }, () => random.integer(256)),
      )
      return Buffer.concat([changed.subarray(0, at), more, changed.subarray(at)])
    }
    default:
      return Buffer.concat([changed, changed.subarray(at)])
  }
}

function mutated(bytes: Buffer, random: Random): Buffer {
  let changed = bytes
  for (let step = random.integer(4); step > 0; step--) changed = mutate(changed, random)
  return changed
}

/** Says them in pieces, each in a turn of its own, and then ends, resets, or stays. */
async function sayInPieces(
  socket: Socket | TLSSocket,
  bytes: Buffer,
  random: Random,
): Promise<void> {
  const end = random.integer(4)
  for (let at = 0; at < bytes.length && !socket.destroyed; ) {
    const length = 1 + random.integer(random.integer(4) === 0 ? 8 : bytes.length)
    socket.write(bytes.subarray(at, at + length))
    at += length
    await new Promise(setImmediate)
  }
  if (end === 0) socket.end()
  if (end === 1) socket.destroy()
}

/** Lines that are none. */
const LINES: readonly (() => Buffer)[] = [
  () => Buffer.from(`{"v":1,"token":"${'a'.repeat(4096)}"}\n`),
  () => Buffer.from(`${'['.repeat(2000)}\n`),
  () => Buffer.from(`${'{"v":'.repeat(400)}1${'}'.repeat(400)}\n`),
  () => Buffer.from(`{"v":1${' '.repeat(1500)}`),
  () => Buffer.alloc(200_000, '{'),
  () => Buffer.from('\n\n\n'),
  () => Buffer.from('{"__proto__":{"v":1},"constructor":1}\n'),
]

t.test(`${RUNS} connections that mean nothing good`, async (t) => {
  const random = new Random(seed)
  const hello = await newHello()
  const bench = await SecurityBench.start(
    t,
    { timeoutMs: TIMEOUT_MS, waitingMax: WAITING_MAX },
    { timeoutMs: TIMEOUT_MS },
  )
  const { port } = bench.broker
  // Whatever is left of it, its secret is another.
  const token = { ...(await bench.token('n1' as NodeId)), secret: new Uint8Array(16) }
  const pair = newKeyPair()
  const answers = new Map<string, number>()
  let runs = 0

  /** A source of its own, of the 16 million that this machine has. */
  const from = (): string => `127.${1 + (runs >> 14)}.${(runs >> 7) & 127}.${1 + (runs & 127)}`

  const one = async (random: Random): Promise<void> => {
    runs += 1
    const localAddress = from()
    const bare = connectTcp({ host: '127.0.0.1', port, localAddress })
    const closed = new Promise<void>((resolve) => bare.once('close', () => resolve()))
    bare.on('error', () => {})
    const kind = random.integer(5)
    if (kind < 2) {
      const first = kind === 0 ? hello : [helloOfTls10(), Buffer.alloc(300, random.integer(256))]
      const bytes = Array.isArray(first) ? first[random.integer(2)]! : first
      await sayInPieces(bare.resume(), mutated(bytes, random), random)
    } else {
      await once(bare, 'connect')
      const secured = connectTls({
        ...{ socket: bare, servername: GATEWAY_SERVER_NAME, rejectUnauthorized: false },
        ...{ ALPNProtocols: [ENROLMENT_PROTOCOL] },
      })
      secured.on('error', () => {})
      if (kind === 2) {
        // Half a handshake.
        for (let turns = random.integer(12); turns > 0; turns--) await new Promise(setImmediate)
        if (random.integer(2) === 0) bare.destroy()
        else bare.resetAndDestroy()
      } else if (await isSecured(secured)) {
        let text = ''
        secured.on('data', (chunk: Buffer) => {
          text += chunk
        })
        const right = Buffer.from(requestLine(secured, token, pair))
        const line = kind === 3 ? mutated(right, random) : LINES[random.integer(LINES.length)]!()
        await sayInPieces(secured, line, random)
        await closed
        const answer = decodeAnswer(text.trimEnd())
        const code = text === '' ? 'none' : answer?.ok === false ? answer.code : `odd: ${text}`
        answers.set(code, (answers.get(code) ?? 0) + 1)
      }
    }
    await within('its end', closed)
  }

  let board = 0
  /** Somebody who means well. */
  const enrolOne = async (): Promise<void> => {
    board += 1
    const node = `good-${board}` as NodeId
    const given = await bench.token(node)
    const at = { host: '127.0.0.1', port, node, version: '0' }
    t.ok((await enrol(at, given, newKeyPair())).certificate)
  }

  const some = async (count: number): Promise<void> => {
    const seeds = Array.from({ length: count }, () => random.integer(2 ** 31))
    const worker = async (): Promise<void> => {
      for (let next = seeds.pop(); next !== undefined; next = seeds.pop()) {
        await one(new Random(next))
      }
    }
    const all = Promise.all(Array.from({ length: AT_ONCE }, worker))
    await enrolOne()
    await all
    // What was counted of sources is over, for the next.
    bench.pass(MINUTE_MS)
  }

  await some(Math.ceil(RUNS / 4))
  const before = await usedBytes()
  const begun = runs
  while (runs < RUNS) await some(Math.min(1000, RUNS - runs))
  const grown = (await usedBytes()) - before
  const bound = SLACK_BYTES + (runs - begun) * KEPT_BYTES_MAX
  t.comment(`${runs} connections; ${Math.round(grown / 1024)} KiB more`)
  t.comment([...answers].map(([code, count]) => `${code} ${count}`).join(', '))
  t.ok(grown < bound, `${grown} bytes more, of ${bound}`)
  const codes = ['none', 'malformed', 'token-unknown', 'key-unsuitable', 'proof-wrong', 'busy']
  t.same(
    [...answers.keys()].filter((code) => !codes.includes(code)),
    [],
  )
  t.ok(answers.has('malformed') && answers.has('token-unknown'), 'lines were read')
  await eventually('nobody is left', () => bench.broker.counters().clientsConnected === 0)
  t.equal(bench.security.counts.enrolled, board, 'nobody else has an identity')
  t.equal(bench.broker.counters().clientsMaximum, 0)
  await enrolOne()
})

async function isSecured(socket: TLSSocket): Promise<boolean> {
  return await new Promise((resolve) => {
    socket.once('secureConnect', () => resolve(true))
    socket.once('close', () => resolve(false))
  })
}
