/** Where the commands of one kind are put into the program, and what they have to do with. */
import type { Command, CommandOptions } from 'commander'
import type { GatewayClient } from '../../shared/client/http.ts'
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import { clientFor, HTTP_DEFAULT } from './gateway-at-hand.ts'
import { printable, type Streams } from './streams.ts'

/** What commander makes of options: texts of those that take a value, of others whether they are given. */
export type Flags<Text extends string, Switch extends string = never> = {
  readonly [name in Text]?: string
} & { readonly [name in Switch]?: boolean }

/** What a command has to do with. */
export interface Asked<F extends object = object> {
  /** That of the flags, or the one at hand. */
  readonly gateway: GatewayClient
  readonly streams: Streams
  readonly flags: F & Flags<never, 'json'>
  /** All that was given but for the options that it knows. */
  readonly words: readonly string[]
}

/** The same of a command that asks no gateway. */
export type AskedHere<F extends object = object> = Pick<Asked<F>, 'streams' | 'flags'>

/** With the arguments of its command; resolves with the exit code. */
type Deed<F extends object> = (asked: Asked<F>, ...given: never[]) => Promise<number> | number

const DEFAULT = `the socket of a secured gateway on this machine, else that of the login, else ${HTTP_DEFAULT}`

/** Commands below one word. */
export class CommandGroup {
  readonly command: Command
  readonly #streams: Streams
  readonly #done: (code: number) => void

  constructor(command: Command, streams: Streams, done: (code: number) => void) {
    this.command = command
    this.#streams = streams
    this.#done = done
  }

  /** Those of another word, below this one. */
  group(name: string, about: string): CommandGroup {
    return this.below(this.command.command(name).description(about))
  }

  /** Those of a command, below it. */
  below(command: Command): CommandGroup {
    return new CommandGroup(command, this.#streams, this.#done)
  }

  /** A command that asks a gateway. */
  asks<F extends object>(usage: string, deed: Deed<F>): Command {
    return this.does(usage, deed)
      .option('--http <url>', `the gateway's HTTP address (OBELISK_HTTP; default ${DEFAULT})`)
      .option('--json', 'print JSON')
  }

  /** A command; the options of those above it count, too. */
  does<F extends object>(usage: string, deed: Deed<F>, options: CommandOptions = {}): Command {
    const streams = this.#streams
    const command = this.command.command(usage, options)
    return command.action(async (...given: unknown[]) => {
      const flags = command.optsWithGlobals()
      const asked = {
        ...{ streams, flags: flags as never, words: command.args },
        get gateway() {
          return clientFor(flags.http, streams.environment)
        },
      }
      // Behind its arguments come commander's own flags, and the command.
      this.#done(await deed(asked, ...(given.slice(0, -2) as never[])))
    })
  }
}

/** What a command does that is loaded only when it is asked for. */
export function later<F extends object>(
  load: () => Promise<(flags: F, streams: Streams) => Promise<number>>,
): Deed<F> {
  return async ({ flags, streams }) => (await load())(flags, streams)
}

/** What a flag says, read; nothing where it is not given. */
export function given<F, T>(flag: F | undefined, read: (flag: F) => T): T | undefined {
  return flag === undefined ? undefined : read(flag)
}

/** A path of the gateway, around names that may have anything in them. */
export function at(parts: TemplateStringsArray, ...names: readonly string[]): string {
  return String.raw({ raw: parts }, ...names.map(encodeURIComponent))
}

/** Of what is given. */
export function queryOf(flags: Readonly<Record<string, string | undefined>>): URLSearchParams {
  return new URLSearchParams(
    Object.entries(flags).filter((pair): pair is [string, string] => pair[1] !== undefined),
  )
}

/** Prints an answer: as JSON where that is asked for, else as the text, a whole one with its end of line. */
export function show(
  { streams, flags }: AskedHere,
  answer: unknown,
  text: string | (() => string),
): number {
  const said = typeof text === 'string' ? text : flags.json ? '' : text()
  streams.stdout.write(flags.json ? `${JSON.stringify(answer)}\n` : said)
  return EXIT_DONE
}

/** What is asked of it may have to wait its turn. */
const DEMAND_MS = 30_000

/** Has the gateway do something. */
export async function demand<T>(
  gateway: GatewayClient,
  method: 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: object,
): Promise<T> {
  return await gateway.json<T>({ method, path, body, timeoutMs: DEMAND_MS })
}

/** Has the gateway take something away, and says that it is gone. */
export async function remove(asked: Asked, path: string, said: string): Promise<number> {
  return say(asked, await demand(asked.gateway, 'DELETE', path), said)
}

/** The same in a sentence. */
export function say(asked: AskedHere, answer: unknown, text: string): number {
  return show(asked, answer, `${printable(text)}\n`)
}
