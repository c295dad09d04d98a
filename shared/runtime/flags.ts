import { parseArgs } from 'node:util'
import { didYouMean } from '../core/near-match.ts'
import { flagOf, type OptionTable } from './option-table.ts'

export interface Flags {
  readonly isHelpAsked: boolean
  /** Of `--config`. */
  readonly file: string | undefined
  readonly given: readonly { readonly name: string; readonly text: string }[]
  /** Unknown flags, missing values, stray arguments. */
  readonly problems: readonly string[]
}

/** Reads the command line by the table; each value is still the text that was given. */
export function parseFlags(
  table: OptionTable,
  argv: readonly string[],
  words: readonly string[] = [],
): Flags {
  const names = new Map(Object.keys(table).map((name) => [flagOf(name, table[name]!), name]))
  const isSwitch = (flag: string): boolean => table[names.get(flag) ?? '']?.type.placeholder === ''
  const known = [...names.keys(), 'config', 'help']
  const { tokens } = parseArgs({
    args: [...argv],
    // parseArgs would stop at its first complaint; ours come all at once.
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries([
      ...[...names.keys(), 'config'].map((flag) => [
        flag,
        { type: isSwitch(flag) ? ('boolean' as const) : ('string' as const) },
      ]),
      ['help', { type: 'boolean' as const, short: 'h' }],
    ]),
  })
  const problems: string[] = []
  const given: { name: string; text: string }[] = []
  let file: string | undefined
  let isHelpAsked = false
  for (const token of tokens) {
    if (token.kind === 'positional') {
      problems.push(`unexpected argument "${token.value}"${didYouMean(token.value, words)}`)
    }
    if (token.kind !== 'option') continue
    const flag = token.name
    const negated = flag.startsWith('no-') && isSwitch(flag.slice(3)) ? flag.slice(3) : undefined
    const name = names.get(negated ?? flag)
    if (flag === 'help' || (flag === 'h' && token.rawName === '-h')) isHelpAsked = true
    else if (negated !== undefined) given.push({ name: name!, text: 'false' })
    else if (name === undefined && flag !== 'config') {
      problems.push(`unknown flag ${token.rawName}${didYouMean(flag, known, '--')}`)
    } else if (isSwitch(flag)) given.push({ name: name!, text: token.value ?? 'true' })
    else if (!token.value || (!token.inlineValue && token.value.startsWith('--'))) {
      problems.push(`${token.rawName} needs a value`)
    } else if (flag === 'config') file = token.value
    else given.push({ name: name!, text: token.value })
  }
  return { isHelpAsked, file, given, problems }
}
