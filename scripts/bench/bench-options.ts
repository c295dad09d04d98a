/** What a benchmark is told. `--help` prints how it is used; so does what it cannot understand, which is 2. */
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { EXIT_DONE, EXIT_USAGE, messageOf } from '../../shared/runtime/errors.ts'

type Default = string | boolean | undefined
type Flag<T extends Default> = T extends string
  ? string
  : T extends boolean
    ? boolean
    : string | undefined

let usageLine = ''

/** Flags by what they are where nobody says so: a text, or whether it is on; `undefined` is a text that may be missing. */
export function benchOptions<const T extends Readonly<Record<string, Default>>>(
  usage: string,
  defaults: T,
  more: Pick<ParseArgsConfig, 'allowNegative' | 'allowPositionals'> = {},
): { readonly values: { readonly [K in keyof T]: Flag<T[K]> }; readonly positionals: string[] } {
  usageLine = `Usage: node dist/scripts/bench/${usage}\n`
  const [, , ...argv] = process.argv
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(usageLine)
    process.exit(EXIT_DONE)
  }
  const options = Object.entries(defaults).map(([name, value]) => {
    const type: 'boolean' | 'string' = typeof value === 'boolean' ? 'boolean' : 'string'
    return [name, { type, default: value }]
  })
  try {
    return parseArgs({ ...more, options: Object.fromEntries(options) }) as ReturnType<
      typeof benchOptions<T>
    >
  } catch (error) {
    return misused(messageOf(error))
  }
}

export function wholeOption<T extends string>(
  values: Readonly<Record<NoInfer<T>, string>>,
  name: T,
): number {
  const whole = Number(values[name])
  if (!Number.isInteger(whole) || whole < 1) misused(`--${name}: a whole number above 0`)
  return whole
}

export function misused(problem: string): never {
  process.stderr.write(`${problem}\n${usageLine}`)
  process.exit(EXIT_USAGE)
}
