/**
 * The documents say what the code does, and the code does what the documents say. Each check is a
 * function from files to problems. It is run on the tree, where it must find none, and on the tree
 * with one text replaced by another, where it must find some: so no check can be empty.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { Metrics } from '../broker/adapters/metrics.ts'
import { MQTT_LIMITS } from '../broker/adapters/mqtt-options.ts'
import { PACKET_BOUNDS } from '../broker/adapters/mqtt-packets.ts'
import { problemOfRefusal } from '../broker/adapters/problem-json.ts'
import { GATEWAY_OPTIONS, GATEWAY_TABLES } from '../broker/config.ts'
import type { RefusalCode } from '../broker/core/effects.ts'
import type { Task } from '../broker/core/state/task-ledger.ts'
import { encodeResult } from '../broker/core/state/task-messages.ts'
import { AGENT_OPTIONS } from '../firmware-agent/config.ts'
import { PROGRAMS, runCommand } from '../scripts/commands/program.ts'
import { PACKAGE_FLAGS } from '../scripts/package/config.ts'
import { parseFields } from '../shared/grid/fields.ts'
import { Geometry } from '../shared/grid/geometry.ts'
import { OPERATIONS_SHOWN, TASK_OPERATIONS } from '../shared/operations/catalog.ts'
import { GATHER_LSUS_MAX } from '../shared/operations/gather.ts'
import { GET_LSUS_MAX } from '../shared/operations/get.ts'
import { PART_BYTES_MAX } from '../shared/operations/operation.ts'
import { SCATTER_LSUS_MAX } from '../shared/operations/scatter.ts'
import { SQUARES_MAX } from '../shared/operations/squares.ts'
import { STAT_BINS_MAX } from '../shared/operations/stat.ts'
import { decodeCbor } from '../shared/protocol/cbor.ts'
import * as limits from '../shared/protocol/limits.ts'
import { downSchema, upSchema } from '../shared/protocol/messages.ts'
import { PROBLEMS_MAX } from '../shared/protocol/problems.ts'
import { SECURITY_EVENTS } from '../shared/protocol/security-events.ts'
import { MEMBER_STATES, TASK_STATES } from '../shared/protocol/states.ts'
import { parseSubmission } from '../shared/protocol/task.ts'
import { TELEMETRY_NUMBERS } from '../shared/protocol/telemetry.ts'
import {
  buildTopic,
  parseTopic,
  TOPIC_BASE_DEFAULT,
  type Topic,
} from '../shared/protocol/topics.ts'
import * as errors from '../shared/runtime/errors.ts'
import { flagOf, keyOf, type OptionTable } from '../shared/runtime/option-table.ts'
import { codesIn, Markdown } from './support/markdown.ts'
import { SIMULATE_FLAGS } from './support/simulate-command.ts'
import { collectCodes, type SpokenCode } from './support/spoken-codes.ts'

const ROOT = new URL('../', import.meta.url)

/** As it is on the disk: looked at again and again. */
const onDisk = new Map<string, string>()
const pages = new Map<string, Markdown>()
const folders = new Map<string, readonly string[]>()

/** The same value for the same key, made once. */
function once<Value>(made: Map<string, Value>, key: string, make: () => Value): Value {
  const known = made.get(key)
  if (known !== undefined) return known
  const value = make()
  made.set(key, value)
  return value
}

/** The files of the tree, one of them changed perhaps. */
class Files {
  readonly #changed: ReadonlyMap<string, string>

  constructor(changed: ReadonlyMap<string, string> = new Map()) {
    this.#changed = changed
  }

  text(path: string): string {
    const changed = this.#changed.get(path)
    return changed ?? once(onDisk, path, () => readFileSync(new URL(path, ROOT), 'utf8'))
  }

  page(path: string): Markdown {
    const text = this.text(path)
    return once(pages, text, () => new Markdown(text))
  }

  json(path: string): Record<string, unknown> {
    return JSON.parse(this.text(path)) as Record<string, unknown>
  }

  /** What lies below a folder and ends so, and what was added there. */
  below(folder: string, ending: string): string[] {
    const paths = once(folders, `${folder} ${ending}`, () =>
      ts.sys
        .readDirectory(new URL(folder, ROOT).pathname, [ending])
        .map((path) => posix.relative(ROOT.pathname, path)),
    )
    const added = [...this.#changed.keys()].filter(
      (path) => path.startsWith(`${folder}/`) && path.endsWith(ending),
    )
    return [...new Set([...paths, ...added])].sort()
  }

  has(path: string): boolean {
    return this.#changed.has(path) || existsSync(new URL(path, ROOT))
  }

  /** The same files, with a text replaced, or with a file more where `from` is empty. */
  with(path: string, from: string, to: string): Files {
    if (from === '') return new Files(new Map([[path, to]]))
    const before = this.text(path)
    const after = before.replace(from, () => to)
    if (after === before) throw new Error(`${path} does not hold "${from}"`)
    return new Files(new Map([[path, after]]))
  }
}

type Check = (files: Files) => string[] | Promise<string[]>
type Change = readonly [path: string, from: string, to: string]

const README = 'README.md'
const PROTOCOL = 'docs/protocol.md'
const OPERATIONS = 'docs/operations.md'
const DECISIONS = 'docs/decisions'

function pagesOf(files: Files): string[] {
  const root = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md']
  return [...root, ...files.below('docs', '.md').filter((path) => !path.startsWith(DECISIONS))]
}

/** What the code has and the document lacks, and the other way round; and what stands twice. */
function bothWays(what: string, documented: readonly string[], known: readonly string[]): string[] {
  const named = new Set(documented)
  return [
    ...known.filter((one) => !named.has(one)).map((one) => `${what}: ${one} is missing`),
    ...documented
      .filter((one) => !known.includes(one))
      .map((one) => `${what}: ${one} does not exist`),
    ...documented
      .filter((one, index) => documented.indexOf(one) !== index)
      .map((one) => `${what}: ${one} stands twice`),
  ]
}

// --------------------------------------------------------------------- topics

const NAMES_OF: Readonly<Record<string, object>> = {
  task: { task: '<task>' },
  node: { node: '<node>' },
  cell: { field: '<field>', x: '<x>', y: '<y>' },
  rule: { rule: '<rule>' },
}

function knownTopics(files: Files): string[] {
  const source = files.text('shared/protocol/topics.ts')
  const kinds = new Set(
    [...source.matchAll(/'((?:task|node|gateway|cell|rule)-[a-z-]+)'/g)].map(([, k]) => k),
  )
  return [...kinds].map((kind) => {
    const names = NAMES_OF[kind!.split('-')[0]!]
    const isAlone = /^(gateway-|task-(submit|rejected)$)/.test(kind!)
    const topic = (isAlone ? { kind } : { kind, ...names }) as Topic
    return buildTopic(TOPIC_BASE_DEFAULT, topic).slice(TOPIC_BASE_DEFAULT.length + 1)
  })
}

const topicsAreNamed: Check = (files) =>
  bothWays('topics', files.page(PROTOCOL).section('Topics').named(), knownTopics(files))

const namedTopicsExist: Check = (files) => {
  const known = knownTopics(files)
  return [README, PROTOCOL, OPERATIONS].flatMap((path) => {
    const page = files.page(path)
    const texts = [...page.codes(), ...page.blocks.map(({ text }) => text)]
    return texts
      .flatMap((text) => [
        ...text.matchAll(
          /(?<![\w/.-])(?:obelisk\/v1\/)?((?:task|node|gateway|cell|rule)\/[^\s'"`,)]+)/g,
        ),
      ])
      .map((match) => match[1]!)
      .filter((topic) => !isKnownTopic(topic, known))
      .map((topic) => `${path} names the topic ${topic}, which does not exist`)
  })
}

function isKnownTopic(topic: string, known: readonly string[]): boolean {
  // A cell has numbers for names.
  const [, field = ''] = /^cell\/(<field>|[a-z]+)/.exec(topic) ?? []
  const concrete = topic.replace(/<field>/, 'x').replace(/<\w+>|\+/g, field === '' ? 'x' : '0')
  if (!concrete.endsWith('#')) {
    return parseTopic(TOPIC_BASE_DEFAULT, `${TOPIC_BASE_DEFAULT}/${concrete}`) !== undefined
  }
  return known.some((one) => one.replace(/<\w+>/g, 'x').startsWith(concrete.slice(0, -1)))
}

// ------------------------------------------------------------------- messages

function discriminatorsOf(schema: typeof upSchema | typeof downSchema): string[] {
  return schema.options.map((option) => option.entries.t.literal)
}

const messagesAreNamed: Check = (files) => {
  const page = files.page(PROTOCOL)
  return [
    ...bothWays('up', page.section('Messages of a node').named(), discriminatorsOf(upSchema)),
    ...bothWays(
      'down',
      page.section('Messages of the gateway').named(),
      discriminatorsOf(downSchema),
    ),
  ]
}

const operationsAreNamed: Check = (files) =>
  [README, PROTOCOL].flatMap((path) =>
    bothWays(path, files.page(path).section('Operations').named(), TASK_OPERATIONS),
  )

/** The names that `{…}` of a cell has, those that may be left out with their mark. */
function argumentsIn(cell: string): string[] {
  const [, inside = ''] = /^`\{(.*?)\}`/.exec(cell.replace(/: (\{[^}]*\}|\[.*?\]\]?)/g, '')) ?? []
  return inside.split(', ').filter((name) => name !== '')
}

const argumentsAreNamed: Check = (files) =>
  files
    .page(PROTOCOL)
    .section('Operations')
    .rows()
    .flatMap(([op = '', , cell = '']) => {
      const known = OPERATIONS_SHOWN.find(({ op: name }) => op === `\`${name}\``)?.args ?? []
      const names = known.map(({ name, optional }) => `${name}${optional ? '?' : ''}`)
      return bothWays(op, argumentsIn(cell), names)
    })

const telemetryIsNamed: Check = (files) =>
  bothWays('telemetry', files.page(PROTOCOL).section('Telemetry').named(), TELEMETRY_NUMBERS)

const resultsAreNamed: Check = (files) => {
  const task = {
    id: 't',
    asked: 'stat',
    state: 'failed',
    effect: 'none',
    error: { code: 'deadline', message: '' },
    shards: { total: 1, done: 0, failed: 1 },
    acceptedTs: 0,
  } as unknown as Task
  const facts = {
    value: 1,
    copies: 1,
    consistent: false,
    range: [1, 2],
    lsus: 1,
    items: 1,
    nodes: 1,
    sealed: {},
    program: {},
  }
  const decoded = decodeCbor(encodeResult(task, facts as never, 1), limits.MESSAGE_LIMITS)
  const result = decoded.ok ? (decoded.value as object) : {}
  return bothWays('results', files.page(PROTOCOL).section('Results').named(), Object.keys(result))
}

const statesAreNamed: Check = (files) => {
  const said = files.page(PROTOCOL).section('States').codes()
  const members = files
    .text('docs/glossary.md')
    .split('\n\n')
    .find((entry) => entry.startsWith('**member**'))
  return [
    ...TASK_STATES.filter((state) => !said.includes(state)).map(
      (state) => `no task state ${state}`,
    ),
    ...bothWays('member states', codesIn(members ?? ''), MEMBER_STATES),
  ]
}

/** What a row of the limits says, and the constants that it must give. */
const LIMITS: readonly (readonly [row: RegExp, ...values: number[]])[] = [
  [/^payload of a submission/, limits.SUBMISSION_BYTES_MAX],
  [/^payload that is skipped/, limits.SUBMISSION_BYTES_SKIPPED_MAX],
  [/^items in a submission/, limits.ITEMS_MAX],
  [/^key of an item/, limits.ITEM_KEY_BYTES_MAX],
  [/^`deadline_ms`/, limits.DEADLINE_MS_MAX, limits.DEADLINE_MS_DEFAULT],
  [/`get` reads$/, GET_LSUS_MAX],
  [/`scatter` names$/, SCATTER_LSUS_MAX],
  [/`gather` names$/, GATHER_LSUS_MAX],
  [/^a reading is below/, limits.READING_BYTES_MAX],
  [/^readings in one message/, limits.READINGS_MAX, limits.READINGS_BYTES_MAX],
  [/^a message that an input reads/, limits.INPUT_BYTES_MAX],
  [/^bins/, STAT_BINS_MAX],
  [/^squares/, SQUARES_MAX],
  [/^problems/, PROBLEMS_MAX],
  [/^JSON mirror/, limits.JSON_MIRROR_BYTES_MAX],
  [/^message between/, limits.MESSAGE_BYTES_MAX],
  [/cut into parts/, PART_BYTES_MAX],
]

const limitsAreTrue: Check = (files) => {
  const rows = files.page(PROTOCOL).section('Limits').rows()
  const problems = rows
    .filter(([label = '']) => !LIMITS.some(([row]) => row.test(label)))
    .map(([label]) => `limits: "${label}" is none that is known`)
  for (const [row, ...values] of LIMITS) {
    const said = rows.find(([label = '']) => row.test(label))?.[1]
    const value = values.map((number) => number.toLocaleString('en')).join('; ')
    if (said !== value) problems.push(`limits: ${row} says ${said}, the code ${value}`)
  }
  const covered = LIMITS.flatMap(([, ...values]) => values)
  for (const [name, value] of Object.entries(limits)) {
    if (typeof value !== 'number' || covered.includes(value)) continue
    problems.push(`limits: no row for ${name}`)
  }
  return problems
}

/** Each bound of MQTT has a row, under its option if it has one. */
const mqttBoundsAreTrue: Check = (files) => {
  const rows = files.page(PROTOCOL).section('Bounds of MQTT').rows()
  const said = rows.map(([, value = '', option = '']) => `${value} ${option}`.trim())
  const options = Object.entries(MQTT_OPTIONS).map(([name, limit]) => {
    const option = GATEWAY_OPTIONS[name as keyof typeof MQTT_OPTIONS]
    const value: number = option.default
    const row = `${value.toLocaleString('en')} \`--${flagOf(name, option)}\``
    return value === MQTT_LIMITS[limit] ? row : `${name} is not that of MQTT_LIMITS`
  })
  const { clientIdBytesMax, topicBytesMax, filtersPerPacketMax } = PACKET_BOUNDS
  const fixed = [
    ...[MQTT_LIMITS.preConnectMax, MQTT_LIMITS.preConnectBytesMax, MQTT_LIMITS.bytesPerSecond],
    ...[MQTT_LIMITS.topicLevelsMax, MQTT_LIMITS.filterBytesMax, MQTT_LIMITS.backlogDropBytes],
    ...[MQTT_LIMITS.assemblyTimeoutMs / 1000, MQTT_LIMITS.stallTimeoutMs / 1000],
    ...[clientIdBytesMax, topicBytesMax, filtersPerPacketMax, limits.MESSAGE_BYTES_MAX],
  ].map((value) => value.toLocaleString('en'))
  return [...options, ...fixed]
    .filter((row) => !said.includes(row))
    .map((row) => `bounds of MQTT: no row says ${row}`)
}

/** Bounds of MQTT that are options. */
const MQTT_OPTIONS = {
  connectionsMax: 'connectionsMax',
  packetsPerSecond: 'packetsPerSecond',
  bufferedBytesMax: 'bufferedBytesMax',
  filtersPerClientMax: 'filtersPerClientMax',
  filtersTotalMax: 'filtersTotalMax',
  sessionsMax: 'sessionsMax',
  sessionMessagesMax: 'queueMessagesMax',
  sessionBytesMax: 'queueBytesMax',
  sessionsBytesMax: 'queuedBytesMax',
  retainedMessagesMax: 'retainedMessagesMax',
  retainedBytesMax: 'retainedBytesMax',
  backlogBytesMax: 'backlogCloseBytes',
  backlogTotalMax: 'backlogTotalMax',
} as const

// ----------------------------------------------------------------------- HTTP

/** `app.get('/path', …)`, and routes given as an object. */
function knownRoutes(files: Files): string[] {
  return files
    .below('broker/adapters', '.ts')
    .filter((path) => /\/http-/.test(path))
    .flatMap((path) => {
      const text = files.text(path)
      return [
        ...[...text.matchAll(/\bapp\.(get|post|put|delete)\('([^']+)'/g)],
        ...[...text.matchAll(/method: '([A-Z]+)',\s+url: '([^']+)'/g)],
      ].map(([, method, url]) => `${method!.toUpperCase()} ${url}`)
    })
}

const routesAreNamed: Check = (files) =>
  bothWays('routes', files.page(PROTOCOL).section('HTTP').named(), knownRoutes(files))

// ---------------------------------------------------------------------- tasks

const fields = parseFields(
  GATEWAY_OPTIONS.fields.type.format(GATEWAY_OPTIONS.fields.default as never),
)
const grid = {
  geometry: new Geometry({
    ...(GATEWAY_OPTIONS.grid.default as { width: number; height: number }),
    tile: 16,
  }),
  fields: 'fields' in fields ? fields.fields : [],
}

/** The tasks that a page shows: JSON blocks, and payloads of mosquitto_pub and curl. */
function tasksOf(page: Markdown): string[] {
  const json = page.blocks.filter(({ language }) => language === 'json').map(({ text }) => text)
  const payloads = page.commands().flatMap((line) => [...line.matchAll(/ -[md] '(\{.*?\})'( |$)/g)])
  return [...json, ...payloads.map((match) => match[1]!)]
}

/** Examples are for a gateway with the default grid, as the pages say. */
const tasksAreAccepted: Check = (files) =>
  [README, PROTOCOL].flatMap((path) => {
    const tasks = tasksOf(files.page(path))
    if (tasks.length < 2) return [`${path} shows ${tasks.length} tasks`]
    return tasks.flatMap((task) => {
      const result = parseSubmission(Buffer.from(task), grid)
      return result.ok ? [] : result.problems.map(({ message }) => `${path}: ${task}: ${message}`)
    })
  })

// ---------------------------------------------------------------------- codes

function spokenCodes(files: Files): SpokenCode[] {
  return ['shared', 'broker', 'firmware-agent', 'scripts']
    .flatMap((folder) => files.below(folder, '.ts'))
    .flatMap((path) => collectCodes(path, files.text(path)))
}

function saidAs({ code, said }: SpokenCode): string[] {
  if (said !== 'refusal' && said !== 'problem') return [said]
  const { status } = problemOfRefusal({ code: code as RefusalCode, message: '' }, undefined)
  return said === 'problem' ? [said, `HTTP ${status}`] : [`HTTP ${status}`]
}

const codesAreExplained: Check = (files) => {
  const known = new Map<string, Set<string>>()
  for (const spoken of spokenCodes(files)) {
    if (spoken.said === 'connection') continue
    const said = known.get(spoken.code) ?? new Set()
    for (const one of saidAs(spoken)) said.add(one)
    known.set(spoken.code, said)
  }
  const rows = files.page(OPERATIONS).section('Codes').rows()
  const named = rows.map(([code = '']) => codesIn(code)[0] ?? '')
  const problems = bothWays('codes', named, [...known.keys()])
  if (named.join() !== named.toSorted().join()) problems.push('codes: not in order')
  rows.forEach(([, said = '', meaning, remedy], index) => {
    const code = named[index]!
    const documented = said.split(', ').filter((one) => one !== '')
    if (!meaning || !remedy) problems.push(`codes: ${code} is not explained`)
    problems.push(...bothWays(`code ${code}`, documented, [...(known.get(code) ?? [])]))
  })
  return problems
}

/** What the table of the security log says of each event. */
const securityEventsAreNamed: Check = (files) => {
  const rows = files.page(OPERATIONS).section('Security log').rows()
  const said = rows.map(([event = '', level, weight]) => `${codesIn(event)[0]} ${level} ${weight}`)
  const known = Object.entries(SECURITY_EVENTS).map(
    ([event, { level, weight }]) => `${event} ${level} ${weight}`,
  )
  return [
    ...bothWays('security events', said, known),
    ...rows
      .filter(([, , , when]) => !when)
      .map(([event]) => `security events: ${event} is not explained`),
  ]
}

const connectionReasonsAreNamed: Check = (files) => {
  const known = spokenCodes(files).filter(({ said }) => said === 'connection')
  const section = files.page(OPERATIONS).section('Refused MQTT connections')
  const lists = section.text.split('\n').filter((line) => /^(- | {2})/.test(line))
  return bothWays('reasons', codesIn(lists.join('\n')), [...new Set(known.map(({ code }) => code))])
}

const exitCodesAreNamed: Check = (files) => {
  const known = Object.entries(errors)
    .filter(([name]) => name.startsWith('EXIT_'))
    .map(([name, code]) => `${code} ${name}`)
  const rows = files.page(OPERATIONS).section('Exit codes').rows()
  const said = rows.map(([code, name = '']) => `${code} ${codesIn(name)[0]}`)
  return bothWays('exit codes', said, known)
}

// -------------------------------------------------------------------- metrics

const metricsAreNamed: Check = async (files) => {
  const mqtt = { dropped: {}, refused: {} }
  const nothing = { nodes: [], counts: {}, mqtt, httpRefused: {}, cellsRefused: {}, security: {} }
  const text = await new Metrics({ version: '0', nodesMax: 2 }, () => nothing).render()
  const known = [...text.matchAll(/^# TYPE (obelisk_\w+) /gm)].map((match) => match[1]!)
  return [
    ...bothWays('metrics', files.page(OPERATIONS).section('Metrics').named(), known),
    ...pagesOf(files).flatMap((path) =>
      [...files.text(path).matchAll(/\bobelisk_[a-z_]+\b/g)]
        .map(([name]) => name)
        .filter((name) => !known.includes(name))
        .map((name) => `${path} names the metric ${name}, which does not exist`),
    ),
  ]
}

// ------------------------------------------------------------------- commands

interface Known {
  /** `task submit`, `gateway`. */
  readonly commands: ReadonlyMap<string, ReadonlySet<string>>
  readonly groups: ReadonlySet<string>
}

let asked: Promise<Known> | undefined

function knownCommands(): Promise<Known> {
  asked ??= askForCommands()
  return asked
}

/** Asks the program itself, by its help, for every command and its flags. */
async function askForCommands(): Promise<Known> {
  const commands = new Map<string, Set<string>>()
  const groups = new Set<string>()
  const tables: Readonly<Record<string, OptionTable>> = {
    gateway: GATEWAY_OPTIONS,
    agent: AGENT_OPTIONS,
  }
  for (const [name, table] of Object.entries(tables)) {
    const flags = Object.entries(table).map(([option, one]) => `--${flagOf(option, one)}`)
    commands.set(name, new Set([...flags, '--config', '--help']))
  }
  const explore = async (path: string[]): Promise<void> => {
    const help = await helpOf(path)
    const below = sectionOf(help, 'Commands').filter((name) => name !== 'help')
    if (below.length > 0 && path.length > 0) groups.add(path.join(' '))
    // Some take arguments besides.
    const isCommand = below.length === 0 || /^Usage: .* \[command\] [[<]/.test(help)
    if (isCommand) commands.set(path.join(' '), new Set(sectionOf(help, 'Options')))
    for (const name of below) {
      if (path.length === 0 && Object.hasOwn(PROGRAMS, name)) {
        if (!commands.has(name)) commands.set(name, new Set(['--help']))
        // Words to a program, which it does not read itself.
        const words = sectionOf(await helpOf([name]), 'Commands').filter((word) => word !== 'help')
        for (const word of words) await explore([name, word])
      } else await explore([...path, name])
    }
  }
  await explore([])
  // An installation takes the options of the program that it installs.
  for (const flag of [...commands.get('agent')!, ...commands.get('gateway')!]) {
    commands.get('install')!.add(flag)
  }
  return { commands, groups }
}

async function helpOf(path: readonly string[]): Promise<string> {
  let help = ''
  const stdout = { write: (text: string | Uint8Array) => (help += text) }
  const stdin = (async function* () {})()
  await runCommand([...path, '--help'], { stdout, stderr: stdout, stdin, environment: {} }, '0')
  return help
}

/** The names in one section of a help: commands, or long flags. */
function sectionOf(help: string, title: string): string[] {
  const section = help.split(`${title}:\n`)[1]?.split('\n\n')[0] ?? ''
  const name = title === 'Commands' ? /^ {2}([\w-]+)/ : /^ {2}(?:-\w, )?(--[a-z0-9-]+)/
  return section.split('\n').flatMap((line) => name.exec(line)?.[1] ?? [])
}

/** The words after `obelisk` in what a page shows as code. */
function invocationsOf(page: Markdown): string[][] {
  return [...page.commands(), ...page.codes()]
    .flatMap((text) => [...text.matchAll(/(?:^|npx )obelisk(?: ([^|;&]*?))?(?: &)?$/g)])
    .map(([, words = '']) => words.split(' ').filter((word) => word !== ''))
    .filter((words) => words.length > 0 && !words[0]!.startsWith('/'))
}

const commandsExist: Check = async (files) => {
  const { commands, groups } = await knownCommands()
  const problems: string[] = []
  const named = new Set<string>()
  for (const path of pagesOf(files)) {
    for (const words of invocationsOf(files.page(path))) {
      const heads = [3, 2, 1].map((count) => words.slice(0, count).join(' '))
      const [first = '', second = ''] = words
      const isBelow = groups.has(first) && second !== ''
      const isKnown = (head: string): boolean => commands.has(head)
      const command = heads.find(isKnown) ?? (isBelow ? `${first} ${second}` : first)
      named.add(command)
      const flags = commands.get(command)
      if (flags === undefined && !groups.has(command)) {
        problems.push(`${path}: there is no command "obelisk ${command}"`)
      }
      for (const flag of words.filter((word) => word.startsWith('--'))) {
        if (flags === undefined || flags.has(flag.split('=')[0]!)) continue
        problems.push(`${path}: obelisk ${command} has no ${flag}`)
      }
    }
  }
  for (const command of commands.keys()) {
    const group = command.split(' ')[0]!
    if (!named.has(command) && !named.has(group))
      problems.push(`no page names "obelisk ${command}"`)
  }
  return problems
}

/** Flags in prose are of one of our programs, whichever. */
const flagsExist: Check = async (files) => {
  const { commands } = await knownCommands()
  const ofSimulator = Object.keys(SIMULATE_FLAGS).map((flag) => `--${flag}`)
  const ofPackaging = Object.keys(PACKAGE_FLAGS).map((flag) => `--${flag}`)
  const known = new Set(
    [...commands.values()].flatMap((flags) => [...flags]).concat(ofSimulator, ofPackaging),
  )
  return pagesOf(files).flatMap((path) =>
    files
      .page(path)
      .codes()
      .flatMap((code) => /^--[a-z0-9-]+/.exec(code)?.[0] ?? [])
      .filter((flag) => !known.has(flag))
      .map((flag) => `${path} names the flag ${flag}, which does not exist`),
  )
}

/** Keys of a configuration that a page shows, above its tables and in them. */
const keysExist: Check = (files) => {
  const keysOf = (table: OptionTable): string[] =>
    Object.entries(table).map(([name, option]) => keyOf(name, option))
  const known = new Map([
    ['', [...keysOf(GATEWAY_OPTIONS), ...keysOf(AGENT_OPTIONS)]],
    ...Object.values(GATEWAY_TABLES).map(
      ({ key, columns }) => [`[[${key}]]`, keysOf(columns)] as [string, string[]],
    ),
  ])
  const named = (text: string): string[] => {
    let table = ''
    return text.split('\n').flatMap((line) => {
      table = /^\[.*\]$/.exec(line)?.[0] ?? table
      const key = /^([\w-]+) =/.exec(line)?.[1]
      return key === undefined || known.get(table)?.includes(key) ? [] : [`${table} ${key}`.trim()]
    })
  }
  return pagesOf(files).flatMap((path) =>
    files
      .page(path)
      .blocks.filter(({ language }) => language === 'toml')
      .flatMap(({ text }) => named(text))
      .map((key) => `${path} names the key ${key}, which does not exist`),
  )
}

const scriptsExist: Check = (files) => {
  const scripts = Object.keys(files.json('package.json').scripts as object)
  return pagesOf(files).flatMap((path) => {
    const page = files.page(path)
    return [...page.commands(), ...page.codes()]
      .flatMap((text) => [...text.matchAll(/\bnpm (?:run ([\w-]+)|(start|test))/g)])
      .map((match) => match[1] ?? match[2]!)
      .filter((script) => !scripts.includes(script))
      .map((script) => `${path} names the script ${script}, which does not exist`)
  })
}

// ---------------------------------------------------------------------- links

const linksResolve: Check = (files) =>
  [...pagesOf(files), ...files.below(DECISIONS, '.md')].flatMap((path) =>
    files
      .page(path)
      .links()
      .filter((link) => !/^https?:/.test(link))
      .filter((link) => {
        const [target = '', anchor] = link.split('#')
        const file = target === '' ? path : posix.join(posix.dirname(path), target)
        if (!files.has(file)) return true
        return anchor !== undefined && !files.page(file).anchors().includes(anchor)
      })
      .map((link) => `${path} links to ${link}, which is not there`),
  )

/** Paths of the tree that a page names as code. Decisions are not rewritten when files move. */
const pathsExist: Check = (files) => {
  const isPath = /^(?:shared|broker|firmware-agent|scripts|test|docs|systemd)\/[\w/.-]*$/
  const sources = ['shared', 'broker', 'firmware-agent', 'scripts', 'test'].flatMap((folder) =>
    files.below(folder, '.ts'),
  )
  return pagesOf(files).flatMap((path) =>
    files
      .page(path)
      .codes()
      .filter((code) => {
        if (isPath.test(code)) return !files.has(code)
        const isSource = /^[\w-]+\.ts$/.test(code)
        return isSource && !sources.some((source) => source.endsWith(`/${code}`))
      })
      .filter((code) => code !== 'kebab-case.ts')
      .map((code) => `${path} names ${code}, which is not there`),
  )
}

// ------------------------------------------------------------ version, records

const versionIsOne: Check = (files) => {
  const { version } = files.json('package.json') as { version: string }
  const inSource = /VERSION = '([^']+)'/.exec(files.text('shared/runtime/version.ts'))?.[1]
  const latest = /^## (\S+)/m.exec(files.text('CHANGELOG.md'))?.[1]
  const said = { 'shared/runtime/version.ts': inSource, 'CHANGELOG.md': latest }
  return Object.entries(said)
    .filter(([, other]) => other !== version)
    .map(([path, other]) => `${path} says ${other}, package.json ${version}`)
}

const decisionsAreInOrder: Check = (files) => {
  const seen = new Set<string>()
  return files.below(DECISIONS, '.md').flatMap((path) => {
    const number = /\/(\d{4})-[a-z0-9-]+\.md$/.exec(path)?.[1]
    if (number === undefined) return [`${path} is not NNNN-title.md`]
    const problems = seen.has(number) ? [`${path}: the number ${number} is taken`] : []
    seen.add(number)
    const [title = '', , status = ''] = files.text(path).split('\n')
    if (!title.startsWith(`# ${number} · `)) problems.push(`${path}: its title has no ${number}`)
    if (!/^\d{4}-\d\d-\d\d · (accepted|superseded by \d{4})$/.test(status)) {
      problems.push(`${path}: "${status}" is not a date and a status`)
    }
    return problems
  })
}

// ---------------------------------------------------------------------- units

const unitsAreSound: Check = async (files) => {
  const { commands } = await knownCommands()
  const exits = Object.values(errors).filter((code) => typeof code === 'number')
  return files.below('systemd', '.service').flatMap((path) => {
    const unit = files.text(path)
    const start = /^ExecStart=\/usr\/bin\/node .*?\/usr\/lib\/obelisk-(\w+)\/(\w+)\.mjs(.*)$/m.exec(
      unit,
    )
    if (start === null) return [`${path} starts no program of ours`]
    const [, role = '', program = '', rest = ''] = start
    const isCommand = program === 'obelisk'
    const command = isCommand ? rest.trim().split(' ')[0]! : program
    const problems = posix.basename(path).startsWith(`obelisk-${role}${isCommand ? '-' : '.'}`)
      ? []
      : [`${path} starts a file of obelisk-${role}`]
    if (!isCommand && role !== program) {
      problems.push(`${path}: ${program}.mjs is not in obelisk-${role}`)
    }
    const flags = commands.get(command)
    if (flags === undefined) problems.push(`${path}: there is no command ${command}`)
    for (const flag of rest.match(/--[a-z-]+/g) ?? []) {
      if (!flags?.has(flag)) problems.push(`${path}: ${command} has no ${flag}`)
    }
    const rests = /^RestartPreventExitStatus=(.*)$/m.exec(unit)?.[1]?.split(' ')
    for (const code of rests ?? (isCommand ? [] : ['none'])) {
      if (!exits.includes(Number(code) as never)) problems.push(`${path}: no exit code ${code}`)
    }
    const page = files.text(OPERATIONS)
    const state = /^StateDirectory=(.*)$/m.exec(unit)?.[1] ?? ''
    const named = [posix.basename(path), ...(isCommand ? [] : [`/var/lib/${state}\``])]
    for (const name of named) {
      if (!page.includes(name)) problems.push(`${OPERATIONS} does not name ${name}`)
    }
    return problems
  })
}

// ----------------------------------------------------------------------- size

const LINES_MAX: Readonly<Record<string, number>> = { 'README.md': 160, 'ARCHITECTURE.md': 200 }

const pagesAreShort: Check = (files) => [
  ...Object.entries(LINES_MAX)
    .filter(([path, linesMax]) => files.text(path).split('\n').length > linesMax)
    .map(([path, linesMax]) => `${path} has more than ${linesMax} lines`),
  ...pagesOf(files)
    .filter((path) => !/^# \S/.test(files.text(path)))
    .map((path) => `${path} has no title`),
]

/** Each check, and changes of a file that it must notice one by one. */
const CHECKS: readonly [name: string, check: Check, changes: readonly Change[]][] = [
  [
    'every topic is in the protocol, and no other',
    topicsAreNamed,
    [
      [PROTOCOL, '| `node/<node>/info` |', '| `node/<node>/infos` |'],
      [PROTOCOL, '| `gateway/ring` | gateway |', '| `gateway/state` | gateway |'],
      ['shared/protocol/topics.ts', "'gateway-event'", "'gateway-news'"],
    ],
  ],
  [
    'topics that a page names exist',
    namedTopicsExist,
    [
      [README, "'obelisk/v1/task/+/state'", "'obelisk/v1/task/+/status'"],
      [README, 'obelisk/v1/task/submit', 'obelisk/v1/task/submit/now'],
      [OPERATIONS, '`gateway/event`', '`gateway/events`'],
    ],
  ],
  [
    'every internal message is in the protocol',
    messagesAreNamed,
    [
      [PROTOCOL, '| `gap` |', '| `hole` |'],
      [PROTOCOL, '| `wipe` |', '| `wipe`, `drop` |'],
    ],
  ],
  [
    'every operation is in the README and in the protocol',
    operationsAreNamed,
    [
      [README, '| `digest` |', '| `hash` |'],
      [PROTOCOL, '| `scale` | write |', '| scale | write |'],
    ],
  ],
  [
    'every argument of an operation is in the protocol',
    argumentsAreNamed,
    [
      [PROTOCOL, '{field, bins?}', '{field, bins}'],
      [PROTOCOL, '{field, value}', '{field, amount}'],
      [PROTOCOL, '{fields: {name: number}}', '{field: {name: number}}'],
    ],
  ],
  [
    'every field of telemetry is in the protocol',
    telemetryIsNamed,
    [[PROTOCOL, '| `rss_bytes` |', '| `heap_bytes` |']],
  ],
  [
    'every member of a result is in the protocol',
    resultsAreNamed,
    [[PROTOCOL, '| `copies` |', '| `replicas` |']],
  ],
  [
    'states of tasks and members are named',
    statesAreNamed,
    [
      [PROTOCOL, 'one of `completed`', 'one of `done`'],
      ['docs/glossary.md', '`dead` or `left`', '`gone` or `left`'],
    ],
  ],
  [
    'limits in the protocol are those of the code',
    limitsAreTrue,
    [
      [PROTOCOL, '| 65,536 |', '| 65,535 |'],
      [PROTOCOL, '| 86,400,000; 60,000 |', '| 60,000; 86,400,000 |'],
      [PROTOCOL, '| bins of a `stat` |', '| bars of a `stat` |'],
      [PROTOCOL, '| items in a submission | 100,000 |\n', ''],
    ],
  ],
  [
    'bounds of MQTT in the protocol are those of the code',
    mqttBoundsAreTrue,
    [
      [PROTOCOL, '| 10,000 | `--sessions-max` |', '| 10,001 | `--sessions-max` |'],
      [PROTOCOL, '| client id, bytes | 128 |', '| client id, bytes | 127 |'],
    ],
  ],
  [
    'every HTTP route is in the protocol',
    routesAreNamed,
    [
      [PROTOCOL, '`GET /api/ring`', '`GET /api/rings`'],
      ['broker/adapters/http-server.ts', "app.get('/readyz'", "app.get('/ready'"],
    ],
  ],
  [
    'tasks that a page shows are accepted by a gateway with defaults',
    tasksAreAccepted,
    [
      [README, '"field":"value","bins":4', '"field":"height","bins":4'],
      [README, '"op":"stat","args":{"field":"value"}}', '"op":"state","args":{"field":"value"}}'],
      [PROTOCOL, '"values": [1, 2, 3, 4]', '"values": [1, 2, 3]'],
    ],
  ],
  [
    'every code that is said is explained, as what it is said',
    codesAreExplained,
    [
      [OPERATIONS, '| `bad-answer` |', '| `worse-answer` |'],
      [OPERATIONS, '| `node-dead` | event error |', '| `node-dead` | event warn |'],
      [OPERATIONS, '| `overloaded` | HTTP 429,', '| `overloaded` | HTTP 500,'],
      [
        OPERATIONS,
        '| `id-taken` | node refused, disconnect |',
        '| `id-taken` | node refused, error |',
      ],
      ['broker/core/rules/writes.ts', "'drift'", "'divergence'"],
      ['broker/core/effects.ts', "| 'tile-missing'", "| 'tile-missing' | 'tile-busy'"],
      ['broker/core/new.ts', '', "context.notice('info', 'moon-rose', 'it did')"],
      ['shared/runtime/new.ts', '', "throw new AppError('fell-over', 'it did')"],
      [
        'shared/client/new.ts',
        '',
        "throw new ObeliskError({ code: 'fell-out', detail: 'it did' })",
      ],
      ['firmware-agent/new.ts', '', "log.warn({ code: 'rained' }, 'it did')"],
      ['broker/core/new.ts', '', "task.error = { code: 'too-wet', message: '' }"],
      ['broker/adapters/new.ts', '', "send({ status: 418, code: 'teapot', detail: '' })"],
      ['firmware-agent/core/new.ts', '', "class A { a() { this.#log('info', 'slept', '') } }"],
      [
        'shared/runtime/new.ts',
        '',
        "class A extends AppError { constructor() { super('new', '') } }",
      ],
      ['broker/new.ts', '', "log.tell({ event: 'login-failed', who, code: 'wrong-hat' })"],
      ['broker/core/new.ts', '', "emit({ type: 'disconnect', connection, reason: 'bored' })"],
    ],
  ],
  [
    'every event of the security log is named, with its level and weight',
    securityEventsAreNamed,
    [
      [OPERATIONS, '| `enrolled` |', '| `enroled` |'],
      [OPERATIONS, '| `locked` | warn |', '| `locked` | alarm |'],
      [OPERATIONS, '| `node-revoked` | warn | takes |', '| `node-revoked` | warn | grants |'],
    ],
  ],
  [
    'every reason for which an MQTT connection is refused is named',
    connectionReasonsAreNamed,
    [
      [OPERATIONS, '`filter-syntax`', '`filter-form`'],
      ['broker/adapters/mqtt-packets.ts', "| 'will-qos'", "| 'will-quality'"],
      ['broker/adapters/mqtt-gate.ts', "this.#refuse('stalled')", "this.#refuse('slow')"],
    ],
  ],
  [
    'every exit code is named',
    exitCodesAreNamed,
    [
      [OPERATIONS, '| 75 | `EXIT_TIMED_OUT` |', '| 76 | `EXIT_TIMED_OUT` |'],
      [OPERATIONS, '| 69 | `EXIT_UNAVAILABLE` |', '| 69 | `EXIT_AWAY` |'],
    ],
  ],
  [
    'every metric is named',
    metricsAreNamed,
    [
      [OPERATIONS, '| `obelisk_nodes` |', '| `obelisk_node_count` |'],
      [OPERATIONS, '`obelisk_log_bytes` at', '`obelisk_log_size_bytes` at'],
    ],
  ],
  [
    'commands that a page shows exist, and each is shown',
    commandsExist,
    [
      [README, 'npx obelisk task ls', 'npx obelisk task list'],
      [README, 'npx obelisk node ls', 'npx obelisk nodes'],
      [README, '--region 0,0,64,64', '--area 0,0,64,64'],
      [README, 'npx obelisk agent --id edge-2', 'npx obelisk agent --name edge-2'],
      ['CHANGELOG.md', ', and `obelisk demo`', ''],
    ],
  ],
  [
    'flags that a page names exist',
    flagsExist,
    [
      [OPERATIONS, '`--tasks-max`', '`--task-count-max`'],
      [README, '`--replicas` choose', '`--copies` choose'],
      ['docs/testing.md', '`--trace`', '`--tail`'],
      ['docs/packaging.md', '`--architecture`', '`--machine`'],
    ],
  ],
  [
    'keys of a configuration that a page shows exist',
    keysExist,
    [
      ['docs/integrations.md', 'bridge_url =', 'bridge-url ='],
      ['docs/configuration.md', 'telemetry_interval =', 'telemetry ='],
      ['docs/sensors.md', 'pointer = "/t', 'pionter = "/t'],
      ['docs/sensors.md', '[[input]]\ntopic', '[[inputs]]\ntopic'],
      ['docs/sensors.md', 'x = 12', 'tile = 12'],
    ],
  ],
  [
    'npm scripts that a page names exist',
    scriptsExist,
    [
      ['CONTRIBUTING.md', 'npm run lint ', 'npm run check '],
      ['package.json', '"start":', '"begin":'],
    ],
  ],
  [
    'links resolve',
    linksResolve,
    [
      [README, '(docs/testing.md)', '(docs/tests.md)'],
      [PROTOCOL, '(operations.md#codes)', '(operations.md#all-codes)'],
      [PROTOCOL, '[Results](#results)', '[Results](#result)'],
    ],
  ],
  [
    'files that a page names are there',
    pathsExist,
    [
      ['ARCHITECTURE.md', '`shared/grid/`', '`shared/geometry/`'],
      ['ARCHITECTURE.md', '`write-batch.ts`', '`write-group.ts`'],
      ['docs/testing.md', '`test/fuzz/`', '`test/fuzzing/`'],
    ],
  ],
  [
    'there is one version',
    versionIsOne,
    [
      ['package.json', '"version": "', '"version": "9'],
      ['shared/runtime/version.ts', "VERSION = '", "VERSION = '9"],
      ['CHANGELOG.md', '## 0', '## 90'],
    ],
  ],
  [
    'decision records have one number each, a date and a status',
    decisionsAreInOrder,
    [
      [`${DECISIONS}/0001-again.md`, '', '# 0001 · Again\n\n2026-01-01 · accepted\n'],
      [`${DECISIONS}/0099-new.md`, '', '# 0098 · New\n\n2026-01-01 · accepted\n'],
      [`${DECISIONS}/0099-new.md`, '', '# 0099 · New\n\n2026-01-01\n'],
      [`${DECISIONS}/notes.md`, '', '# Notes\n'],
    ],
  ],
  [
    'units start what is there, and the manual names them',
    unitsAreSound,
    [
      ['systemd/obelisk-agent.service', 'obelisk-agent/agent.mjs', 'obelisk/agent.mjs'],
      ['systemd/obelisk-agent.service', 'obelisk-agent/agent.mjs', 'obelisk-gateway/agent.mjs'],
      ['systemd/obelisk-agent.service', 'agent/agent.mjs', 'agent/node.mjs'],
      ['systemd/obelisk-agent.service', 'agent.mjs', 'agent.mjs --watchdog'],
      ['systemd/obelisk-gateway.service', 'ExitStatus=78', 'ExitStatus=80'],
      [OPERATIONS, '/var/lib/obelisk-agent`', '/var/lib/agent`'],
    ],
  ],
  [
    'pages have a title and are short enough to be read',
    pagesAreShort,
    [
      [README, '# Obelisk', '\n'.repeat(200)],
      ['docs/testing.md', '# Testing', 'Testing'],
    ],
  ],
]

t.test('the pages are there', (t) => {
  const pages = pagesOf(new Files())
  for (const path of [README, PROTOCOL, OPERATIONS, 'docs/testing.md', 'docs/glossary.md']) {
    t.ok(pages.includes(path), path)
  }
  t.ok(readdirSync(new URL(DECISIONS, ROOT)).length >= 5)
  t.end()
})

const tree = new Files()

for (const [name, check, changes] of CHECKS) {
  t.test(name, async (t) => {
    t.same(await check(tree), [], 'the tree keeps it')
    for (const [path, from, to] of changes) {
      const problems = await check(tree.with(path, from, to))
      t.not(problems.length, 0, `${path}: ${from || to} is noticed`)
    }
  })
}
