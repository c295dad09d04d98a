/** What people read about an option table: the help of a command, and the page of the manual. */
import { defaultFile, type Program } from './config.ts'
import { flagOf, keyOf, type Option, type OptionTable, variableOf } from './option-table.ts'
import type { TableArray, TableArrays } from './table-arrays.ts'

function defaultOf(option: Option<unknown>): string {
  if (option.defaultText !== undefined) return option.defaultText
  return option.default === undefined ? '' : option.type.format(option.default)
}

function helpLines(flags: string, about: string, width: number): string {
  return `  ${flags.padEnd(width)}  ${about}`
}

function aboutWithFacts(option: Option<unknown>): string {
  const normal = defaultOf(option).replaceAll('`', '')
  const facts = [option.type.range, normal && `default: ${normal}`, option.isRequired && 'required']
  const shown = facts.filter(Boolean).join('; ')
  return shown ? `${option.about} (${shown})` : option.about
}

function tableHelp({ key, about, columns }: TableArray<OptionTable>): string[] {
  const options = Object.entries<Option<unknown>>(columns)
  const rows = options.map(([name, option]) => ({
    key: keyOf(name, option),
    about: aboutWithFacts(option),
  }))
  const width = Math.max(...rows.map((row) => row.key.length))
  return [
    `[[${key}]] in the file, any number of times: ${about.replaceAll('`', '')}`,
    ...rows.map((row) => helpLines(row.key, row.about, width)),
    '',
  ]
}

/** The text of `--help`. */
export function renderHelp<T extends OptionTable, A extends TableArrays>(
  program: Program<T, A>,
): string {
  const rows = Object.entries<Option<unknown>>(program.options).map(([name, option]) => ({
    flags: `--${flagOf(name, option)} ${option.type.placeholder}`.trimEnd(),
    about: aboutWithFacts(option),
  }))
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
    ...Object.values<TableArray<OptionTable>>(program.tables ?? {}).flatMap(tableHelp),
    `Each option is also a variable (${variableOf(name, option)} for --${flagOf(name, option)}) and a key of the file (${keyOf(name, option)}).`,
    'Flags win over the environment, and the environment over the file.',
    '',
  ].join('\n')
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

function code(text: string): string {
  return text === '' ? '–' : `\`${text}\``
}

/** What stands in the last cells of an option's row. */
function factCells(option: Option<unknown>): string {
  const normal = option.isRequired
    ? 'must be given'
    : (option.defaultText ?? code(defaultOf(option)))
  return `${cell(option.type.range) || 'text'} | ${cell(normal)} | ${cell(option.about)} |`
}

/** One Markdown table of all options. */
export function renderOptionsMarkdown<T extends OptionTable, A extends TableArrays>(
  program: Program<T, A>,
): string {
  const rows = Object.entries<Option<unknown>>(program.options).map(([name, option]) => {
    const names = [`--${flagOf(name, option)}`, variableOf(name, option), keyOf(name, option)]
    return `| ${names.map(code).join(' | ')} | ${factCells(option)}`
  })
  return [
    '| Flag | Variable | Key | Takes | Default | |',
    '|---|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n')
}

/** A heading and a Markdown table for each that the file may say several times. */
export function renderTablesMarkdown<T extends OptionTable, A extends TableArrays>(
  program: Program<T, A>,
): string {
  const parts = Object.values<TableArray<OptionTable>>(program.tables ?? {}).map((table) => [
    `### \`[[${table.key}]]\``,
    '',
    `${table.about} In the file alone, at most ${table.countMax.toLocaleString('en')} times.`,
    '',
    '| Key | Takes | Default | |',
    '|---|---|---|---|',
    ...Object.entries<Option<unknown>>(table.columns).map(
      ([name, option]) => `| \`${keyOf(name, option)}\` | ${factCells(option)}`,
    ),
    '',
    '',
  ])
  return parts.map((lines) => lines.join('\n')).join('')
}
