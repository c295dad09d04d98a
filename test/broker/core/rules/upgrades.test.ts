/** Nodes that are brought to another version: who begins when, what stops it, and what outlives the gateway. */

import t from 'tap'
import type { GatewayEffect } from '../../../../broker/core/effects.ts'
import type { UpgradeWish } from '../../../../broker/core/events.ts'
import { sizeOf } from '../../../../broker/core/rules/upgrade-wave.ts'
import type { NodeId } from '../../../../shared/core/ids.ts'
import type { Hello } from '../../../../shared/protocol/messages.ts'
import type {
  UpgradeOrder,
  UpgradeOutcome,
  UpgradeUp,
} from '../../../../shared/protocol/upgrade-messages.ts'
import { ADD, GatewayBench } from '../../../support/gateway-bench.ts'

const WHOLE = { x: 0, y: 0, w: 16, h: 8 }
const PACKAGE = { sha256: 'a1'.repeat(32), bytes: 545_000 }
const OLD: Partial<Hello> = {
  upgrade: { version: '0.1.0', architecture: 'armhf', attempts: true },
}
/** Of before attempts. */
const OLDER: Partial<Hello> = { upgrade: { version: '0.1.0', architecture: 'armhf' } }
const NEW: Partial<Hello> = { upgrade: { version: '0.2.0', architecture: 'armhf' } }
const MINUTE_MS = 60_000

const WISH: UpgradeWish = {
  version: '0.2.0',
  packages: { armhf: PACKAGE },
  wave: { nodes: 1 },
  pauseMs: 0,
  mayBeAway: false,
  again: false,
}

function wentBack(attempt?: string): UpgradeOutcome {
  const named = attempt === undefined ? {} : { attempt }
  return { sha256: PACKAGE.sha256, ...named, outcome: 'went-back', code: 'upgrade-went-back' }
}

class UpgradeBench extends GatewayBench {
  readonly names: readonly string[]

  /** Tiles are written on all of these. */
  constructor(
    names: readonly string[],
    options: Partial<GatewayBench['options']> = {},
    as: Partial<Hello> = OLD,
  ) {
    super({ massSilenceShare: 1, ...options })
    this.names = names
    for (const name of names) this.hello(name, as)
    this.wait(this.options.settleMs)
    this.submit({ id: 'first', ...ADD, region: WHOLE })
    const entries = names.map((name) => this.entriesTo(name))
    names.forEach((name, at) => {
      this.apply(name, entries[at]!)
    })
  }

  upgrade(wish: Partial<UpgradeWish> = {}): void {
    this.step({ type: 'upgrade-demanded', demand: { start: { ...WISH, ...wish } } })
  }

  /** Of the last step: who was told to get it, or to install it. */
  told(next: UpgradeOrder['next']): string[] {
    return this.names.filter((name) =>
      this.sent('upgrade', this.node(name).connection).some((order) => order.next === next),
    )
  }

  /** Of the last step: the attempt that this node is told to make. */
  attempt(name: string): string | undefined {
    const [order] = this.sent('upgrade', this.node(name).connection)
    return order?.attempt
  }

  /** About packages; that has no session. */
  tell(name: string, message: UpgradeUp): GatewayEffect[] {
    return this.receive(this.node(name).connection, name, message)
  }

  /** Everybody who is told to fetches, until nobody is. */
  fetchAll(): string[] {
    for (;;) {
      const asked = this.told('wait')
      if (asked.length === 0) return this.told('install')
      const effects = asked.flatMap((name) =>
        this.tell(name, { t: 'fetched', sha256: PACKAGE.sha256 }),
      )
      this.effects = [...effects, ...this.wait(50)]
    }
  }

  /** It starts anew, and comes back. */
  comeBack(name: string, as: Partial<Hello>, awayMs = 20_000): void {
    this.close(name)
    this.live(awayMs, this.#others(name))
    this.node(name).boot += 1
    this.hello(name, as)
  }

  /** Who is told to install in the minute that follows. */
  minute(): string[] {
    const others = this.names.filter((name) => this.isHere(name))
    this.live(MINUTE_MS + 1000, others)
    return this.told('install')
  }

  isHere(name: string): boolean {
    return this.view.node(name as NodeId)?.connected === true
  }

  states(): Record<string, string> {
    return Object.fromEntries(this.view.upgrade()!.nodes.map(({ node, state }) => [node, state]))
  }

  #others(name: string): string[] {
    return this.names.filter((one) => one !== name && this.isHere(one))
  }
}

t.test('all fetch, one goes ahead, the others follow one by one', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c'])
  bench.upgrade()
  t.match(bench.notices('upgrade-began'), [{ version: '0.2.0', nodes: 3 }])
  t.same(bench.told('install'), [], 'nobody installs before all have it')
  t.same(bench.fetchAll(), ['a'])
  bench.comeBack('a', NEW)
  t.same(bench.states(), { a: 'installing', b: 'fetched', c: 'fetched' })
  t.same(bench.told('install'), [], 'it has to stay for a minute')
  t.same(bench.minute(), ['b'])
  bench.comeBack('b', NEW)
  t.same(bench.minute(), ['c'])
  bench.comeBack('c', NEW)
  bench.minute()
  t.match(bench.notices('upgrade-ended'), [{ done: 3, nodes: 3 }])
  t.match(bench.view.upgrade(), { state: 'done', counts: { done: 3 } })
})

t.test('who installs is neither suspected nor dead before three minutes', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c'])
  bench.upgrade()
  bench.fetchAll()
  const effects = [...bench.close('a'), ...bench.live(175_000, ['b', 'c'])]
  const codes = effects.flatMap((effect) => (effect.type === 'notice' ? [effect.notice.code] : []))
  t.same(
    codes.filter((code) => /suspect|dead|doubt|moves/.test(code)),
    [],
  )
  t.match(bench.view.node('a' as NodeId), { state: 'suspect', upgrading: true })
  bench.live(10_000, ['b', 'c'])
  t.equal(bench.notices('node-dead').length, 1)
  t.match(bench.notices('node-not-upgraded'), [{ node: 'a', reason: 'not-back' }])
  t.match(bench.view.upgrade(), { state: 'stopped', stopped: { code: 'not-back', node: 'a' } })
  t.same(bench.states(), { a: 'lost', b: 'fetched', c: 'fetched' })
})

t.test('the canary goes back: nobody else is touched, and it is not offered again', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c'])
  bench.upgrade()
  bench.fetchAll()
  bench.comeBack('a', { upgrade: { ...OLD.upgrade!, outcome: wentBack(bench.attempt('a')) } })
  t.match(bench.notices('upgrade-stopped'), [{ reason: 'upgrade-went-back' }])
  bench.minute()
  t.same(bench.states(), { a: 'went-back', b: 'fetched', c: 'fetched' })
  t.same(bench.told('install'), [])

  bench.step({ type: 'upgrade-demanded', demand: 'resume' })
  t.same(bench.told('install'), ['b'], 'what failed is skipped')
  bench.comeBack('b', NEW)
  bench.minute()
  bench.comeBack('c', NEW)
  bench.minute()
  t.match(bench.view.upgrade(), { state: 'done', counts: { done: 2, 'went-back': 1 } })

  bench.start()
  for (const name of bench.names) bench.hello(name, name === 'a' ? OLD : NEW)
  bench.live(15_000)
  bench.upgrade()
  t.match(bench.view.upgrade()!.nodes[0], { node: 'a', state: 'skipped', code: 'failed-before' })
  bench.live(2000)
  bench.upgrade({ again: true })
  t.same(bench.told('wait'), ['a'])
})

t.test('what became of an attempt before counts for none that follows', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c'])
  bench.upgrade()
  bench.fetchAll()
  const first = bench.attempt('a')!
  bench.comeBack('a', { upgrade: { ...OLD.upgrade!, outcome: wentBack(first) } })
  t.equal(bench.states().a, 'went-back')
  bench.minute()

  bench.upgrade({ again: true, only: ['a' as NodeId] })
  t.same(bench.fetchAll(), ['a'])
  const second = bench.attempt('a')!
  t.not(second, first)
  // The order was lost with the connection.
  bench.comeBack('a', { upgrade: { ...OLD.upgrade!, outcome: wentBack(first) } })
  t.match(bench.view.upgrade(), { state: 'running' })
  t.same(bench.told('install'), ['a'], 'it is told once more')
  t.equal(bench.attempt('a'), second)
  bench.tell('a', { t: 'upgraded', outcome: wentBack(first) })
  t.equal(bench.states().a, 'installing')
  bench.tell('a', { t: 'upgraded', outcome: wentBack(second) })
  t.match(bench.view.upgrade(), { state: 'stopped', stopped: { code: 'upgrade-went-back' } })
})

t.test('an attempt outlives the gateway', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c'])
  bench.upgrade()
  bench.fetchAll()
  const attempt = bench.attempt('a')!
  bench.start()
  bench.hello('a', { upgrade: { ...OLD.upgrade!, outcome: wentBack('another') } })
  t.equal(bench.states().a, 'installing')
  t.equal(bench.attempt('a'), attempt, 'of its own nothing was heard')
})

t.test('a node of before attempts is given none, and its outcomes count', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c'], {}, OLDER)
  bench.upgrade()
  t.same(bench.fetchAll(), ['a'])
  t.equal(bench.attempt('a'), undefined)
  bench.comeBack('a', { upgrade: { ...OLDER.upgrade!, outcome: wentBack() } })
  t.match(bench.view.upgrade(), { state: 'stopped', stopped: { code: 'upgrade-went-back' } })
})

t.test('what a running process says of its package counts', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c'])
  bench.upgrade()
  bench.fetchAll()
  const outcome: UpgradeOutcome = {
    ...wentBack(bench.attempt('a')),
    ...{ outcome: 'refused', code: 'package-untrusted' },
  }
  bench.tell('a', { t: 'upgraded', outcome: { ...outcome, sha256: 'b2'.repeat(32) } })
  t.equal(bench.states().a, 'installing', 'of another package it says nothing')
  bench.tell('a', { t: 'upgraded', outcome })
  t.match(bench.view.upgrade(), { state: 'stopped', stopped: { code: 'package-untrusted' } })
  t.equal(bench.states().a, 'went-back')
})

t.test('one that has nothing to fetch, or cannot, holds nobody up', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c'])
  bench.hello('d')
  bench.hello('e', { upgrade: { version: '0.3.0', architecture: 'armhf' } })
  bench.hello('f', { upgrade: { version: '0.1.0', architecture: 'amd64' } })
  bench.hello('g', NEW)
  bench.upgrade()
  t.match(bench.view.upgrade()!.nodes.slice(3), [
    { node: 'd', state: 'skipped', code: 'by-hand' },
    { node: 'e', state: 'skipped', code: 'package-older' },
    { node: 'f', state: 'skipped', code: 'no-package' },
    { node: 'g', state: 'done' },
  ])
  bench.tell('b', {
    t: 'fetched',
    sha256: PACKAGE.sha256,
    error: { code: 'disk-full', message: 'no room' },
  })
  t.match(bench.view.upgrade()!.nodes[1], { state: 'skipped', code: 'disk-full' })
  for (const name of ['a', 'c']) bench.tell(name, { t: 'fetched', sha256: PACKAGE.sha256 })
  bench.wait(50)
  t.same(bench.told('install'), ['a'])
})

t.test('nodes that are off are waited for', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c'])
  bench.hello('d', OLD)
  bench.close('d')
  bench.upgrade({ only: ['d' as NodeId] })
  bench.live(600_000, ['a', 'b', 'c'])
  t.match(bench.view.upgrade(), { state: 'running', waits_for: 'nodes-away' })
  bench.hello('d', { ...OLD, storeId: 'new', ledgerId: null })
  bench.live(5000)
  t.equal(bench.states().d, 'fetching')
})

t.test('nobody begins while the gateway doubts itself, or a copy is missing', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c', 'd'])
  bench.close('d')
  bench.live(2 * bench.options.deadAfterMs, ['a', 'b', 'c'])
  t.ok(bench.view.moves().open.length + bench.view.moves().planned.length > 0, 'copies are missing')
  bench.upgrade({ only: ['a' as NodeId] })
  bench.tell('a', { t: 'fetched', sha256: PACKAGE.sha256 })
  bench.wait(1500)
  t.match(bench.view.upgrade(), { waits_for: 'repairing' })

  const doubting = new UpgradeBench(['a', 'b', 'c'])
  doubting.upgrade({ only: ['a' as NodeId] })
  doubting.isProbeAnswered = false
  doubting.live(10_000)
  t.equal(doubting.view.detector().doubts.length, 1)
  doubting.tell('a', { t: 'fetched', sha256: PACKAGE.sha256 })
  doubting.wait(50)
  t.same(doubting.told('install'), [])
  t.match(doubting.view.upgrade(), { waits_for: 'doubting' })
})

t.test('one copy may only be away by word', async (t) => {
  const bench = new UpgradeBench(['a', 'b'], { replicas: 1 })
  t.match(bench.view.upgradeProblem(WISH), { code: 'sole-copies' })
  bench.upgrade()
  t.equal(bench.view.upgrade(), undefined)
  bench.upgrade({ mayBeAway: true })
  t.same(bench.fetchAll(), ['a'])
})

t.test('who holds what nobody else has in sync stays', async (t) => {
  const bench = new UpgradeBench(['a', 'b'])
  bench.close('b')
  bench.live(10_000, ['a'])
  bench.upgrade()
  bench.tell('a', { t: 'fetched', sha256: PACKAGE.sha256 })
  bench.wait(50)
  t.match(bench.view.upgrade(), { waits_for: 'sole-copies' })
  t.equal(bench.states().a, 'fetched')
})

t.test('an upgrade outlives the gateway, whose own absence is no fault of a version', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c'])
  bench.upgrade()
  bench.fetchAll()
  const first = bench.attempt('a')
  bench.start()
  bench.hello('b', OLD)
  bench.hello('c', OLD)
  bench.live(100_000, ['b', 'c'])
  t.equal(bench.notices('node-dead').length, 0, 'the restart does not shorten its time')
  bench.hello('a', { upgrade: { ...OLD.upgrade!, outcome: wentBack(first) } })
  t.match(bench.view.upgrade(), { state: 'running' })
  t.same(bench.states().a, 'fetched')
  bench.live(2000)
  t.equal(bench.states().a, 'installing', 'once more')
  bench.comeBack('a', { upgrade: { ...OLD.upgrade!, outcome: wentBack(first) } })
  t.equal(bench.states().a, 'installing', 'of which that says nothing')
  bench.comeBack('a', { upgrade: { ...OLD.upgrade!, outcome: wentBack(bench.attempt('a')) } })
  t.match(bench.view.upgrade(), { state: 'stopped' }, 'and not for ever')
})

t.test(
  'a second upgrade waits for the first; stopping lets those end that have begun',
  async (t) => {
    const bench = new UpgradeBench(['a', 'b', 'c'])
    bench.upgrade()
    const before = bench.view.upgrade()!.id
    t.match(bench.view.upgradeProblem(WISH), { code: 'upgrade-running' })
    bench.fetchAll()
    bench.step({ type: 'upgrade-demanded', demand: 'stop' })
    t.match(bench.view.upgrade(), { state: 'stopped', stopped: { code: 'by-operator' } })
    bench.upgrade()
    t.equal(bench.view.upgrade()!.id, before, 'one still installs')
    bench.comeBack('a', NEW)
    bench.minute()
    t.same(bench.states(), { a: 'done', b: 'fetched', c: 'fetched' })
    bench.upgrade()
    t.not(bench.view.upgrade()!.id, before)
  },
)

t.test('a wave waits for its pause', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c'])
  bench.upgrade({ pauseMs: 300_000 })
  bench.fetchAll()
  bench.comeBack('a', NEW)
  bench.minute()
  t.match(bench.view.upgrade(), { waits_for: 'pause', canary_done: true })
  bench.live(290_000)
  t.equal(bench.states().b, 'fetched')
  bench.live(20_000)
  t.equal(bench.states().b, 'installing')
})

t.test('a gateway that is started anew between two waves goes on with the next', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c'])
  bench.upgrade({ pauseMs: 100_000 })
  bench.fetchAll()
  bench.comeBack('a', NEW)
  bench.minute()
  t.same(bench.states(), { a: 'done', b: 'fetched', c: 'fetched' })
  bench.start()
  bench.hello('a', NEW)
  bench.hello('b', OLD)
  bench.hello('c', OLD)
  bench.live(90_000)
  t.match(bench.view.upgrade(), { canary_done: true, waits_for: 'pause' })
  t.same(bench.told('install'), [])
  bench.live(20_000)
  t.same(bench.told('install'), ['b'], 'and b did not fetch again')
  bench.comeBack('b', NEW)
  bench.live(200_000)
  t.same(bench.states(), { a: 'done', b: 'done', c: 'installing' })
})

t.test('one that has left is not waited for', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c'])
  bench.hello('d', OLD)
  bench.upgrade({ only: ['d' as NodeId] })
  bench.step({ type: 'drain-requested', node: 'd' as NodeId, isWanted: true })
  bench.live(10_000)
  t.match(bench.view.node('d' as NodeId), { state: 'left' })
  t.match(bench.view.upgrade(), { state: 'done', nodes: [{ state: 'skipped', code: 'node-left' }] })
})

t.test('one that is forgotten is no target any more', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c'])
  bench.hello('d', OLD)
  bench.close('d')
  bench.live(100_000, ['a', 'b', 'c'])
  bench.upgrade({ only: ['d' as NodeId] })
  bench.step({ type: 'removal-requested', node: 'd' as NodeId })
  bench.wait(50)
  t.match(bench.view.upgrade(), { state: 'done', nodes: [] })
})

t.test('a share of the fleet is a node at least', async (t) => {
  t.equal(sizeOf({ percent: 10 }, 55), 5)
  t.equal(sizeOf({ percent: 1 }, 55), 1)
  t.equal(sizeOf({ nodes: 7 }, 55), 7)
})

t.test('one that goes while it fetches is waited for', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c', 'd', 'e'])
  bench.upgrade()
  t.same(bench.told('wait'), ['a', 'b', 'c', 'd'])
  for (const name of ['b', 'c', 'd']) bench.tell(name, { t: 'fetched', sha256: PACKAGE.sha256 })
  bench.close('a')
  bench.live(11 * MINUTE_MS, ['b', 'c', 'd', 'e'])
  t.equal(bench.states().a, 'waiting')
  bench.hello('a', OLD)
  bench.wait(50)
  t.same(bench.told('wait'), ['a'])
})

t.test('what was being fetched for one that was stopped does not hold up the next', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c', 'd', 'e'])
  bench.upgrade()
  t.same(bench.told('wait'), ['a', 'b', 'c', 'd'])
  bench.step({ type: 'upgrade-demanded', demand: 'stop' })
  bench.upgrade({ version: '0.3.0', packages: { armhf: { ...PACKAGE, sha256: 'b2'.repeat(32) } } })
  t.same(bench.told('wait'), ['a', 'b', 'c', 'd'])
})

t.test('who comes back without the package waits behind those that had no place yet', async (t) => {
  const bench = new UpgradeBench(['a', 'b', 'c', 'd', 'e', 'f'])
  bench.upgrade()
  t.same(bench.told('wait'), ['a', 'b', 'c', 'd'])
  for (const name of ['b', 'a', 'c']) bench.hello(name, OLD)
  bench.wait(50)
  t.same(bench.told('wait'), ['b', 'e', 'f'])
  bench.tell('c', { t: 'fetched', sha256: PACKAGE.sha256 })
  t.equal(bench.states().c, 'fetched', 'it got on without a place')
  bench.tell('e', { t: 'fetched', sha256: PACKAGE.sha256 })
  bench.wait(50)
  t.same(bench.told('wait'), ['a'])
})

t.test('the time of a fetch ends when a board was last heard, not at its death', async (t) => {
  const names = ['a', 'b', 'c', 'd', 'e']
  const bench = new UpgradeBench(names, { deadAfterMs: 8 * MINUTE_MS })
  bench.upgrade()
  t.same(bench.told('wait'), ['a', 'b', 'c', 'd'])
  for (const name of ['b', 'c', 'd']) bench.tell(name, { t: 'fetched', sha256: PACKAGE.sha256 })
  bench.live(MINUTE_MS)
  bench.live(8.5 * MINUTE_MS, names.slice(1))
  t.equal(bench.view.node('a' as NodeId)!.state, 'dead')
  t.equal(bench.states().a, 'waiting')
  bench.hello('a', OLD)
  bench.wait(50)
  t.same(bench.told('wait'), ['a'])
  bench.live(8 * MINUTE_MS)
  t.equal(bench.states().a, 'fetching', 'it had one of ten minutes before')
  bench.live(MINUTE_MS + 1000)
  t.equal(bench.states().a, 'skipped')
})

t.test('four that never stay for ten minutes do not hold up an upgrade for ever', async (t) => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const restless = names.slice(0, 4)
  const bench = new UpgradeBench(names)
  bench.upgrade()
  const installed = new Set<string>()
  for (let round = 0; round < 8; round++) {
    for (const name of restless) bench.hello(name, OLD)
    bench.wait(50)
    for (const name of bench.told('wait')) {
      if (!restless.includes(name)) bench.tell(name, { t: 'fetched', sha256: PACKAGE.sha256 })
    }
    for (let minute = 0; minute < 9; minute++) {
      bench.live(MINUTE_MS)
      for (const name of bench.told('install')) installed.add(name)
    }
  }
  t.same([...installed], ['e'], 'one goes ahead')
  t.match(bench.view.upgrade()!.nodes[0], { node: 'a', state: 'skipped', code: 'fetch-timeout' })
})
