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
import { addBackupCommands } from './backup.ts'
import { addBoardCommands } from './board.ts'
import { addCaCommands } from './ca.ts'
import type { CommandPlace } from './command-place.ts'
import { commandTree, type TreeCommand } from './command-tree.ts'
import { trust } from './detector.ts'
import type { Enrol } from './enroll.ts'
import { addFleetCommands } from './fleet.ts'
import { checkUrl, clientFor, HTTP_DEFAULT, loginFor } from './gateway-at-hand.ts'
import type { GatewayParts } from './gateway-parts.ts'
import { drawGrid, getGrid, putGrid } from './grid.ts'
import { addLoginCommands } from './login.ts'
import { drainNode, listNodes, removeNode, showNode } from './node.ts'
import { showLog } from './node-logs.ts'
import { operationsHelp } from './operations-help.ts'
import { exitCodeOf, wordsOf } from './refusal.ts'
import { listMoves, recreateMissing, showPlan } from './ring.ts'
import { addSealCommands } from './seal.ts'
import { addSecurityCommands } from './security.ts'
import { addShellCommands } from './shell.ts'
import { printable, type Streams } from './streams.ts'
import { TaskCommands } from './task.ts'
import { parseSeconds, usage } from './task-request.ts'
import { createTokens, listTokens, revokeNode, revokeToken, rotateKeys } from './token.ts'
import { addTop } from './top.ts'
import { nameUsage, usageLine } from './usage-line.ts'
import { addUserCommands } from './user.ts'

export const MQTT_DEFAULT = 'mqtt://127.0.0.1:1883'

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
    streams.stderr.write(`error: ${messageLines(words)}\n`)
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
  throw new AppError('not-installed', 'that program is not on this machine')
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

function messageLines(message: string): string {
  return message.split('\n').map(printable).join('\n')
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
  for (const [name, about] of Object.entries(PROGRAMS)) {
    const command = program.command(name).description(about)
    if (name === 'gateway') {
      addTrust(command, streams, done)
      addRecover(command)
      addSecure(command, streams, gatewayParts, done)
    } else if (name === 'agent') addEnroll(command, streams, enrol, done)
    else command.helpOption(false).allowUnknownOption()
  }
  const place: CommandPlace = {
    ...{ program, streams, withHttp, done },
    gatewayFor: (flags) => gatewayFor(flags, streams),
  }
  addTaskCommands(program, streams, done)
  addNodeCommands(program, streams, done)
  addRingCommands(program, streams, done)
  addGridCommands(program, streams, done)
  addTokenCommands(program, streams, done)
  addUserCommands(place)
  addLoginCommands(place)
  addCaCommands(place, gatewayParts)
  addBackupCommands(place, gatewayParts)
  addSealCommands(place)
  addSub(program, streams, done)
  addSecurityCommands(place)
  addBoardCommands(program, streams, done)
  addFleetCommands(place)
  addTop(place)
  addShellCommands(place, version)
  nameUsage(program)
  return program
}

/** A word to a gateway that runs; `obelisk gateway` alone is that program. */
function addTrust(gateway: Command, streams: Streams, done: (code: number) => void): void {
  withHttp(gateway.command('trust'))
    .description('tell the gateway that what it sees of the fleet is true: it ends its doubts')
    .action(async (flags) => done(await trust(gatewayFor(flags, streams), streams, flags)))
}

/** Never reached: obelisk.ts starts the gateway for it. Here for its help. */
function addRecover(gateway: Command): void {
  gateway
    .command('recover')
    .description('run the gateway, and rebuild a lost ledger from what the nodes hold')
    .option('--nodes <n>', 'how many nodes there are: so many are waited for')
    .allowUnknownOption()
}

function addEnroll(
  agent: Command,
  streams: Streams,
  enrol: Enrol,
  done: (code: number) => void,
): void {
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
  streams: Streams,
  { makeKeys }: GatewayParts,
  done: (code: number) => void,
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

interface HttpFlags {
  readonly http?: string
  readonly json?: boolean
}

const DEFAULT = `the socket of a secured gateway on this machine, else that of the login, else ${HTTP_DEFAULT}`

function withHttp(command: Command): Command {
  return command
    .option('--http <url>', `the gateway's HTTP address (OBELISK_HTTP; default ${DEFAULT})`)
    .option('--json', 'print JSON')
}

function gatewayFor(flags: HttpFlags, streams: Streams): GatewayClient {
  return clientFor(flags.http, streams.environment)
}

function addTaskCommands(program: Command, streams: Streams, done: (code: number) => void): void {
  const commands = (flags: HttpFlags): TaskCommands =>
    new TaskCommands(gatewayFor(flags, streams), streams)
  const task = program.command('task').description('submit tasks and look at them')
  withHttp(task.command('submit [op]'))
    .description('submit a task')
    .addHelpText('after', operationsHelp)
    .option('--region <x,y,w,h>', 'the LSUs it runs over (default: the whole grid)')
    .option('--args <json>', 'arguments of the operation')
    .option('--items <file>', 'items, as a JSON list or an object a line; - is the standard input')
    .option('--file <file>', 'the whole task, JSON or CBOR; - is the standard input')
    .option('--id <id>', 'its id (default: a random one)')
    .option('--deadline <seconds>', 'when it has to end, from now on')
    .option('--seal <recipient>', 'who alone can read its value (obelisk seal recipient ls)')
    .option(
      '--wait [seconds]',
      'wait for its end, without a number as long as that takes, and print the result',
    )
    .action(async (op, flags) => done(await commands(flags).submit(op, flags)))
  withHttp(task.command('state <id>'))
    .description('show how far a task is')
    .action(async (id, flags) => done(await commands(flags).state(id, flags)))
  withHttp(task.command('result <id>'))
    .description('print the result of a task that has ended')
    .option('-o, --output <file>', 'write it to a file')
    .option('--cbor', 'as CBOR')
    .action(async (id, flags) => done(await commands(flags).result(id, flags)))
  withHttp(task.command('cancel <id>'))
    .description('cancel a task')
    .action(async (id, flags) => done(await commands(flags).cancel(id, flags)))
  withHttp(task.command('ls'))
    .description('list tasks, the newest first')
    .option('--limit <n>', 'how many at most')
    .option('--state <state>', 'only those in this state')
    .action(async (flags) => done(await commands(flags).ls(flags)))
}

function addNodeCommands(program: Command, streams: Streams, done: (code: number) => void): void {
  const node = program
    .command('node')
    .description('look at the nodes of the fleet, empty one, and forget it')
  withHttp(node.command('ls'))
    .description('list the nodes')
    .action(async (flags) => done(await listNodes(gatewayFor(flags, streams), streams, flags)))
  withHttp(node.command('info <id>'))
    .description('show what is known of a node')
    .action(async (id, flags) => {
      done(await showNode(gatewayFor(flags, streams), streams, id, flags))
    })
  withHttp(node.command('drain <id>'))
    .description('take all tiles from a node, so that it can go')
    .option('--undo', 'let it stay after all')
    .option('--force', 'even if it can never leave as the fleet is')
    .option('--wait [seconds]', 'wait until it has left, without a number as long as that takes')
    .action(async (id, flags) => {
      done(await drainNode(gatewayFor(flags, streams), streams, id, flags))
    })
  withHttp(node.command('logs <id>'))
    .description('show the last lines that the agent of a node logged')
    .option('-f, --follow', 'and what comes, for 10 minutes')
    .option('-n, --lines <count>', 'how many', '100')
    .option('--level <level>', 'of this level and above: debug, info, warn or error', 'debug')
    .action(async (id, flags) => {
      done(await showLog(gatewayFor(flags, streams), streams, id, flags))
    })
  withHttp(node.command('revoke <id>'))
    .description('take its identity from a node that was lost or stolen, and its tiles')
    .action(async (id, flags) => {
      done(await revokeNode(gatewayFor(flags, streams), streams, id, flags))
    })
  withHttp(node.command('rotate-key [id]'))
    .description('have a node make another key; the old one works until the new one was used')
    .option('--all', 'every node that has one')
    .action(async (id, flags) => {
      done(await rotateKeys(gatewayFor(flags, streams), streams, id, flags))
    })
  withHttp(node.command('rm <id>'))
    .description('forget a node that has left, or is dead and nobody needs')
    .action(async (id, flags) => {
      done(await removeNode(gatewayFor(flags, streams), streams, id, flags))
    })
}

function addTokenCommands(program: Command, streams: Streams, done: (code: number) => void): void {
  const token = program
    .command('token')
    .description('make tokens that give boards an identity, and look at them')
  withHttp(token.command('create [node]'))
    .description('make a token for a node; it is shown this once')
    .option('--any-node', 'for any node that the fleet has not heard of: it says its name itself')
    .option('--replace', 'the node has an identity, whose place the new one takes')
    .option('--ttl <time>', 'how long it can be used: 30m, 24h or 7d (default 24h)')
    .option('--count <n>', 'make so many, for nodes with numbers; one a line, with its node')
    .option('--prefix <name>', 'what comes before the number')
    .action(async (node, flags) => {
      done(await createTokens(gatewayFor(flags, streams), streams, node, flags))
    })
  withHttp(token.command('ls'))
    .description('list the tokens, the newest first')
    .action(async (flags) => done(await listTokens(gatewayFor(flags, streams), streams, flags)))
  withHttp(token.command('revoke <id>'))
    .description('make a token worthless')
    .action(async (id, flags) => {
      done(await revokeToken(gatewayFor(flags, streams), streams, id, flags))
    })
}

function addRingCommands(program: Command, streams: Streams, done: (code: number) => void): void {
  const ring = program.command('ring').description('look at how tiles move between nodes')
  withHttp(ring.command('moves'))
    .description('list the tiles that move, and why others wait')
    .action(async (flags) => done(await listMoves(gatewayFor(flags, streams), streams, flags)))
  withHttp(ring.command('plan'))
    .description('show what would move, and how long it would take')
    .option('--join <ids>', 'if these nodes joined: ids with commas between them')
    .option('--leave <ids>', 'if these nodes left')
    .action(async (flags) => done(await showPlan(gatewayFor(flags, streams), streams, flags)))
  withHttp(ring.command('recreate'))
    .description('give up the tiles whose every copy is lost: they begin anew, as zeros')
    .option('--yes', 'do not ask')
    .action(async (flags) =>
      done(await recreateMissing(gatewayFor(flags, streams), streams, flags)),
    )
}

const FORMAT = 'npy or csv, if the name of the file does not say it (default: csv)'

function addGridCommands(program: Command, streams: Streams, done: (code: number) => void): void {
  const grid = program.command('grid').description('fields to and from files, and as pictures')
  withHttp(grid.command('get <field> <file>'))
    .description(
      'fetch the cells of a field into a .npy or .csv file, or - for the standard output',
    )
    .option('--format <format>', FORMAT)
    .option('--region <x,y,w,h>', 'a part of the grid')
    .action(async (field, file, flags) => {
      done(await getGrid(gatewayFor(flags, streams), streams, [field, file], flags))
    })
  withHttp(grid.command('put <field> <file>'))
    .description('write a .npy or .csv file into a field, or - for the standard input')
    .option('--format <format>', FORMAT)
    .option('--region <x,y>', 'where its first cell goes (default: 0,0)')
    .option('--resume <id>', 'send a file again of which a part may have been taken')
    .action(async (field, file, flags) => {
      done(await putGrid(gatewayFor(flags, streams), streams, [field, file], flags))
    })
  withHttp(grid.command('png <field> <file>'))
    .description('draw a field as a picture, into a file or - for the standard output')
    .option('--region <x,y,w,h>', 'a part of the grid')
    .option('--size <pixels>', 'at most so wide and so high (default: 512), and 262,144 in all')
    .option('--colours <name>', 'viridis, cividis, magma, grey or change (default: viridis)')
    .action(async (field, file, flags) => {
      done(await drawGrid(gatewayFor(flags, streams), streams, [field, file], flags))
    })
}

function addSub(program: Command, streams: Streams, done: (code: number) => void): void {
  program
    .command('sub <topic>')
    .description('subscribe to a topic, and print what arrives, CBOR as JSON')
    .option(
      '--url <url>',
      `the gateway's MQTT address (OBELISK_URL; default: that of the login, else ${MQTT_DEFAULT})`,
    )
    .option('--json', 'print an object a message: topic, payload, qos, retain')
    .option('-n, --count <n>', 'end after this many messages')
    .option('--timeout <seconds>', 'end after this time (default: never)')
    .action(async (topic: string, flags: Record<string, string | undefined>) => {
      const given = flags.url ?? (streams.environment.OBELISK_URL || undefined)
      const login = loginFor(given, streams.environment)
      const url = given ?? login?.mqtt ?? MQTT_DEFAULT
      const { count, timeout } = flags
      if (count !== undefined && !/^[1-9]\d{0,8}$/.test(count)) {
        throw usage(`--count: "${count}" is not a whole number above 0`)
      }
      const { subscribe } = await import('./sub.ts')
      const options = {
        url: checkUrl(url, ['mqtt:', 'mqtts:'], '--url'),
        topic,
        ...(login && { login }),
        isJson: flags.json !== undefined,
        ...(count === undefined ? {} : { count: Number(count) }),
        ...(timeout === undefined ? {} : { timeoutMs: parseSeconds(timeout, '--timeout') * 1000 }),
      }
      done(await subscribe(options, streams))
    })
}
