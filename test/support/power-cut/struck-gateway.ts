/** A gateway that is killed at a certain write of its ledger: one by one, each moment at which it may end. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildShim } from '../preloaded.ts'
import { type Fleet, type Gateway, PROGRAM, within } from '../processes.ts'

const SOURCE = fileURLToPath(new URL('shim.c', import.meta.url))

export class StruckGateway {
  readonly gateway: Gateway
  readonly #mark: string

  /** Nothing, and why, if the library cannot be built or preloaded here. */
  static obstacle(directory: string): string | undefined {
    return buildShim(SOURCE, join(directory, 'shim.so'))
  }

  /** `directory` has what `obstacle` left there. */
  static async start(
    fleet: Fleet,
    directory: string,
    ...argv: readonly string[]
  ): Promise<StruckGateway> {
    const mark = join(fleet.directory, 'strike')
    const variables = {
      LD_PRELOAD: join(directory, 'shim.so'),
      POWER_CUT_ROOT: fleet.directory,
      POWER_CUT_STRIKE: mark,
    }
    const gateway = await fleet.gatewayBy(
      (all) => fleet.command(process.execPath, [PROGRAM, ...all], variables),
      ...argv,
    )
    return new StruckGateway(gateway, mark)
  }

  private constructor(gateway: Gateway, mark: string) {
    this.gateway = gateway
    this.#mark = mark
  }

  /**
   * Kills it at its first write from now on during `act`, then at the second, and so on, until `act` comes to its end
   * without that. After each, once it is up again, `look` is told what `act` gave before, if it had come so far.
   * Returns how often it was killed.
   */
  async atEachWrite<T>(
    act: () => Promise<T>,
    look: (answer: T | undefined) => Promise<void>,
    { first = 1, every = 1 } = {},
  ): Promise<number> {
    for (let kills = 0; ; kills++) {
      const write = first + kills * every
      writeFileSync(this.#mark, `${write}`)
      const answer = await act().catch(() => undefined)
      // A process that counted starts anew with the next.
      const isStruck = this.gateway.run.hasExited || answer === undefined
      rmSync(this.#mark)
      if (!isStruck) await this.gateway.run.kill()
      await within('its end', this.gateway.run.exited)
      await this.gateway.restart()
      await look(answer)
      if (!isStruck) return kills
    }
  }
}
