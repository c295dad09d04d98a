#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { AppError, EXIT_SOFTWARE, EXIT_USAGE } from '../shared/runtime/errors.ts'

/**
 * The `obelisk` command. The long-running programs are told apart before anything else is loaded:
 * an agent has no memory to give away for a command line library.
 */
const MAINS: Readonly<Record<string, string>> = {
  gateway: '../broker/main.ts',
  agent: '../firmware-agent/main.ts',
  demo: './demo/demo.ts',
}

/** What each of these files exports. */
interface Main {
  run(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number>
}

async function run(argv: readonly string[]): Promise<number> {
  const [name = '', ...rest] = argv
  const [asked = ''] = rest
  // A word to a gateway that runs is a user command.
  const isWord = name === 'gateway' && asked === 'trust'
  if (name === 'gateway' && asked === 'recover') return runRecovery(rest.slice(1))
  if (Object.hasOwn(MAINS, name) && !isWord) return runMain(name, rest)
  if (name === 'help' && Object.hasOwn(MAINS, asked)) return runMain(asked, ['--help'])
  const { runCommand } = await import('./commands/program.ts')
  const { stdout, stderr, stdin, env } = process
  // `obelisk task ls | head` closes our output early, and that is no error.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    process.exit(error.code === 'EPIPE' ? 0 : 1)
  })
  return runCommand(argv, { stdout, stderr, stdin, environment: env }, version())
}

/** The gateway with the one option that an operator must not leave out when a ledger is lost. */
async function runRecovery(argv: readonly string[]): Promise<number> {
  const given = argv.map((word) => word.replace(/^--nodes(?==|$)/, '--recover-nodes'))
  if (given.some((word) => word.startsWith('--recover-nodes') || word === '--help')) {
    return runMain('gateway', given)
  }
  process.stderr.write(
    'obelisk gateway recover: say how many nodes there are, with --nodes <n>: so many are waited for\n',
  )
  return EXIT_USAGE
}

async function runMain(name: string, argv: readonly string[]): Promise<number> {
  // By a variable, so that the type checker does not pull each program into the others.
  const path = MAINS[name]!
  let code: number
  try {
    const main = (await import(path)) as Main
    code = await main.run(argv, process.env)
  } catch (error) {
    const isBug = !(error instanceof AppError)
    const text = error instanceof Error ? (isBug ? error.stack : error.message) : String(error)
    process.stderr.write(`obelisk ${name}: ${text}\n`)
    code = isBug ? EXIT_SOFTWARE : error.exitCode
  }
  // What did not close in time must not keep the process.
  process.exit(code)
}

/** Of the package: two folders up once it is built, one before. */
function version(): string {
  for (const path of ['../package.json', '../../package.json']) {
    const url = new URL(path, import.meta.url)
    try {
      return (JSON.parse(readFileSync(url, 'utf8')) as { version: string }).version
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return 'unknown'
}

process.exitCode = await run(process.argv.slice(2))
