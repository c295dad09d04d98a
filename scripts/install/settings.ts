/**
 * What an installation is told about the program's configuration, checked by the very table that the
 * program reads its file with: nothing is touched for a value that the program would refuse.
 */

import { readFileSync } from 'node:fs'
import { own } from '../../shared/core/own.ts'
import { parseToken } from '../../shared/protocol/tokens.ts'
import { ConfigError, loadConfig } from '../../shared/runtime/config.ts'
import {
  AppError,
  EXIT_BAD_INPUT,
  EXIT_CONFIG,
  EXIT_UNREADABLE,
  EXIT_USAGE,
  messageOf,
} from '../../shared/runtime/errors.ts'
import { parseFlags } from '../../shared/runtime/flags.ts'
import { flagOf, keyOf, type Option } from '../../shared/runtime/option-table.ts'
import type { Role } from '../package/architectures.ts'
import { faultOf } from '../path-faults.ts'
import { programOf } from './places.ts'
import { setKeys, type TomlValue } from './toml-edit.ts'

export interface Settings {
  /** Keys of the file, as it spells them. */
  readonly values: Readonly<Record<string, TomlValue>>
  /** The MQTT password, which goes to the service manager's credential and not to the file. */
  readonly password?: string
  /** For an identity; it goes to a credential, too, and goes away once the node has joined. */
  readonly token?: string
}

export interface SettingsFlags {
  readonly id?: string | undefined
  readonly gateway?: string | undefined
  readonly username?: string | undefined
  readonly passwordFile?: string | undefined
  /** `-` is the standard input. */
  readonly tokenFile?: string | undefined
  /** Further options of the program, as it takes them on its command line. */
  readonly others: readonly string[]
}

/** Set by the unit, or by where this one writes. */
const NOT_TAKEN: Readonly<Record<string, string>> = {
  data: 'the unit keeps the data in its StateDirectory',
  passwordFile: 'give it as --password-file: it becomes a credential of the unit',
  enrollTokenFile: 'give it as --token-file: it becomes a credential of the unit',
  identity: 'the unit keeps it in its StateDirectory',
}

/** Throws ConfigError, which names every problem at once. */
export async function readSettings(
  role: Role,
  flags: SettingsFlags,
  configuration: string,
): Promise<Settings> {
  const program = programOf(role)
  const argv = argvOf(role, flags)
  const parsed = parseFlags(program.options, flags.others)
  for (const name of parsed.given.map((one) => one.name)) {
    const why = own(NOT_TAKEN, name)
    if (why === undefined) continue
    const flag = flagOf(name, program.options[name]!)
    throw new AppError('usage', `--${flag}: ${why}`, { exitCode: EXIT_USAGE })
  }
  if (parsed.isHelpAsked || parsed.file !== undefined) {
    const message = `--config is not for an installation: it writes the file that the unit reads`
    throw new AppError('usage', message, { exitCode: EXIT_USAGE })
  }
  const file = isReadable(configuration) ? configuration : '/dev/null'
  try {
    await loadConfig(program, ['--config', file, ...argv], {})
  } catch (error) {
    const isUrlGiven = parsed.given.some(({ name }) => name === 'url')
    throw flags.gateway === undefined || isUrlGiven ? error : asGiven(error)
  }
  const values = new Map<string, TomlValue>()
  for (const { name, text } of parseFlags(program.options, argv).given) {
    const option = program.options[name]!
    if (name !== 'passwordFile') values.set(keyOf(name, option), tomlValue(option, text))
  }
  const { passwordFile, tokenFile } = flags
  const token = tokenFile === undefined ? undefined : readToken(tokenFile)
  const url = values.get('url')
  if (token !== undefined && url !== undefined && !`${url}`.startsWith('mqtts:')) {
    const message = `--gateway: a token is shown over mqtts:// alone`
    throw new AppError('url-not-secure', message, { exitCode: EXIT_CONFIG })
  }
  return {
    values: Object.fromEntries(values),
    ...(passwordFile === undefined ? {} : { password: readPassword(passwordFile) }),
    ...(token === undefined ? {} : { token }),
  }
}

function argvOf(role: Role, flags: SettingsFlags): string[] {
  const { id, gateway, username, passwordFile, others } = flags
  const named = { id, url: gateway, username, 'password-file': passwordFile }
  const given = Object.entries(named).filter(([, value]) => value !== undefined)
  if (role === 'gateway' && flags.tokenFile !== undefined) {
    throw new AppError('usage', '--token-file: only for --role agent', { exitCode: EXIT_USAGE })
  }
  if (role === 'gateway' && given.length > 0) {
    const names = given.map(([name]) => (name === 'url' ? '--gateway' : `--${name}`)).join(', ')
    throw new AppError('usage', `${names}: only for --role agent`, { exitCode: EXIT_USAGE })
  }
  return [...given.map(([name, value]) => `--${name}=${value}`), ...others]
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

/** Whole, and one for a node: nothing is touched for another. */
function readToken(path: string): string {
  let text: string
  try {
    text = readFileSync(path === '-' ? 0 : path, 'utf8').trim()
  } catch (error) {
    const message = `--token-file: ${messageOf(error)}`
    throw new AppError('unreadable', message, { cause: error, exitCode: EXIT_UNREADABLE })
  }
  if (parseToken(text)?.kind === 'node') return text
  const message = '--token-file: that is no token for a node, as obelisk token create prints it'
  throw new AppError('token-malformed', message, { exitCode: EXIT_BAD_INPUT })
}

function readPassword(path: string): string {
  let password: string
  try {
    password = readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    const message = `--password-file: ${messageOf(error)}`
    throw new AppError('unreadable', message, { cause: error, exitCode: EXIT_UNREADABLE })
  }
  if (password === '') {
    const message = `--password-file: ${path} is empty`
    throw new AppError('unreadable', message, { exitCode: EXIT_UNREADABLE })
  }
  return password
}

const HEADER: Readonly<Record<Role, string>> = {
  agent: '# Configuration of the Obelisk agent. Every option: obelisk agent --help\n',
  gateway: '# Configuration of the Obelisk gateway. Every option: obelisk gateway --help\n',
}

/** The file as it is to be; of one that is there, only the keys that are set change. */
export function configurationText(role: Role, settings: Settings, present: string | undefined) {
  if (present === undefined) return setKeys(HEADER[role], settings.values)
  return setKeys(present, settings.values)
}
