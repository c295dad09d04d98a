/** Where the commands of one kind are put into the program, and what they have to do with. */
import type { Command } from 'commander'
import type { GatewayClient } from '../../shared/client/http.ts'
import { EXIT_DONE } from '../../shared/runtime/errors.ts'
import { printable, type Streams } from './streams.ts'

/** What commander makes of options: texts of those that take a value, of others whether they are given. */
export type Flags<Text extends string, Switch extends string = never> = {
  readonly [name in Text]?: string
} & { readonly [name in Switch]?: boolean }

/** What a command has that talks to a gateway. */
export interface Asked<F extends object = object> {
  readonly gateway: GatewayClient
  readonly streams: Streams
  readonly flags: F & Flags<never, 'json'>
}

/** With the arguments of its command; resolves with the exit code. */
type Deed<F extends object> = (asked: Asked<F>, ...given: never[]) => Promise<number> | number

type LoadedDeed<F> = (flags: F, streams: Streams) => Promise<number>

export interface CommandPlace {
  readonly program: Command
  readonly streams: Streams
  /** Gives a command the options that say where the gateway is. */
  readonly withHttp: (command: Command) => Command
  readonly gatewayFor: (flags: object) => GatewayClient
  /** The action of a command that has these options; those of the commands above it count, too. */
  readonly asks: <F extends object>(deed: Deed<F>) => (...given: unknown[]) => Promise<void>
  /** The action of a command that needs no gateway, and is loaded only when it is asked for. */
  readonly later: <F>(load: () => Promise<LoadedDeed<F>>) => (flags: F) => Promise<void>
  /** With the exit code. */
  readonly done: (code: number) => void
}

/** What a flag says, read; nothing where it is not given. */
export function given<T>(flag: string | undefined, read: (text: string) => T): T | undefined {
  return flag === undefined ? undefined : read(flag)
}

/** Of what is given. */
export function queryOf(flags: Readonly<Record<string, string | undefined>>): URLSearchParams {
  return new URLSearchParams(
    Object.entries(flags).filter((pair): pair is [string, string] => pair[1] !== undefined),
  )
}

/** Prints an answer: as JSON where that is asked for, else as the text, a whole one with its end of line. */
export function show(
  { streams, flags }: Pick<Asked, 'streams' | 'flags'>,
  answer: unknown,
  text: string | (() => string),
): number {
  const said = typeof text === 'string' ? text : flags.json ? '' : text()
  streams.stdout.write(flags.json ? `${JSON.stringify(answer)}\n` : said)
  return EXIT_DONE
}

/** Has the gateway take something away, and says that it is gone. */
export async function remove(asked: Asked, path: string, said: string): Promise<number> {
  return say(asked, await asked.gateway.json({ method: 'DELETE', path }), said)
}

/** The same in a sentence. */
export function say(
  asked: Pick<Asked, 'streams' | 'flags'>,
  answer: unknown,
  text: string,
): number {
  return show(asked, answer, `${printable(text)}\n`)
}
