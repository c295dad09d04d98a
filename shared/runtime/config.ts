/**
 * The configuration of a program, from its one option table: a TOML file, then the environment,
 * then flags; later ones win. Everything that is wrong is named at once, before anything opens. An
 * option `heartbeatMs` is the flag `--heartbeat-ms`, the variable `OBELISK_HEARTBEAT_MS` and the
 * key `heartbeat_ms`.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { count } from '../../shared/core/count.ts'
import { didYouMean } from '../core/near-match.ts'
import { own } from '../core/own.ts'
import { AppError, EXIT_CONFIG, EXIT_USAGE, messageOf } from './errors.ts'
import { parseFlags } from './flags.ts'
import { KNOWN_VARIABLES } from './known-variables.ts'
import {
  type DefaultContext,
  type Environment,
  flagOf,
  keyOf,
  type Option,
  type OptionTable,
  type Relation,
  type Values,
  variableOf,
} from './option-table.ts'
import { type OptionParsing, parseFileValue } from './option-types.ts'
import {
  type Entries,
  isTable,
  type NoTables,
  readEntries,
  type TableArrays,
} from './table-arrays.ts'

export interface Program<T extends OptionTable, A extends TableArrays = NoTables> {
  /** `gateway`: the command, and the name of its file. */
  readonly name: string
  readonly about: string
  /** What may stand after the name instead of options, and what it does. */
  readonly words?: Readonly<Record<string, string>>
  readonly options: T
  /** What the file alone may say, any number of times. No name is that of an option. */
  readonly tables?: A
  /** Keys of a file that there were, and what to do about each. */
  readonly gone?: Readonly<Record<string, string>>
  readonly relations: readonly Relation<T>[]
}

export type Source = 'default' | 'file' | 'environment' | 'flag'

export type Settings<T extends OptionTable, A extends TableArrays> = Values<T> & Entries<A>

export type Loaded<T extends OptionTable, A extends TableArrays = NoTables> =
  | { readonly kind: 'help' }
  | {
      readonly kind: 'options'
      readonly values: Settings<T, A>
      readonly sources: Readonly<Record<keyof T, Source>>
      /** The file that was read, if there was one. */
      readonly file: string | undefined
    }

/** Every problem at once. Exit code 2 when the command line itself is misused, else 78. */
export class ConfigError extends AppError {
  readonly problems: readonly string[]

  constructor(problems: readonly string[], exitCode: number = EXIT_CONFIG) {
    const head = count(problems.length, 'problem')
    const message = `${head} in the configuration:\n${problems.map((p) => `  ${p}`).join('\n')}`
    super('config-invalid', message, { exitCode })
    this.name = 'ConfigError'
    this.problems = problems
  }
}

/** Does all of these, and throws one ConfigError with the problems of those that found some. */
export function allSound<T extends readonly unknown[]>(
  ...looks: { readonly [K in keyof T]: () => T[K] }
): T {
  const problems: string[] = []
  const found = looks.map((look) => {
    try {
      return look()
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      problems.push(...error.problems)
      return undefined
    }
  })
  if (problems.length > 0) throw new ConfigError(problems)
  return found as readonly unknown[] as T
}

const CONFIG_VARIABLE = 'OBELISK_CONFIG'

export function defaultFile(programName: string): string {
  return `/etc/obelisk/${programName}.toml`
}

/** Reads the configuration; with `mayHaveGone` as if keys that there were had been taken out. Throws ConfigError. */
export async function loadConfig<T extends OptionTable, A extends TableArrays = NoTables>(
  program: Program<T, A>,
  argv: readonly string[],
  environment: Environment,
  { mayHaveGone = false } = {},
): Promise<Loaded<T, A>> {
  const loading = new Loading(program, environment)
  const flags = parseFlags(program.options, argv, Object.keys(program.words ?? {}))
  if (flags.isHelpAsked) return { kind: 'help' }
  for (const problem of flags.problems) loading.misused(problem)
  const file = await loading.readFile(flags.file, mayHaveGone)
  loading.readEnvironment()
  for (const { name, text } of flags.given) loading.takeText(name, text, 'flag')
  return { kind: 'options', ...loading.finish(), file }
}

class Loading<T extends OptionTable, A extends TableArrays> {
  readonly #program: Program<T, A>
  readonly #environment: Environment
  readonly #names: readonly string[]
  readonly #values = new Map<string, unknown>()
  readonly #sources = new Map<string, Source>()
  readonly #problems: string[] = []
  readonly #unsound = new Set<string>()
  #isMisused = false

  constructor(program: Program<T, A>, environment: Environment) {
    this.#program = program
    this.#environment = environment
    this.#names = Object.keys(program.options)
    for (const name of Object.keys(this.#tables)) this.#values.set(name, Object.freeze([]))
  }

  misused(problem: string): void {
    this.#isMisused = true
    this.#problems.push(problem)
  }

  async readFile(fromFlag: string | undefined, mayHaveGone: boolean): Promise<string | undefined> {
    const named = fromFlag ?? (this.#environment[CONFIG_VARIABLE] || undefined)
    const path = named ?? defaultFile(this.#program.name)
    if (named === undefined && !existsSync(path)) return undefined
    let content: Record<string, unknown>
    try {
      // Most agents have no file, and the parser's memory is theirs to keep.
      const { parse } = await import('smol-toml')
      content = parse(readFileSync(path, 'utf8'))
    } catch (error) {
      this.#problems.push(`${path}: ${fileFault(error)}`)
      return path
    }
    const keys = new Map(this.#names.map((name) => [keyOf(name, this.#option(name)), name]))
    const tables = new Map(Object.entries(this.#tables).map(([name, { key }]) => [key, name]))
    for (const [key, value] of Object.entries(content)) {
      const name = keys.get(key)
      const table = tables.get(key)
      const gone = name === undefined ? own(this.#program.gone ?? {}, key) : undefined
      if (gone !== undefined) {
        if (!mayHaveGone) this.#problems.push(`${path}: ${key}: ${gone}`)
      } else if (table !== undefined) {
        const { entries, problems } = readEntries(this.#tables[table]!, value, [...keys.keys()])
        this.#values.set(table, entries)
        this.#problems.push(...problems.map((problem) => `${path}: ${problem}`))
      } else if (name === undefined) {
        const words = [...keys.keys(), ...[...tables.keys()].map((one) => `[[${one}]]`)]
        const given = typeof value === 'object' ? `[[${key}]]` : key
        const near = didYouMean(given, words)
        const above = isTable(value) ? `: keys stand at the top, below no [${key}]` : ''
        this.#problems.push(`${path}: unknown key "${key}"${near || above}`)
      } else {
        this.#takeFileValue(name, value, path)
      }
    }
    return path
  }

  #takeFileValue(name: string, value: unknown, path: string): void {
    const option = this.#option(name)
    this.#take(name, parseFileValue(option.type, value), 'file', `${path}: ${keyOf(name, option)}`)
  }

  readEnvironment(): void {
    const variables = new Map(
      this.#names.map((name) => [variableOf(name, this.#option(name)), name]),
    )
    for (const [variable, text] of Object.entries(this.#environment).sort()) {
      if (!variable.startsWith('OBELISK_') || !text) continue
      const name = variables.get(variable)
      if (name !== undefined) this.takeText(name, text, 'environment')
      else if (!KNOWN_VARIABLES.includes(variable)) {
        const hint = didYouMean(variable, [...variables.keys(), CONFIG_VARIABLE])
        this.#problems.push(`unknown variable ${variable}${hint}`)
      }
    }
  }

  takeText(name: string, text: string, source: 'environment' | 'flag'): void {
    const option = this.#option(name)
    const label = source === 'flag' ? `--${flagOf(name, option)}` : variableOf(name, option)
    this.#take(name, option.type.parse(text), source, label)
  }

  #take(name: string, parsing: OptionParsing<unknown>, source: Source, label: string): void {
    if (parsing.ok) {
      this.#values.set(name, parsing.value)
      this.#sources.set(name, source)
      return
    }
    this.#unsound.add(name)
    if (source === 'flag' && parsing.fault === 'malformed') this.#isMisused = true
    this.#problems.push(`${label}: ${parsing.message}`)
  }

  finish(): { values: Settings<T, A>; sources: Record<keyof T, Source> } {
    for (const name of this.#names) this.#fillDefault(name)
    const values = Object.fromEntries(this.#values) as Settings<T, A>
    for (const relation of this.#program.relations) {
      if (relation.of.some((name) => this.#unsound.has(name))) continue
      const problem = relation.check(values, (name) => this.#sources.get(name) !== 'default')
      if (problem !== undefined) this.#problems.push(problem)
    }
    if (this.#problems.length > 0) {
      throw new ConfigError(this.#problems, this.#isMisused ? EXIT_USAGE : EXIT_CONFIG)
    }
    Object.freeze(values)
    return {
      values,
      sources: Object.freeze(Object.fromEntries(this.#sources)) as Record<keyof T, Source>,
    }
  }

  #fillDefault(name: string): void {
    if (this.#values.has(name)) return
    const given = this.#option(name).default
    const context: DefaultContext = {
      environment: this.#environment,
      values: Object.fromEntries(this.#values),
    }
    this.#values.set(name, typeof given === 'function' ? given(context) : given)
    this.#sources.set(name, 'default')
  }

  get #tables(): TableArrays {
    return this.#program.tables ?? {}
  }

  #option(name: string): Option<unknown> {
    return this.#program.options[name]!
  }
}

/** What is wrong with a file, in a line; a TOML error draws the place below it, in lines of its own. */
export function fileFault(error: unknown): string {
  const { code } = error as { code?: unknown }
  if (code === 'ENOENT') return 'the file is not there'
  if (code === 'EISDIR') return 'it is a directory, where a file belongs'
  if (code === 'EACCES') return 'the file may not be read'
  const first = messageOf(error).split('\n')[0]!
  const line = (error as { line?: unknown }).line
  return typeof line === 'number' ? `${first} (line ${line})` : first
}

/**
 * A secret: from the file that the option names, else from the service manager's credential
 * (systemd.exec(5), LoadCredential=). Never from the environment or a flag, where others see it.
 */
export function readSecret(
  file: string | undefined,
  credential: string,
  environment: Environment,
): string | undefined {
  const directory = environment.CREDENTIALS_DIRECTORY
  const offered = directory ? join(directory, credential) : undefined
  const path = file ?? (offered !== undefined && existsSync(offered) ? offered : undefined)
  if (path === undefined) return undefined
  let secret: string
  try {
    secret = readFileSync(path, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    throw new ConfigError([`${path}: ${fileFault(error)}`])
  }
  if (secret === '') throw new ConfigError([`${path}: the file is empty`])
  return secret
}
