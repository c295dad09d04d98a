/**
 * A thousand nodes are brought to another version while all of the grid is written again and again. Each comes back when
 * it likes, some after minutes, and catches up late; a few go down on the way. Whenever a node goes away, each tile that it
 * holds must have another holder that is here and has all that was written: held against the nodes' own books.
 */

import t from 'tap'
import type { UpgradeWish } from '../../broker/core/events.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { Random } from '../../shared/core/random.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import type { Hello } from '../../shared/protocol/messages.ts'
import { ADD, GatewayBench } from '../support/gateway-bench.ts'

t.setTimeout(300_000)

const NODES = 1000
const SEED = Number(process.env.SEED ?? 1)
const SIDE = 1024
const WHOLE = { x: 0, y: 0, w: SIDE, h: SIDE }
const TICK_MS = 10_000
const WRITE_MS = 60_000
const HOURS_MAX = 48
const PACKAGE = { sha256: 'a1'.repeat(32), bytes: 545_000 }

const WISH: UpgradeWish = {
  version: '0.2.0',
  packages: { armhf: PACKAGE },
  wave: { percent: 10 },
  pauseMs: 0,
  mayBeAway: false,
  again: false,
}

function running(version: string): Partial<Hello> {
  return { upgrade: { version, architecture: 'armhf' } }
}

class UpgradeStory {
  readonly bench = new GatewayBench({
    grid: {
      geometry: new Geometry({ width: SIDE, height: SIDE, tile: 16 }),
      fields: [{ name: 'value', type: 'f32' }],
    },
    heartbeatMs: TICK_MS,
    suspectAfterMs: 3 * TICK_MS,
    deadAfterMs: 6 * TICK_MS,
    lagMs: 5000,
    openBytesMax: 64 * 1024 * 1024,
    logBytesMax: 256 * 1024 * 1024,
    retentionTasks: 4,
  })
  readonly random = new Random(SEED)
  readonly names = Array.from({ length: NODES }, (_, at) => `n${String(at).padStart(4, '0')}`)
  /** Who is away until when; who is back and has not applied what it was sent. */
  readonly away = new Map<string, number>()
  readonly behind = new Map<string, ReturnType<GatewayBench['entriesTo']>>()
  readonly gone: string[] = []
  writes = 0
  mostAway = 0
  #tilesOf = new Map<string, number[]>()
  #holdersOf: string[][] = []

  begin(): void {
    for (const name of this.names) this.bench.hello(name, running('0.1.0'))
    this.bench.wait(this.bench.options.settleMs)
    this.write()
    const { geometry } = this.bench.options.grid
    this.#holdersOf = Array.from({ length: geometry.tiles }, (_, tile) => {
      return this.bench.view.holdersOf(tile)
    })
    this.#holdersOf.forEach((names, tile) => {
      for (const name of names) {
        this.#tilesOf.set(name, [...(this.#tilesOf.get(name) ?? []), tile])
      }
    })
    this.bench.step({ type: 'upgrade-demanded', demand: { start: WISH } })
    this.obey()
  }

  /** All that are here apply it at once, but for those that are behind. */
  write(): void {
    this.writes += 1
    this.bench.submit({ id: `w${this.writes}`, ...ADD, region: WHOLE })
    const sent = this.bench.entriesByConnection()
    for (const name of this.names) {
      if (this.away.has(name) || this.behind.has(name)) continue
      const entries = sent.get(this.bench.node(name).connection)
      if (entries !== undefined) this.bench.apply(name, entries)
    }
  }

  /** Fetches and installs what the last effects ask for, until they ask for nothing. */
  obey(): void {
    for (;;) {
      const connections = new Map(
        this.names.map((name) => [this.bench.node(name).connection, name]),
      )
      const orders = this.bench.effects.flatMap((effect) =>
        effect.type === 'send' && effect.message.t === 'upgrade'
          ? [{ name: connections.get(effect.connection)!, order: effect.message }]
          : [],
      )
      if (orders.length === 0) return
      for (const { name, order } of orders) {
        if (order.next === 'install') {
          this.leave(name)
          continue
        }
        const said = { t: 'fetched', sha256: order.sha256 } as const
        this.bench.receive(this.bench.node(name).connection, name, said)
      }
      this.bench.wait(25)
    }
  }

  leave(name: string): void {
    this.away.set(name, this.bench.nowMs + this.random.between(5000, 150_000))
    this.mostAway = Math.max(this.mostAway, this.away.size)
    for (const tile of this.#tilesOf.get(name) ?? []) {
      const giver = this.#holdersOf[tile]!.find(
        (one) => one !== name && !this.away.has(one) && !this.behind.has(one),
      )
      if (giver === undefined) throw new Error(`tile ${tile} has nobody when ${name} goes`)
    }
    this.bench.close(name)
  }

  tick(): void {
    const effects = [...this.bench.wait(TICK_MS)]
    for (const [name, entries] of this.behind) {
      this.behind.delete(name)
      effects.push(...this.bench.apply(name, entries))
    }
    for (const [name, untilMs] of this.away) {
      if (untilMs > this.bench.nowMs) continue
      this.away.delete(name)
      this.bench.node(name).boot += 1
      effects.push(...this.bench.hello(name, running('0.2.0')))
      const entries = this.bench.entriesTo(name)
      if (entries.length > 0) this.behind.set(name, entries)
    }
    for (const name of this.names) if (!this.away.has(name)) effects.push(...this.bench.beat(name))
    this.bench.effects = effects
    this.obey()
  }
}

t.test(`${NODES} nodes: no tile is ever without a holder that is in sync`, async (t) => {
  t.comment(`SEED=${SEED}`)
  const story = new UpgradeStory()
  story.begin()
  const { bench } = story
  const codes = new Map<string, number>()
  for (let at = 1; at * TICK_MS < HOURS_MAX * 3_600_000; at++) {
    if (bench.view.upgrade()!.state !== 'running') break
    if ((at * TICK_MS) % WRITE_MS === 0) story.write()
    story.tick()
    for (const effect of bench.effects) {
      if (effect.type !== 'notice') continue
      const { code } = effect.notice
      codes.set(code, (codes.get(code) ?? 0) + 1)
    }
  }
  const upgrade = bench.view.upgrade()!
  t.match(upgrade, { state: 'done', counts: { done: NODES } })
  for (const code of [
    'node-suspect',
    'node-dead',
    'doubt-began',
    'moves-planned',
    'tile-missing',
  ]) {
    t.equal(codes.get(code) ?? 0, 0, `nothing was said of ${code}`)
  }
  t.ok(story.mostAway > 1, 'several were away together')
  t.equal(bench.view.node(story.names[0] as NodeId)?.version, '0.2.0')
  const minutes = Math.round(bench.nowMs / 60_000)
  t.comment(`${minutes} min of its time, ${story.writes} writes, at most ${story.mostAway} away`)
})
