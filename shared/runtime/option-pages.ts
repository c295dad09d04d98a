/** What people read about an option table: the help of a command, and the page of the manual. */
import { defaultFile, type Program } from './config.ts'
import { flagOf, keyOf, type Option, type OptionTable, variableOf } from './option-table.ts'

function defaultOf(option: Option<unknown>): string {
  if (option.defaultText !== undefined) return option.defaultText
  return option.default === undefined ? '' : option.type.format(option.default)
}

function helpLines(flags: string, about: string, width: number): string {
  return `  ${flags.padEnd(width)}  ${about}`
}

/** The text of `--help`. */
export function renderHelp<T extends OptionTable>(program: Program<T>): string {
  const rows = Object.entries<Option<unknown>>(program.options).map(([name, option]) => {
    const normal = defaultOf(option).replaceAll('`', '')
    const facts = [option.type.range, normal && `default: ${normal}`]
    const shown = facts.filter(Boolean).join('; ')
    return {
      flags: `--${flagOf(name, option)} ${option.type.placeholder}`.trimEnd(),
      about: shown ? `${option.about} (${shown})` : option.about,
    }
  })
  const file = `Configuration file (default: ${defaultFile(program.name)}, if it is there)`
  rows.push({ flags: '--config <file>', about: file })
  rows.push({ flags: '-h, --help', about: 'Shows this help' })
  const words = Object.entries(program.words ?? {}).map(([word, about]) => ({ word, about }))
  const width = Math.max(...rows.map((row) => row.flags.length))
  const [[name, option]] = Object.entries<Option<unknown>>(program.options) as [
    [string, Option<unknown>],
  ]
  return [
    `Usage: obelisk ${program.name} [options]`,
    ...words.map(({ word }) => `       obelisk ${program.name} ${word} [options]`),
    '',
    program.about,
    '',
    ...(words.length === 0 ? [] : ['Commands:']),
    ...words.map(({ word, about }) => helpLines(word, about, width)),
    ...(words.length === 0 ? [] : ['']),
    'Options:',
    ...rows.map((row) => helpLines(row.flags, row.about, width)),
    '',
    `Each option is also a variable (${variableOf(name, option)} for --${flagOf(name, option)}) and a key of the file (${keyOf(name, option)}).`,
    'Flags win over the environment, and the environment over the file.',
    '',
  ].join('\n')
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

/** One Markdown table of all options. */
export function renderOptionsMarkdown<T extends OptionTable>(program: Program<T>): string {
  const rows = Object.entries<Option<unknown>>(program.options).map(([name, option]) => {
    const code = (text: string): string => (text === '' ? '–' : `\`${text}\``)
    const normal = option.defaultText ?? code(defaultOf(option))
    const names = [`--${flagOf(name, option)}`, variableOf(name, option), keyOf(name, option)]
    return `| ${names.map(code).join(' | ')} | ${cell(option.type.range) || 'text'} | ${cell(normal)} | ${cell(option.about)} |`
  })
  return [
    '| Flag | Variable | Key | Takes | Default | |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}
