/** Boards that are asked for another key, and what they show; the registry on disk, connections by hand. */
import { randomBytes, sign } from 'node:crypto'
import { rmSync } from 'node:fs'
import t, { type Test } from 'tap'
import { IdentityStore } from '../../broker/adapters/identity-store.ts'
import { Identities } from '../../broker/identities.ts'
import { type Channel, type RotationOptions, Rotations } from '../../broker/rotations.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import type { KeyUp } from '../../shared/protocol/rekey.ts'
import { rekeyedBytes } from '../../shared/protocol/rekey.ts'
import { fingerprintText, newKeyPair, spkiOf } from '../../shared/runtime/public-keys.ts'
import { eventually } from '../support/processes.ts'
import { shortDirectory } from '../support/short-directory.ts'

const n1 = 'n1' as NodeId
const DAY_MS = 86_400_000
const silent = { debug() {}, info() {}, warn() {}, error() {} }

const ANN = { who: 'user/ann', via: 'http' } as const

class Bench {
  readonly identities: Identities
  readonly rotations: Rotations
  readonly store: IdentityStore
  readonly channels = new Map<string, Channel>()
  /** What was said, to whom, and what the logs were told. */
  readonly said: string[] = []
  nowTs = 1_800_000_000_000
  isLogFull = false

  readonly wanted: string[] = []

  static async open(t: Test, options: RotationOptions = {}): Promise<Bench> {
    const directory = shortDirectory()
    const store = await IdentityStore.open(directory, (error) => {
      throw error
    })
    const bench = new Bench(store, options)
    t.teardown(async () => {
      bench.rotations.close()
      await store.close()
      rmSync(directory, { recursive: true, force: true })
    })
    return bench
  }

  private constructor(store: IdentityStore, options: RotationOptions) {
    this.store = store
    this.identities = new Identities({}, store)
    const log = (level: string) => (fields: { code?: string; reason?: string }) => {
      this.said.push([level, fields.code, fields.reason].filter(Boolean).join(' '))
    }
    this.rotations = new Rotations({ pauseMs: 1, ...options }, this.identities, {
      nowTs: () => this.nowTs,
      certify: async (spki, node) => `${node} ${fingerprintText(spki)}`,
      send: (connection, message) =>
        this.said.push(`${connection} ${message.t}${'cert' in message ? ` ${message.cert}` : ''}`),
      channelOf: (connection) => this.channels.get(connection),
      append: async ({ event, who, via, what }) => {
        if (this.isLogFull) throw new Error('the disk is full')
        if (event === 'rotation-wanted') this.wanted.push(`${who} ${via} ${what}`)
        else this.said.push(`${event} ${who}`)
      },
      tell: ({ event, who, code }) => this.said.push(`${event} ${who} ${code}`),
      logger: { ...silent, info: log('info'), warn: log('warn'), error: log('error') } as never,
    })
  }

  /** A node with a key; it is here. */
  async enrol(node: NodeId, connection: string): Promise<string> {
    const key = randomBytes(32).toString('hex')
    const keys = [{ sha256: key, addedTs: this.nowTs, state: 'active' as const }]
    await this.store.write([
      { table: 'identity', key: node, value: { keys, createdTs: this.nowTs } },
      { table: 'key', key, value: { node } },
    ])
    this.here(node, connection, key)
    return key
  }

  here(node: NodeId, connection: string, key: string): void {
    this.channels.set(connection, { key, exported: randomBytes(32), source: '10.0.0.1' })
    this.rotations.admitted(connection, node)
  }

  /** What a board shows on a connection. */
  shown(node: NodeId, connection: string): { readonly message: KeyUp; readonly sha256: string } {
    const { privateKey, publicKey } = newKeyPair()
    const key = spkiOf(publicKey)
    const proven = rekeyedBytes(this.channels.get(connection)!.exported, node, key)
    const sig = sign('sha256', proven, { key: privateKey, dsaEncoding: 'ieee-p1363' })
    return { message: { t: 'next-key', key, sig }, sha256: fingerprintText(key) }
  }

  async hears(line: string): Promise<void> {
    await eventually(line, () => this.said.includes(line))
  }

  keysOf(node: NodeId): string[] {
    return this.store.identity(node)!.keys.map(({ sha256 }) => sha256)
  }
}

t.test(
  'a node is asked, and what it shows is logged, kept and certified, in this order',
  async (t) => {
    const bench = await Bench.open(t)
    const before = await bench.enrol(n1, 'c1')
    t.same(bench.said, [])
    t.equal(await bench.rotations.want(n1, ANN), true)
    await bench.hears('c1 rekey')
    const { message, sha256 } = bench.shown(n1, 'c1')
    bench.rotations.take('c1', n1, message)
    await bench.hears(`c1 rekeyed n1 ${sha256}`)
    t.same(bench.said, [
      'c1 rekey',
      'key-rotated node/n1',
      'info key-rotated',
      `c1 rekeyed n1 ${sha256}`,
    ])
    t.same(bench.keysOf(n1), [before, sha256])
    const out: string[] = []
    await bench.identities.keyUsed(bench.nowTs, n1, sha256, (keys) => out.push(...keys))
    t.same(out, [before])
    t.equal(bench.identities.formerOwnerOf(before), n1)
    bench.here(n1, 'c2', sha256)
    bench.rotations.look()
    t.equal(bench.said.length, 4, 'nobody wants more')
    t.equal(await bench.rotations.want('nobody' as NodeId, ANN), false)
  },
)

t.test('who wants another key is logged before the node is asked', async (t) => {
  const bench = await Bench.open(t)
  await bench.enrol(n1, 'c1')
  bench.isLogFull = true
  await t.rejects(bench.rotations.want(n1, ANN), { message: /disk is full/ })
  t.notOk(bench.identities.isRotationDue(bench.nowTs, n1, undefined), 'not wanted either')
  bench.isLogFull = false
  t.ok(await bench.rotations.want(n1, ANN))
  t.same(bench.wanted, ['user/ann http node/n1'])
  await bench.rotations.want('nobody' as NodeId, ANN)
  t.equal(bench.wanted.length, 1)
})

t.test('nothing is taken that was not asked for, nor a second time', async (t) => {
  const bench = await Bench.open(t)
  const before = await bench.enrol(n1, 'c1')
  bench.rotations.take('c1', n1, bench.shown(n1, 'c1').message)
  t.same(bench.said, ['warn rekey-unasked'])
  await bench.rotations.want(n1, ANN)
  await bench.hears('c1 rekey')
  const { message, sha256 } = bench.shown(n1, 'c1')
  bench.rotations.take('c1', n1, message)
  bench.rotations.take('c1', n1, message)
  await bench.hears(`c1 rekeyed n1 ${sha256}`)
  t.equal(bench.said.filter((line) => line === 'warn rekey-unasked').length, 2)
  t.same(bench.keysOf(n1), [before, sha256])
})

t.test('what is shown on another connection, or is no key, is refused', async (t) => {
  const bench = await Bench.open(t)
  const before = await bench.enrol(n1, 'c1')
  await bench.rotations.want(n1, ANN)
  await bench.hears('c1 rekey')
  const recorded = bench.shown(n1, 'c1').message
  for (const [connection, shown, code] of [
    ['c2', recorded, 'proof-wrong'],
    ['c3', { ...recorded, key: randomBytes(91) }, 'key-unsuitable'],
  ] as const) {
    bench.rotations.closed('c1')
    bench.here(n1, connection, before)
    await bench.hears(`${connection} rekey`)
    bench.rotations.take(connection, n1, shown)
    await bench.hears(`enroll-refused node/n1 ${code}`)
    await bench.hears(`warn rekey-refused ${code}`)
  }
  bench.here(n1, 'c4', randomBytes(32).toString('hex'))
  await bench.hears('c4 rekey')
  bench.rotations.take('c4', n1, bench.shown(n1, 'c4').message)
  await bench.hears('enroll-refused node/n1 key-revoked')
  t.same(bench.keysOf(n1), [before])
})

t.test('nothing is given that could not be logged, or to whom has gone', async (t) => {
  const bench = await Bench.open(t)
  const before = await bench.enrol(n1, 'c1')
  await bench.rotations.want(n1, ANN)
  bench.isLogFull = true
  await bench.hears('c1 rekey')
  bench.rotations.take('c1', n1, bench.shown(n1, 'c1').message)
  await bench.hears('error rekey-failed')
  t.same(bench.keysOf(n1), [before])
  bench.isLogFull = false
  bench.rotations.closed('c1')
  bench.here(n1, 'c2', before)
  await bench.hears('c2 rekey')
  const { message } = bench.shown(n1, 'c2')
  bench.channels.delete('c2')
  bench.rotations.take('c2', n1, message)
  bench.rotations.closed('c2')
  t.same(bench.keysOf(n1), [before])
})

t.test('keys that are too old are followed, one after the other', async (t) => {
  const bench = await Bench.open(t, { afterMs: 30 * DAY_MS })
  const nodes = Array.from({ length: 5 }, (_, index) => `m${index}` as NodeId)
  for (const node of nodes) await bench.enrol(node, `c-${node}`)
  bench.nowTs += 30 * DAY_MS
  bench.rotations.look()
  t.same(bench.said, [])
  bench.nowTs += 1
  bench.rotations.look()
  bench.rotations.look()
  t.same(bench.said, ['c-m0 rekey'], 'the others wait')
  bench.rotations.closed('c-m1')
  await bench.hears('c-m4 rekey')
  t.same(bench.said, ['c-m0 rekey', 'c-m2 rekey', 'c-m3 rekey', 'c-m4 rekey'])
})

t.test('a node that shows keys and uses none is left alone for a while', async (t) => {
  const bench = await Bench.open(t)
  const before = await bench.enrol(n1, 'c0')
  await bench.rotations.want(n1, ANN)
  let last = ''
  const round = async (index: number): Promise<void> => {
    const connection = `c${index}`
    if (index > 0) bench.here(n1, connection, before)
    await bench.hears(`${connection} rekey`)
    const { message, sha256 } = bench.shown(n1, connection)
    bench.rotations.take(connection, n1, message)
    await bench.hears(`${connection} rekeyed n1 ${sha256}`)
    bench.rotations.closed(connection)
    last = sha256
  }
  for (let index = 0; index < 3; index++) await round(index)
  /** Asked later than it, another one has been. */
  const isAsked = async (connection: string): Promise<boolean> => {
    bench.here(n1, connection, before)
    const other = `after-${connection}` as NodeId
    await bench.enrol(other, other)
    await bench.rotations.want(other, ANN)
    await bench.hears(`${other} rekey`)
    bench.rotations.closed(connection)
    return bench.said.includes(`${connection} rekey`)
  }
  t.notOk(await isAsked('c3'))
  bench.nowTs += 3_599_999
  t.notOk(await isAsked('c4'))
  bench.nowTs += 1
  await round(5)
  t.notOk(await isAsked('c6'))
  await bench.identities.keyUsed(bench.nowTs, n1, last)
  bench.rotations.used(n1)
  await bench.rotations.want(n1, ANN)
  bench.here(n1, 'c7', last)
  await bench.hears('c7 rekey')
})
