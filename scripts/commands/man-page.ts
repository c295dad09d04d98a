/** `obelisk.1`, in the macros of man(7). */
import { everyCommand, type TreeCommand, type TreeOption } from './command-tree.ts'

export function manPage(tree: TreeCommand, version: string): string {
  const commands = everyCommand(tree).filter(({ path }) => path !== '')
  return [
    `.TH OBELISK 1 "" "obelisk ${roff(version)}" "Obelisk"`,
    '.SH NAME',
    'obelisk \\- a fleet of low\\-power devices that holds a grid of numbers, and computes on it',
    '.SH SYNOPSIS',
    '.B obelisk',
    '.I command',
    '.RI [ options ]',
    '.SH DESCRIPTION',
    roff(tree.about),
    '.PP',
    'Data goes to the standard output, everything else to the standard error.',
    '.SH OPTIONS',
    ...tree.options.flatMap(optionLines),
    '.SH COMMANDS',
    ...commands.flatMap(commandLines),
    '.SH EXIT STATUS',
    ...EXITS.flatMap(([code, means]) => ['.TP', `.B ${code}`, means]),
    '.SH ENVIRONMENT',
    ...VARIABLES.flatMap(([name, about]) => ['.TP', `.B ${name}`, roff(about)]),
    '',
  ].join('\n')
}

const EXITS = [
  ['0', 'done'],
  ['1', 'failed'],
  ['2', 'not a command, or not one of its options'],
  ['69', 'no gateway can be reached'],
  ['75', 'timed out'],
  ['77', 'not allowed'],
  ['78', 'wrong configuration'],
] as const

const VARIABLES = [
  ['OBELISK_HTTP', "the gateway's HTTP address, where --http does not say it"],
  ['OBELISK_URL', "the gateway's MQTT address, where --url does not say it"],
  ['NO_COLOR', 'no colours'],
] as const

function commandLines({ path, about, given, options, commands }: TreeCommand): string[] {
  const words = [...given, ...(commands.length > 0 ? ['command'] : []), '[options]']
  const title = `obelisk ${path} ${words.join(' ')}`
  return [`.SS ${roff(title)}`, `${roff(capital(about))}.`, ...options.flatMap(optionLines)]
}

function optionLines({ flags, value, about }: TreeOption): string[] {
  const title = `${flags.map((flag) => `\\fB${roff(flag)}\\fR`).join(', ')} ${roff(value)}`
  return ['.TP', title.trimEnd(), roff(about)]
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1).replace(/\.$/, '')
}

/** What roff would take for its own stands for itself. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/gm, '\\&')
}
