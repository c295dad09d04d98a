/** Where the commands of one kind are put into the program, and what they have to do with. */
import type { Command } from 'commander'
import type { GatewayClient } from '../../shared/client/http.ts'
import type { Streams } from './streams.ts'

export interface CommandPlace {
  readonly program: Command
  readonly streams: Streams
  /** Gives a command the options that say where the gateway is. */
  readonly withHttp: (command: Command) => Command
  readonly gatewayFor: (flags: object) => GatewayClient
  /** With the exit code. */
  readonly done: (code: number) => void
}
