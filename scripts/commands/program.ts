import { Command, CommanderError } from 'commander'
import type { GatewayClient } from '../../shared/client/http.ts'
import { ObeliskError } from '../../shared/client/obelisk-error.ts'
import {
  AppError,
  EXIT_DONE,
  EXIT_FAILED,
  EXIT_USAGE,
  messageOf,
} from '../../shared/runtime/errors.ts'
import { fault } from '../fault.ts'
import { addBackupCommands } from './backup.ts'
import { addBoardCommands } from './board.ts'
import { addCaCommands } from './ca.ts'
import type { CommandPlace, Flags } from './command-place.ts'
import { commandTree, type TreeCommand } from './command-tree.ts'
import { trust } from './detector.ts'
import type { Enrol } from './enroll.ts'
import { addFleetCommands } from './fleet.ts'
import { clientFor, HTTP_DEFAULT } from './gateway-at-hand.ts'
import type { GatewayParts } from './gateway-parts.ts'
import { addGridCommands } from './grid.ts'
import { addLoginCommands } from './login.ts'
import { addNodeCommands } from './node.ts'
import { exitCodeOf, wordsOf } from './refusal.ts'
import { addRingCommands } from './ring.ts'
import { addSealCommands } from './seal.ts'
import { addSecurityCommands } from './security.ts'
import { addShellCommands } from './shell.ts'
import { printableLines, type Streams } from './streams.ts'
import { addSub } from './sub.ts'
import { addTaskCommands } from './task.ts'
import { addTokenCommands } from './token.ts'
import { addTop } from './top.ts'
import { nameUsage, usageLine } from './usage-line.ts'
import { addUserCommands } from './user.ts'

/** What a command has another program of this machine do. */
interface OwnPrograms {
  readonly version: string
  readonly gatewayParts: GatewayParts
  readonly enrol: Enrol
}

/** Commands that read their own arguments; they never reach commander but in its help. */
export const PROGRAMS = {
  gateway: 'run the gateway (obelisk gateway --help)',
  agent: 'run the agent (obelisk agent --help)',
  demo: 'run a gateway and some agents on this machine, and a task (obelisk demo --help)',
} as const

/** Runs a user command and answers with its exit code. Never throws. */
export async function runCommand(
  argv: readonly string[],
  streams: Streams,
  version: string,
  gatewayParts: GatewayParts = NOT_HERE,
  enrol: Enrol = notHere,
): Promise<number> {
  let code: number = EXIT_DONE
  const program = buildProgram(streams, { version, gatewayParts, enrol }, (result) => {
    code = result
  })
  let acting = program
  program.hook('preAction', (_program, action) => {
    acting = action
  })
  try {
    await program.parseAsync(asAsked(program, argv), { from: 'user' })
    return code
  } catch (error) {
    // Commander has said what is wrong already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_DONE : EXIT_USAGE
    const isRefused = error instanceof ObeliskError
    const words = isRefused ? wordsOf(error) : messageOf(error)
    streams.stderr.write(`error: ${printableLines(words)}\n`)
    if (isRefused) return exitCodeOf(error)
    const exitCode = error instanceof AppError ? error.exitCode : EXIT_FAILED
    if (exitCode === EXIT_USAGE) streams.stderr.write(`${usageLine(acting)}\n`)
    return exitCode
  }
}

/** What there is to type. */
export function ownTree(): TreeCommand {
  const none = { write: () => {} }
  const streams = { stdout: none, stderr: none, stdin: nobody(), environment: {} }
  return commandTree(
    buildProgram(streams, { version: '', gatewayParts: NOT_HERE, enrol: notHere }, none.write),
  )
}

async function* nobody(): AsyncGenerator<string> {}

async function notHere(): Promise<never> {
  throw fault('not-installed', 'that program is not on this machine')
}

const NOT_HERE: GatewayParts = {
  ...{ makeKeys: notHere, restore: notHere },
  ...{ restoreLedger: notHere, checkBackup: notHere },
}

/** `help node rm` asks for what `node rm --help` does. A command that is not there has no help, and is said. */
function asAsked(program: Command, argv: readonly string[]): string[] {
  const words = [...argv]
  let command = program
  for (let at = 0; at < words.length; ) {
    const word = words[at]!
    // What comes then are arguments, which may be called help.
    if (word.startsWith('-') || command.commands.length === 0) break
    if (word === 'help') {
      words.splice(at, 1)
      words.push('--help')
      continue
    }
    const next = command.commands.find((each) => each.name() === word)
    if (next === undefined) {
      // One that takes arguments has been given its first.
      const isGiven = command.registeredArguments.length > 0
      return isGiven ? words : words.filter((each) => each !== '--help' && each !== '-h')
    }
    command = next
    at += 1
  }
  return words
}

function buildProgram(
  streams: Streams,
  { version, gatewayParts, enrol }: OwnPrograms,
  done: (code: number) => void,
): Command {
  const program = new Command('obelisk')
    .description('An embedded runtime for fleets of low-power devices: the work follows the data.')
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => streams.stdout.write(text),
      writeErr: (text) => streams.stderr.write(text),
    })
  const place: CommandPlace = {
    ...{ program, streams, withHttp, done },
    gatewayFor: (flags) => gatewayFor(flags, streams),
    later: (load) => async (flags) => done(await (await load())(flags, streams)),
    asks:
      (deed) =>
      async (...given) => {
        const flags = (given.pop() as Command).optsWithGlobals()
        // Commander's own of the same.
        given.pop()
        const asked = { gateway: gatewayFor(flags, streams), streams, flags: flags as never }
        done(await deed(asked, ...(given as never[])))
      },
  }
  for (const [name, about] of Object.entries(PROGRAMS)) {
    const command = program.command(name).description(about)
    if (name === 'gateway') {
      addTrust(command, place)
      addRecover(command)
      addSecure(command, place, gatewayParts)
    } else if (name === 'agent') addEnroll(command, place, enrol)
    else command.helpOption(false).allowUnknownOption()
  }
  addTaskCommands(place)
  addNodeCommands(place)
  addRingCommands(place)
  addGridCommands(place)
  addTokenCommands(place)
  addUserCommands(place)
  addLoginCommands(place)
  addCaCommands(place, gatewayParts)
  addBackupCommands(place, gatewayParts)
  addSealCommands(place)
  addSub(place)
  addSecurityCommands(place)
  addBoardCommands(place)
  addFleetCommands(place)
  addTop(place)
  addShellCommands(place, version)
  nameUsage(program)
  return program
}

/** A word to a gateway that runs; `obelisk gateway` alone is that program. */
function addTrust(gateway: Command, { asks }: CommandPlace): void {
  withHttp(gateway.command('trust'))
    .description('tell the gateway that what it sees of the fleet is true: it ends its doubts')
    .action(asks(trust))
}

/** Never reached: obelisk.ts starts the gateway for it. Here for its help. */
function addRecover(gateway: Command): void {
  gateway
    .command('recover')
    .description('run the gateway, and rebuild a lost ledger from what the nodes hold')
    .option('--nodes <n>', 'how many nodes there are: so many are waited for')
    .allowUnknownOption()
}

function addEnroll(agent: Command, { streams, done }: CommandPlace, enrol: Enrol): void {
  agent
    .command('enroll')
    .description('give the agent of this machine its identity, or another one')
    .usage('[options] [options of the agent]')
    .option('--token-file <file>', 'of obelisk token create, "-" reads it from stdin')
    .option('--again', 'it has one, whose place the new one takes')
    .option('--data <directory>', 'of an agent that is no service of this machine')
    .allowUnknownOption()
    .allowExcessArguments()
    .action(async (flags, command: Command) => {
      const { enroll } = await import('./enroll.ts')
      done(await enroll(flags, command.args, streams, enrol))
    })
}

function addSecure(
  gateway: Command,
  { streams, done }: CommandPlace,
  { makeKeys }: GatewayParts,
): void {
  gateway
    .command('secure')
    .description('make the keys with which a gateway may listen beyond this machine')
    .option('--host <address>', 'where it is to listen: 0.0.0.0 for everywhere')
    .option('--http-host <address>', 'where HTTP is to, for commands and browsers elsewhere')
    .option('--data <directory>', 'of a gateway that is no service of this machine')
    .action(async (flags) => {
      const { secure } = await import('./secure.ts')
      done(await secure(flags, streams, makeKeys))
    })
}

type HttpFlags = Flags<'http', 'json'>

const DEFAULT = `the socket of a secured gateway on this machine, else that of the login, else ${HTTP_DEFAULT}`

function withHttp(command: Command): Command {
  return command
    .option('--http <url>', `the gateway's HTTP address (OBELISK_HTTP; default ${DEFAULT})`)
    .option('--json', 'print JSON')
}

function gatewayFor(flags: HttpFlags, streams: Streams): GatewayClient {
  return clientFor(flags.http, streams.environment)
}
