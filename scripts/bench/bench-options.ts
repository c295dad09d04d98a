/** What a benchmark is told. `--help` prints how it is used; so does what it cannot understand, which is 2. */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { EXIT_DONE, EXIT_USAGE, messageOf } from '../../shared/runtime/errors.ts'

let usageLine = ''

export function benchOptions<T extends ParseArgsConfig>(
  usage: string,
  config: T,
): ReturnType<typeof parseArgs<T>> {
  usageLine = `Usage: node dist/scripts/bench/${usage}\n`
  const [, , ...argv] = process.argv
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(usageLine)
    process.exit(EXIT_DONE)
  }
  try {
    return parseArgs(config)
  } catch (error) {
    return misused(messageOf(error))
  }
}

export function misused(problem: string): never {
  process.stderr.write(`${problem}\n${usageLine}`)
  process.exit(EXIT_USAGE)
}
