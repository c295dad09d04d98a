/**
 * What an installation is told about the program's configuration, checked by the very table that the
 * program reads its file with: nothing is touched for a value that the program would refuse.
 */

import { readFileSync } from 'node:fs'
import { checkUrl, isSecure, notSecure } from '../../firmware-agent/adapters/enrolment.ts'
import { assert } from '../../shared/core/assert.ts'
import { own } from '../../shared/core/own.ts'
import { ConfigError, type Loaded, loadConfig } from '../../shared/runtime/config.ts'
import { parseFlags } from '../../shared/runtime/flags.ts'
import { flagOf, keyOf, type Option, type OptionTable } from '../../shared/runtime/option-table.ts'
import { usage } from '../fault.ts'
import { readNodeToken, type TokenInput } from '../node-token.ts'
import type { Role } from '../package/architectures.ts'
import { faultOf } from '../path-faults.ts'
import { programOf } from './places.ts'
import { removeKeys, setKeys, type TomlValue } from './toml-edit.ts'

export interface Settings {
  /** Keys of the file, as it spells them. */
  readonly values: Readonly<Record<string, TomlValue>>
  /** For a first identity; it goes to the service manager's credential and not to the file. */
  readonly token?: string
  /** Where the agent then finds its gateway, whoever said so. */
  readonly url?: string
}

export interface SettingsFlags {
  readonly id?: string | undefined
  readonly gateway?: string | undefined
  /** `-` for the standard input. */
  readonly tokenFile?: string | undefined
  /** Further options of the program, as it takes them on its command line. */
  readonly others: readonly string[]
}

/** Set by the unit, or by where this one writes. */
const NOT_TAKEN: Readonly<Record<string, string>> = {
  data: 'the unit keeps the data in its StateDirectory',
  identity: 'the unit keeps it in its StateDirectory',
  enrollTokenFile: 'give it as --token-file: it becomes a credential of the unit',
}

/** Throws ConfigError, which names every problem at once. */
export async function readSettings(
  role: Role,
  flags: SettingsFlags,
  configuration: string,
  input: TokenInput,
): Promise<Settings> {
  const program = programOf(role)
  const argv = argvOf(role, flags)
  const parsed = parseFlags(program.options, flags.others)
  for (const name of parsed.given.map((one) => one.name)) {
    const why = own(NOT_TAKEN, name)
    if (why === undefined) continue
    const flag = flagOf(name, program.options[name]!)
    throw usage(`--${flag}: ${why}`)
  }
  if (parsed.isHelpAsked || parsed.file !== undefined) {
    const message = `--config is not for an installation: it writes the file that the unit reads`
    throw usage(message)
  }
  const file = isReadable(configuration) ? configuration : '/dev/null'
  let loaded: Loaded<OptionTable>
  try {
    loaded = await loadConfig(program, ['--config', file, ...argv], {}, { mayHaveGone: true })
  } catch (error) {
    const isUrlGiven = parsed.given.some(({ name }) => name === 'url')
    throw flags.gateway === undefined || isUrlGiven ? error : asGiven(error)
  }
  const values = new Map<string, TomlValue>()
  for (const { name, text } of parseFlags(program.options, argv).given) {
    const option = program.options[name]!
    values.set(keyOf(name, option), tomlValue(option, text))
  }
  const settings = { values: Object.fromEntries(values) }
  if (role === 'gateway') return settings
  assert(loaded.kind === 'options', 'nobody asked for help')
  const url = String(loaded.values.url)
  checkUrl(url)
  const { tokenFile } = flags
  if (tokenFile === undefined) return { ...settings, url }
  const token = await readNodeToken(tokenFile, input)
  if (!isSecure({ url })) throw notSecure('a token is shown over mqtts:// alone')
  return { ...settings, url, token }
}

function argvOf(role: Role, flags: SettingsFlags): string[] {
  const { id, gateway, tokenFile, others } = flags
  const named = { id, url: gateway }
  const given = Object.entries({ ...named, 'token-file': tokenFile }).filter(
    ([, value]) => value !== undefined,
  )
  if (role === 'gateway' && given.length > 0) {
    const names = given.map(([name]) => (name === 'url' ? '--gateway' : `--${name}`)).join(', ')
    throw usage(`${names}: only for --role agent`)
  }
  const own = given.filter(([name]) => name !== 'token-file')
  return [...own.map(([name, value]) => `--${name}=${value}`), ...others]
}

/** Throws AppError where there is something that cannot be read. */
function isReadable(path: string): boolean {
  try {
    readFileSync(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw faultOf(error, path, 'looked at')
  }
}

/** Names the flag that was given, not the program's option that it stands for. */
function asGiven(error: unknown): unknown {
  if (!(error instanceof ConfigError)) return error
  const problems = error.problems.map((problem) => problem.replace(/^--url\b/, '--gateway'))
  return new ConfigError(problems, error.exitCode)
}

function tomlValue(option: Option<unknown>, text: string): TomlValue {
  const [kind] = option.type.fileValues
  if (kind === 'boolean') return text === 'true' || text === '1'
  if (kind === 'list') return text.split(',').map((part) => part.trim())
  // With a unit behind it, it stays a text: `30s`.
  if (kind === 'number' && Number.isFinite(Number(text))) return Number(text)
  return text
}

const HEADER: Readonly<Record<Role, string>> = {
  agent: '# Configuration of the Obelisk agent. Every option: obelisk agent --help\n',
  gateway: '# Configuration of the Obelisk gateway. Every option: obelisk gateway --help\n',
}

/** The file as it is to be; of one that is there, only the keys that are set change. */
export function configurationText(role: Role, settings: Settings, present: string | undefined) {
  if (present === undefined) return setKeys(HEADER[role], settings.values)
  const gone = Object.keys(programOf(role).gone ?? {})
  return setKeys(removeKeys(present, gone), settings.values)
}
