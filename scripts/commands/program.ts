import { Command, CommanderError } from 'commander'
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
import { type Asked, type AskedHere, CommandGroup } from './command-place.ts'
import { commandTree, type TreeCommand } from './command-tree.ts'
import { trust } from './detector.ts'
import type { EnrolFlags } from './enroll.ts'
import { addFleetCommands } from './fleet.ts'
import { addGridCommands } from './grid.ts'
import { addLoginCommands } from './login.ts'
import { addNodeCommands } from './node.ts'
import { addOslCommands } from './osl.ts'
import type { OwnPrograms } from './own-programs.ts'
import { exitCodeOf, wordsOf } from './refusal.ts'
import { addRingCommands } from './ring.ts'
import { addSealCommands } from './seal.ts'
import type { SecureFlags } from './secure.ts'
import { addSecurityCommands } from './security.ts'
import { addShellCommands } from './shell.ts'
import { printableLines, type Streams } from './streams.ts'
import { addSub } from './sub.ts'
import { addTaskCommands } from './task.ts'
import { addTokenCommands } from './token.ts'
import { addTop } from './top.ts'
import { nameUsage, usageLine } from './usage-line.ts'
import { addUserCommands } from './user.ts'

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
  programs: OwnPrograms = NOT_HERE,
): Promise<number> {
  let code: number = EXIT_DONE
  const program = buildProgram(streams, version, programs, (result) => {
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
  return commandTree(buildProgram(streams, '', NOT_HERE, none.write))
}

async function* nobody(): AsyncGenerator<string> {}

async function notHere(): Promise<never> {
  throw fault('not-installed', 'that program is not on this machine')
}

const NOT_HERE: OwnPrograms = {
  ...{ enrol: notHere, makeKeys: notHere, restore: notHere },
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
  version: string,
  programs: OwnPrograms,
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
  const obelisk = new CommandGroup(program, streams, done)
  for (const [name, about] of Object.entries(PROGRAMS)) {
    const group = obelisk.group(name, about)
    if (name === 'gateway') addGatewayWords(group, programs)
    else if (name === 'agent') addEnroll(group, programs)
    else group.command.helpOption(false).allowUnknownOption()
  }
  addTaskCommands(obelisk)
  addNodeCommands(obelisk)
  addRingCommands(obelisk)
  addGridCommands(obelisk)
  addOslCommands(obelisk)
  addTokenCommands(obelisk)
  addUserCommands(obelisk)
  addLoginCommands(obelisk)
  addCaCommands(obelisk, programs)
  addBackupCommands(obelisk, programs)
  addSealCommands(obelisk)
  addSub(obelisk)
  addSecurityCommands(obelisk)
  addBoardCommands(obelisk)
  addFleetCommands(obelisk)
  addTop(obelisk)
  addShellCommands(obelisk, version)
  nameUsage(program)
  return program
}

function addGatewayWords(gateway: CommandGroup, { makeKeys }: OwnPrograms): void {
  // A word to a gateway that runs; `obelisk gateway` alone is that program.
  gateway
    .asks('trust', trust)
    .description('tell the gateway that what it sees of the fleet is true: it ends its doubts')
  // Never reached: obelisk.ts starts the gateway for it. Here for its help.
  gateway
    .does('recover', notHere)
    .description('run the gateway, and rebuild a lost ledger from what the nodes hold')
    .option('--nodes <n>', 'how many nodes there are: so many are waited for')
    .allowUnknownOption()
  gateway
    .does('secure', async ({ flags, streams }: AskedHere<SecureFlags>) => {
      const { secure } = await import('./secure.ts')
      return await secure(flags, streams, makeKeys)
    })
    .description('make the keys with which a gateway may listen beyond this machine')
    .option('--host <address>', 'where it is to listen: 0.0.0.0 for everywhere')
    .option('--http-host <address>', 'where HTTP is to, for commands and browsers elsewhere')
    .option('--data <directory>', 'of a gateway that is no service of this machine')
}

function addEnroll(agent: CommandGroup, { enrol }: OwnPrograms): void {
  agent
    .does('enroll', async ({ flags, words, streams }: Asked<EnrolFlags>) => {
      const { enroll } = await import('./enroll.ts')
      return await enroll(flags, words, streams, enrol)
    })
    .description('give the agent of this machine its identity, or another one')
    .usage('[options] [options of the agent]')
    .option('--token-file <file>', 'of obelisk token create, "-" reads it from stdin')
    .option('--again', 'it has one, whose place the new one takes')
    .option('--data <directory>', 'of an agent that is no service of this machine')
    .allowUnknownOption()
    .allowExcessArguments()
}
