/** `obelisk demo`: the composition root of the demo: arguments, signals, the story, the end. */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, messageOf } from '../../shared/runtime/errors.ts'
import { usage } from '../fault.ts'
import { colourDepthOf, Ink } from './colours.ts'
import { DEMO_OPTIONS } from './demo-options.ts'
import { Display } from './display.ts'
import { Fleet } from './fleet.ts'
import { FleetError, type FleetProcess } from './fleet-process.ts'
import { Rain } from './rain.ts'
import { type Findings, Story } from './story.ts'
import { keepLines, summaryOf } from './summary.ts'

const HELP = `Usage: obelisk demo [options]

Runs a gateway and 4 agents on this machine, each a process of its own in a temporary folder. Loads a
map of the world's rain into their grid, streams tasks over it, kills an agent and the gateway in the
middle of that, and checks that nothing was lost and nothing happened twice.

Options:
${DEMO_OPTIONS.map(({ flags, value, about }) => `  ${`${flags} ${value}`.padEnd(15)}  ${about}`).join('\n')}
  -h, --help       show this
`

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

interface DemoOptions {
  readonly isKept: boolean
  readonly streamMs: number
  readonly seed: number
}

/** Somebody asked for the end. */
class Interruption extends Error {}

export async function run(
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<number> {
  const options = readOptions(argv)
  if (options === undefined) {
    process.stdout.write(HELP)
    return EXIT_DONE
  }
  return new Demo(options, environment).run()
}

class Demo {
  readonly #options: DemoOptions
  readonly #display: Display
  readonly #fleet: Fleet
  readonly #rain = Rain.load()
  /** Rejects when the demo cannot go on: a process lost, a promise broken, a signal. */
  readonly #stopped: Promise<never>
  #stop: (error: Error) => void = () => {}

  constructor(options: DemoOptions, environment: NodeJS.ProcessEnv) {
    this.#options = options
    this.#display = displayFor(environment)
    this.#stopped = new Promise<never>((_resolve, reject) => {
      this.#stop = reject
    })
    // It may be rejected while nobody waits for it.
    this.#stopped.catch(() => {})
    this.#fleet = new Fleet(this.#rain.geometry, environment, (error) => this.#stop(error))
  }

  async run(): Promise<number> {
    let isStopping = false
    const onSignal = (): void => {
      // Asked twice: without waiting for anybody.
      if (isStopping) this.#fleet.abandon()
      isStopping = true
      this.#stop(new Interruption('interrupted'))
    }
    const onExit = (): void => this.#fleet.abandon()
    for (const signal of SIGNALS) process.on(signal, onSignal)
    process.on('exit', onExit)
    // Whoever read our output has gone: `obelisk demo | head`.
    process.stdout.on('error', () => this.#stop(new Interruption('nobody reads this')))
    try {
      return await this.#perform()
    } catch (error) {
      if (error instanceof Interruption) {
        this.#display.say(`\n${error.message}: ending the fleet`)
        return EXIT_INTERRUPTED
      }
      this.#explain(error)
      return EXIT_FAILED
    } finally {
      await this.#fleet.close()
      process.off('exit', onExit)
      for (const signal of SIGNALS) process.off(signal, onSignal)
    }
  }

  async #perform(): Promise<number> {
    const { seed, streamMs, isKept } = this.#options
    const { ink } = this.#display
    this.#display.say(
      ink.stress('bold', 'Obelisk: a gateway and 4 agents, 5 processes on this machine'),
    )
    this.#display.say(ink.stress('dim', `folder ${this.#fleet.folder}, seed ${seed}`))
    const story = new Story({ seed, streamMs }, this.#fleet, this.#rain, this.#display, this.#stop)
    const findings = await Promise.race([story.tell(), this.#stopped])
    this.#display.say('')
    for (const line of summaryOf(findings, ink)) this.#display.say(line)
    const isSound = findings.checks.every(({ problem }) => problem === undefined)
    if (!isSound) this.#showLog(this.#fleet.gateway)
    if (isKept) await this.#keep(findings)
    return isSound ? EXIT_DONE : EXIT_FAILED
  }

  /** Serves until somebody ends it. */
  async #keep({ killed }: Findings): Promise<void> {
    await Promise.race([this.#fleet.startAgent(killed), this.#stopped])
    for (const line of keepLines(this.#fleet.ports, killed)) this.#display.say(line)
    // A pending promise alone does not keep a process.
    const timer = setInterval(() => {}, 60_000)
    try {
      await this.#stopped
    } catch (error) {
      if (!(error instanceof Interruption)) throw error
    } finally {
      clearInterval(timer)
    }
  }

  #explain(error: unknown): void {
    const text = error instanceof FleetError ? error.message : describe(error)
    this.#display.say(`\n${this.#display.ink.stress('bad', `The demo failed: ${text}`)}`)
    this.#showLog(error instanceof FleetError ? error.process : this.#fleet.gateway)
  }

  #showLog({ name, lastLines }: FleetProcess): void {
    if (lastLines.length === 0) return
    this.#display.say(`\nThe last lines of the log of ${name}:`)
    for (const line of lastLines) this.#display.say(`  ${line}`)
  }
}

/** A bug of the demo is told with its place. */
function describe(error: unknown): string {
  const isBug = error instanceof TypeError || error instanceof RangeError
  return isBug ? (error.stack ?? error.message) : messageOf(error)
}

function displayFor(environment: NodeJS.ProcessEnv): Display {
  const { stdout } = process
  const isPlain = !stdout.isTTY || environment.TERM === 'dumb'
  const depth = isPlain ? 'none' : colourDepthOf(stdout.getColorDepth(environment), environment)
  return new Display((text) => stdout.write(text), new Ink(depth), stdout.columns)
}

function readOptions(argv: readonly string[]): DemoOptions | undefined {
  const { values } = parse(argv)
  if (values.help) return undefined
  return {
    isKept: values.keep ?? false,
    streamMs: wholeOf('seconds', values.seconds ?? '8', 3, 600) * 1000,
    seed: wholeOf('seed', values.seed ?? String(randomInt(2 ** 32)), 0, 2 ** 32 - 1),
  }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        keep: { type: 'boolean' },
        seconds: { type: 'string' },
        seed: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw usage(`${messageOf(error)} (obelisk demo --help says more)`)
  }
}

function wholeOf(name: string, text: string, min: number, max: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN
  if (value >= min && value <= max) return value
  throw usage(`--${name}: "${text}" is not a whole number from ${min} to ${max}`)
}
