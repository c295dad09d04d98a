#!/usr/bin/env node
import { EXIT_INTERRUPTED, EXIT_WRITE_FAILED } from '../shared/runtime/errors.ts'
import { VERSION } from '../shared/runtime/version.ts'
import type { OwnPrograms } from './commands/own-programs.ts'
import { isProgram, programPath } from './programs.ts'
import { asOurs, type Main, runMain } from './run-main.ts'

interface GatewayMain extends Main {
  readonly restoreFleet: OwnPrograms['restore']
  readonly restoreLedger: OwnPrograms['restoreLedger']
  readonly checkBackup: OwnPrograms['checkBackup']
}

/**
 * The `obelisk` command. The long-running programs are told apart before anything else is loaded:
 * an agent has no memory to give away for a command line library.
 */
async function run(argv: readonly string[]): Promise<number> {
  const [name = '', ...rest] = argv
  const [asked = ''] = rest
  // A word to a gateway that runs is a user command, and so is the help of one that starts it.
  const isRecovery = name === 'gateway' && asked === 'recover'
  const isHelp = isRecovery && rest.some((word) => word === '--help' || word === '-h')
  const isWord =
    isHelp ||
    (name === 'gateway' && ['trust', 'secure'].includes(asked)) ||
    (name === 'agent' && asked === 'enroll')
  if (isRecovery && !isHelp) return runRecovery(rest.slice(1))
  if (isProgram(name) && !isWord) return runProgram(name, rest)
  if (name === 'help' && isProgram(asked) && rest.length === 1) return runProgram(asked, ['--help'])
  const { runCommand } = await import('./commands/program.ts')
  const { stdout, stderr, stdin, env } = process
  // `obelisk task ls | head` closes our output early, and that is no error.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    stderr.write(`error: what is printed could not be written: ${error.message}\n`)
    process.exit(EXIT_WRITE_FAILED)
  })
  // Nobody is left to be told.
  stderr.on('error', () => {})
  const gateway = async (): Promise<GatewayMain> =>
    (await import(programPath('gateway'))) as GatewayMain
  const programs: OwnPrograms = {
    makeKeys: async (data) => (await gateway()).run(['keys', '--data', data], env),
    restore: (order) => asOurs(async () => (await gateway()).restoreFleet(order)),
    restoreLedger: (order) => asOurs(async () => (await gateway()).restoreLedger(order)),
    checkBackup: (file) => asOurs(async () => (await gateway()).checkBackup(file)),
    enrol: async (given, environment) => {
      const agent = (await import(programPath('agent'))) as Main
      return await agent.run(['enroll', ...given], environment as NodeJS.ProcessEnv)
    },
  }
  const streams = { stdout, stderr, stdin, environment: env }
  const code = await runCommand(argv, streams, VERSION, programs)
  // Whoever interrupts it does not wait for a reader that stands still.
  if (code === EXIT_INTERRUPTED && stdout.writableLength > 0) process.exit(code)
  // Or whoever could still type keeps the process.
  if (stdin.readableFlowing !== null) stdin.destroy()
  return code
}

async function runRecovery(argv: readonly string[]): Promise<number> {
  const { recoveryArguments } = await import('./commands/recover.ts')
  const load = async (): Promise<Main> => {
    const given = recoveryArguments(argv)
    const gateway = (await import(programPath('gateway'))) as Main
    return { run: (_argv, environment) => gateway.run(given, environment) }
  }
  return await runMain('gateway recover', load, [])
}

async function runProgram(name: string, argv: readonly string[]): Promise<number> {
  // By a variable, so that the type checker does not pull each program into the others.
  const load = async (): Promise<Main> => (await import(programPath(name))) as Main
  return await runMain(name, load, argv)
}

process.exitCode = await run(process.argv.slice(2))
