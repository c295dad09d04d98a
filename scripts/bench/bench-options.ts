/** What a benchmark is told. `--help` prints how it is used; so does what it cannot understand, which is 2. */
import { basename } from 'node:path'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { EXIT_DONE, EXIT_USAGE, messageOf } from '../../shared/runtime/errors.ts'

/** A whole number that is meant where none is said, whether a flag is on, or of what kind a text is. */
type Default = number | boolean | string
type Flag<T extends Default> = T extends number
  ? number
  : T extends boolean
    ? boolean
    : string | undefined

let usageLine = ''

export function benchOptions<const T extends Readonly<Record<string, Default>>>(
  defaults: T,
): { readonly [K in keyof T]: Flag<T[K]> } {
  const named = Object.entries(defaults).map(([name, value]) => {
    if (typeof value === 'boolean') return value ? `[--no-${name}]` : `[--${name}]`
    return `[--${name}${`${value}`.startsWith('=') ? '' : ' '}${value}]`
  })
  const program = basename(process.argv[1]!).replace(/ts$/, 'js')
  usageLine = `Usage: ${['node', `dist/scripts/bench/${program}`, ...named].join(' ')}\n`
  if (process.argv.includes('--help') || process.argv.includes('-h')) {
    process.stdout.write(usageLine)
    process.exit(EXIT_DONE)
  }
  const options: NonNullable<ParseArgsConfig['options']> = {}
  for (const [name, value] of Object.entries(defaults)) {
    const isFlag = typeof value === 'boolean'
    options[name] = isFlag ? { type: 'boolean', default: value } : { type: 'string' }
  }
  try {
    const { values } = parseArgs({ allowNegative: true, options })
    const flags = Object.entries(defaults).map(([name, value]) => {
      return [name, typeof value === 'number' ? whole(name, values[name] ?? value) : values[name]]
    })
    return Object.fromEntries(flags)
  } catch (error) {
    return misused(messageOf(error))
  }
}

function whole(name: string, given: unknown): number {
  const number = Number(given)
  if (!Number.isInteger(number) || number < 1) misused(`--${name}: a whole number above 0`)
  return number
}

/** The parts that `--only` names; all of them without it. */
export function chosenOf<T extends string>(parts: readonly T[], only = parts.join()): T[] {
  const names = only.split(',') as T[]
  if (names.some((name) => !parts.includes(name))) misused(`--only: ${parts.join(', ')}`)
  return parts.filter((part) => names.includes(part))
}

/** Flags for Node, as one text has them. */
export function wordsOf(text = ''): string[] {
  return text.split(' ').filter((word) => word !== '')
}

export function misused(problem: string): never {
  process.stderr.write(`${problem}\n${usageLine}`)
  process.exit(EXIT_USAGE)
}
