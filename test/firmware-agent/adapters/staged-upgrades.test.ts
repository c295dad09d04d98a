/** What a board asks root for, and what it makes of the answers: each is of one attempt of the gateway. */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { StagedUpgrades } from '../../../firmware-agent/adapters/staged-upgrades.ts'
import { Random } from '../../../shared/core/random.ts'
import type { UpgradeOrder, UpgradeUp } from '../../../shared/protocol/upgrade-messages.ts'
import { eventually } from '../../support/processes.ts'

const PACKAGE = Buffer.from('a package')
const SHA256 = createHash('sha256').update(PACKAGE).digest('hex')
const ORDER: UpgradeOrder = {
  ...{ t: 'upgrade', version: '2.0.0', sha256: SHA256, bytes: PACKAGE.length, next: 'install' },
}

interface Asked {
  readonly id: string
  readonly attempt?: string
}

/** The package lies there already. */
class Bench {
  readonly folder: string
  readonly outcomes: string
  readonly said: UpgradeUp[] = []
  readonly #t: Test
  upgrades: StagedUpgrades
  /** How many were written. */
  requests = 0
  /** To fetch a package. */
  failures = 0

  constructor(t: Test) {
    this.#t = t
    const directory = t.testdir({ upgrade: {}, run: {} })
    this.folder = join(directory, 'upgrade')
    this.outcomes = join(directory, 'run')
    writeFileSync(join(this.folder, `${SHA256}.tar.gz`), PACKAGE)
    this.upgrades = this.start()
  }

  /** As another process of the agent. */
  start(askAgainMs = 600_000): StagedUpgrades {
    this.upgrades?.close()
    const { folder, outcomes } = this
    const random = new Random(Math.floor(performance.now()))
    const program = { version: '1.0.0', architecture: 'armhf', url: 'mqtt://127.0.0.1:1' }
    const write = (line: string): void => {
      if (line.includes('"upgrade-asked"')) this.requests += 1
      if (line.includes('"fetch-broken"')) this.failures += 1
    }
    const log = pino({ level: 'info' }, { write })
    this.upgrades = new StagedUpgrades(
      { ...program, folder, outcomes, random, pollMs: 1, retryMs: 20, askAgainMs },
      log,
    )
    this.#t.teardown(() => this.upgrades.close())
    return this.upgrades
  }

  get asked(): Asked {
    return JSON.parse(readFileSync(join(this.folder, 'request.json'), 'utf8')) as Asked
  }

  take(attempt: string | undefined): void {
    const order = { ...ORDER, ...(attempt === undefined ? {} : { attempt }) }
    this.upgrades.take(order, (said) => this.said.push(said))
  }

  /** Orders it, and waits until root is asked for this attempt. */
  async order(attempt: string): Promise<Asked> {
    this.take(attempt)
    return await eventually('it asks', () => {
      try {
        return this.asked.attempt === attempt && this.asked
      } catch {
        return false
      }
    })
  }

  /** What root writes. */
  answer(outcome: string, { id } = this.asked): void {
    const told = { request: id, sha256: SHA256, outcome }
    writeFileSync(join(this.outcomes, 'outcome.json'), JSON.stringify(told))
  }

  async told(count = 1): Promise<UpgradeUp> {
    await eventually('it says so', () => this.said.length === count)
    return this.said.at(-1)!
  }
}

t.test(
  'what became of an attempt is said of it, by the process that comes after too',
  async (t) => {
    const bench = new Bench(t)
    await bench.order('first')
    t.equal(bench.upgrades.outcome, undefined)
    bench.answer('went-back')
    const outcome = { sha256: SHA256, attempt: 'first', outcome: 'went-back' }
    t.same(await bench.told(), { t: 'upgraded', outcome })
    t.same(bench.start().outcome, outcome)
  },
)

t.test('another attempt is asked for anew, and the same one is not', async (t) => {
  const bench = new Bench(t)
  const first = await bench.order('first')
  bench.answer('went-back')
  await bench.told()
  bench.take('first')
  t.match(await bench.told(2), { outcome: { attempt: 'first' } }, 'its outcome is said again')
  t.same(bench.asked, first)
  const second = await bench.order('second')
  t.not(second.id, first.id)
  t.equal(bench.upgrades.outcome, undefined, 'and the outcome of the first is none of it')
})

t.test('what root is at is of the attempt that follows', async (t) => {
  const bench = new Bench(t)
  const first = await bench.order('first')
  bench.start()
  const second = await bench.order('second')
  t.equal(second.id, first.id, 'root may know it by this name')
  bench.answer('refused')
  t.match(await bench.told(), { outcome: { attempt: 'second', outcome: 'refused' } })
})

t.test('a gateway of before attempts is told of none, and each of its orders is one', async (t) => {
  const bench = new Bench(t)
  bench.take(undefined)
  const first = await eventually('it asks', () => {
    try {
      return bench.asked
    } catch {
      return undefined
    }
  })
  bench.answer('went-back')
  t.same(await bench.told(), { t: 'upgraded', outcome: { sha256: SHA256, outcome: 'went-back' } })
  bench.take(undefined)
  await eventually('it asks anew', () => bench.asked.id !== first.id)
})

t.test('a request without an answer is written again, a few times', async (t) => {
  const bench = new Bench(t)
  bench.start(0)
  const { id } = await bench.order('first')
  await eventually('it has asked three times', () => bench.requests === 3)
  t.equal(bench.asked.id, id)
  bench.answer('ready')
  await bench.told()
  t.equal(bench.requests, 3)
})

t.test('another package is fetched while root does not answer', async (t) => {
  const bench = new Bench(t)
  await bench.order('first')
  const other = Buffer.from('another package')
  const sha256 = createHash('sha256').update(other).digest('hex')
  // Nobody is there to fetch it from.
  const order = { ...ORDER, version: '3.0.0', sha256, bytes: other.length, next: 'wait' } as const
  bench.upgrades.take(order, (said) => bench.said.push(said))
  await eventually('it has tried in vain', () => bench.failures > 0)
  writeFileSync(join(bench.folder, `${sha256}.tar.gz`), other)
  t.same(await bench.told(), { t: 'fetched', sha256 })
})

t.test('a disk that takes no request is no end of the agent', async (t) => {
  const bench = new Bench(t)
  // In its place, what cannot be replaced.
  mkdirSync(join(bench.folder, 'request.json', 'full'), { recursive: true })
  bench.take('first')
  t.same(await bench.told(), {
    t: 'upgraded',
    outcome: { sha256: SHA256, attempt: 'first', outcome: 'refused', code: 'fetch-failed' },
  })
})
