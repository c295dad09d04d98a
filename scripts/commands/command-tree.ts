/** What there is to type: commands and options, of commander's tree and of the tables of the long-running programs. */
import type { Command, Option as CommanderOption } from 'commander'
import { GATEWAY_OPTIONS } from '../../broker/config.ts'
import { AGENT_OPTIONS } from '../../firmware-agent/config.ts'
import { TASK_OPERATIONS } from '../../shared/operations/catalog.ts'
import { flagOf, type Option, type OptionTable } from '../../shared/runtime/option-table.ts'
import { DEMO_OPTIONS } from '../demo/demo-options.ts'

export interface TreeOption {
  /** `-n`, `--count`. */
  readonly flags: readonly string[]
  /** `<file>`, where it takes something. */
  readonly value: string
  readonly about: string
}

export interface TreeCommand {
  /** `node drain`; empty for `obelisk` itself. */
  readonly path: string
  readonly about: string
  /** `<id>`, `[op]`. */
  readonly given: readonly string[]
  /** What may be given, where that is known. */
  readonly choices: readonly string[]
  readonly options: readonly TreeOption[]
  readonly commands: readonly TreeCommand[]
}

const HELP: TreeOption = { flags: ['-h', '--help'], value: '', about: 'show the help' }
const CONFIG: TreeOption = { flags: ['--config'], value: '<file>', about: 'configuration file' }

const PROGRAM_OPTIONS: ReadonlyMap<string, readonly TreeOption[]> = new Map<
  string,
  readonly TreeOption[]
>([
  ['gateway', [...optionsIn(GATEWAY_OPTIONS), CONFIG]],
  ['agent', [...optionsIn(AGENT_OPTIONS), CONFIG]],
  ['demo', DEMO_OPTIONS],
])

export function commandTree(command: Command, above = ''): TreeCommand {
  const isRoot = command.parent === null
  const path = isRoot ? '' : `${above} ${command.name()}`.trim()
  const shown = command.createHelp().visibleCommands(command)
  return {
    path,
    about: command.description(),
    given: command.registeredArguments.map((argument) =>
      argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
    ),
    choices: command.registeredArguments.flatMap((argument) =>
      argument.name() === 'op' ? TASK_OPERATIONS : (argument.argChoices ?? []),
    ),
    options: [
      ...command.options.filter(({ hidden }) => !hidden).map(optionOf),
      ...(PROGRAM_OPTIONS.get(path) ?? []),
      HELP,
    ],
    commands: shown.filter((each) => each.name() !== 'help').map((each) => commandTree(each, path)),
  }
}

/** Itself, and all below it. */
export function everyCommand(tree: TreeCommand): TreeCommand[] {
  return [tree, ...tree.commands.flatMap(everyCommand)]
}

function optionOf({ short, long, flags, description }: CommanderOption): TreeOption {
  const value = /[<[].*$/.exec(flags)?.[0] ?? ''
  return {
    flags: [short, long].filter((flag) => flag !== undefined),
    value,
    about: description.replaceAll('`', ''),
  }
}

function optionsIn(table: OptionTable): TreeOption[] {
  return Object.entries<Option<unknown>>(table).map(([name, option]) => ({
    flags: [`--${flagOf(name, option)}`],
    value: option.type.placeholder,
    about: option.about.replaceAll('`', ''),
  }))
}
