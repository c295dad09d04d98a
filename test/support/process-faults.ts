/**
 * What happens to real processes, drawn from a seed: they are killed and started again, also before
 * they are ready, frozen and thawed, and their connections are cut. Nobody is killed for good. What
 * ends without having been killed is a finding of its own.
 */
import type { Random } from '../../shared/core/random.ts'
import { EXIT_NOT_ALLOWED } from '../../shared/runtime/errors.ts'
import type { Agent, Exit, Gateway, Run } from './processes.ts'
import type { TcpRelay } from './tcp-relay.ts'

export interface FaultTargets {
  readonly gateway: Gateway
  readonly agents: readonly Agent[]
  /** Between the gateway and its agents and clients. */
  readonly relays: readonly TcpRelay[]
}

export interface FaultCounts {
  agentKills: number
  gatewayKills: number
  freezes: number
  cuts: number
}

type Victim = Gateway | Agent

/** Longer than the lag in the tests that use this, sometimes. */
const DOWN_MS_MAX = 2500
const SHORTLY_MS_MAX = 300
const FROZEN_MS_MAX = 2500
const CUT_MS_MAX = 1000
/** All start at the same time, perhaps on a machine that does much else. */
export const READY_WITHIN_MS = 120_000

export class ProcessFaults {
  readonly counts: FaultCounts = { agentKills: 0, gatewayKills: 0, freezes: 0, cuts: 0 }
  /** Processes that ended by themselves, and how. */
  readonly ownEnds: string[] = []
  readonly #targets: FaultTargets
  readonly #random: Random
  readonly #down = new Set<Victim>()
  readonly #killed = new Set<Run>()
  #pending: Promise<void>[] = []

  constructor(targets: FaultTargets, random: Random) {
    this.#targets = targets
    this.#random = random
    for (const victim of this.#all) this.#watch(victim)
  }

  get kills(): number {
    return this.counts.agentKills + this.counts.gatewayKills
  }

  /** The next fault; what heals it comes later. */
  async next(): Promise<void> {
    const { gateway, agents, relays } = this.#targets
    const up = agents.filter((agent) => !this.#down.has(agent))
    const drawn = this.#random.integer(100)
    if (drawn < 48) await this.#kill(this.#one(up))
    else if (drawn < 62) await this.#kill(this.#down.has(gateway) ? undefined : gateway)
    else if (drawn < 64) await Promise.all(this.#all.map((victim) => this.#kill(victim)))
    else if (drawn < 76) this.#freeze(this.#one(up))
    else if (drawn < 80) this.#freeze(gateway)
    else this.#cut(this.#one(relays))
  }

  /** Nothing is broken any more. */
  async over(): Promise<void> {
    while (this.#pending.length > 0) await Promise.all(this.#pending.splice(0))
    for (const victim of this.#all) await this.#ready(victim)
  }

  /** Kills everything at one moment; not counted. */
  async killAll(): Promise<void> {
    for (const { run } of this.#all) this.#killed.add(run)
    await Promise.all(this.#all.map(({ run }) => run.kill()))
  }

  /** After that: everything again. */
  async startAll(): Promise<void> {
    for (const victim of this.#all) this.#start(victim)
    for (const victim of this.#all) await victim.ready(READY_WITHIN_MS)
  }

  /** The last packet of a killed agent may be lost: its id is taken then for a while, and its unit tries again. */
  async #ready(victim: Victim): Promise<void> {
    try {
      await victim.ready(READY_WITHIN_MS)
    } catch (error) {
      if (!victim.run.hasExited || !hasIdTaken(await victim.run.exited)) throw error
      this.#start(victim)
      await this.#ready(victim)
    }
  }

  get #all(): Victim[] {
    return [this.#targets.gateway, ...this.#targets.agents]
  }

  #one<T>(all: readonly T[]): T | undefined {
    return all[this.#random.integer(all.length)]
  }

  async #kill(victim: Victim | undefined): Promise<void> {
    if (victim === undefined || this.#down.has(victim)) return
    this.#down.add(victim)
    this.#killed.add(victim.run)
    if (victim === this.#targets.gateway) this.counts.gatewayKills += 1
    else this.counts.agentKills += 1
    await victim.run.kill()
    const isLong = this.#random.integer(4) === 0
    this.#later(this.#random.between(0, isLong ? DOWN_MS_MAX : SHORTLY_MS_MAX), () => {
      this.#start(victim)
      this.#down.delete(victim)
    })
  }

  #freeze(victim: Victim | undefined): void {
    if (victim === undefined) return
    const { run } = victim
    this.counts.freezes += 1
    run.signal('SIGSTOP')
    this.#later(this.#random.between(50, FROZEN_MS_MAX), () => run.signal('SIGCONT'))
  }

  #cut(relay: TcpRelay | undefined): void {
    if (relay === undefined) return
    this.counts.cuts += 1
    relay.cut(this.#random.integer(2) === 0 ? 0 : this.#random.between(0, CUT_MS_MAX))
  }

  #start(victim: Victim): void {
    victim.start()
    this.#watch(victim)
  }

  #watch({ run }: Victim): void {
    void run.exited.then((exit) => {
      if (this.#killed.has(run) || hasIdTaken(exit)) return
      const last = run.stderr.split('\n').slice(-5).join('\n')
      this.ownEnds.push(
        `${run.name} (${run.pid}) ended by itself: ${JSON.stringify(exit)}\n${last}`,
      )
    })
  }

  #later(afterMs: number, act: () => void): void {
    const done = new Promise<void>((resolve) => setTimeout(resolve, afterMs)).then(act)
    this.#pending.push(done)
  }
}

function hasIdTaken({ code }: Exit): boolean {
  return code === EXIT_NOT_ALLOWED
}
