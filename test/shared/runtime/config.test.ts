import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { GATEWAY, GATEWAY_OPTIONS } from '../../../broker/config.ts'
import { AGENT, AGENT_OPTIONS, idDoubt, idFromHostname } from '../../../firmware-agent/config.ts'
import { closest, editDistance } from '../../../shared/core/near-match.ts'
import {
  ConfigError,
  loadConfig,
  type Program,
  readSecret,
} from '../../../shared/runtime/config.ts'
import { KNOWN_VARIABLES } from '../../../shared/runtime/known-variables.ts'
import { renderHelp, renderTablesMarkdown } from '../../../shared/runtime/option-pages.ts'
import { flagOf, type OptionTable, variableOf } from '../../../shared/runtime/option-table.ts'
import {
  boolean,
  duration,
  integer,
  list,
  number,
  text,
} from '../../../shared/runtime/option-types.ts'
import type { NoTables, TableArrays } from '../../../shared/runtime/table-arrays.ts'
import { renderConfigurationPage } from '../../support/configuration-page.ts'

type Env = Record<string, string | undefined>

async function load<T extends OptionTable, A extends TableArrays = NoTables>(
  program: Program<T, A>,
  argv: readonly string[],
  environment: Env = {},
) {
  const loaded = await loadConfig(program, argv, environment)
  if (loaded.kind !== 'options') throw new Error('help instead of options')
  return loaded
}

async function problemsOf<T extends OptionTable, A extends TableArrays = NoTables>(
  program: Program<T, A>,
  argv: readonly string[],
  environment: Env = {},
): Promise<ConfigError> {
  try {
    await load(program, argv, environment)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('the configuration was accepted')
}

t.test('the gateway starts from defaults alone', async (t) => {
  const { values, sources, file } = await load(GATEWAY, [])
  t.match(values, {
    host: '127.0.0.1',
    port: undefined,
    security: 'auto',
    httpPort: 8025,
    data: './obelisk-gateway',
    grid: { width: 1024, height: 1024 },
    tile: 16,
    replicas: 2,
    fields: [{ name: 'value', type: 'f64' }],
    topicBase: 'obelisk/v1',
    heartbeatMs: 2000,
    suspectAfterMs: 6000,
    deadAfterMs: 30_000,
    streamWindowBytes: 262_144,
    openBytesMax: 67_108_864,
    logLevel: 'info',
  })
  t.equal(file, undefined)
  t.ok(Object.values(sources).every((source) => source === 'default'))
  t.throws(() => Object.assign(values, { port: 1 }), TypeError, 'the result is frozen')
  t.throws(() => Object.assign(sources, { port: 'flag' }), TypeError)
})

t.test('every default lies in the range of its option', async (t) => {
  for (const table of [GATEWAY_OPTIONS, AGENT_OPTIONS] as OptionTable[]) {
    for (const [name, option] of Object.entries(table)) {
      if (option.default === undefined || typeof option.default === 'function') continue
      const text = option.type.format(option.default)
      t.match(option.type.parse(text), { ok: true, value: option.default }, `${name} = ${text}`)
    }
  }
})

t.test('flags win over the environment, and the environment over the file', async (t) => {
  const file = join(t.testdir(), 'gateway.toml')
  writeFileSync(file, 'port = 1\ntile = 8\nreplicas = 3\nload_bound = 1.25\ngrid = "64x32"\n')
  const environment = { OBELISK_PORT: '2', OBELISK_TILE: '32', OBELISK_HOST: '' }
  const loaded = await load(GATEWAY, ['--config', file, '--port=3'], environment)
  t.match(loaded.values, { port: 3, tile: 32, replicas: 3, loadBound: 1.25, host: '127.0.0.1' })
  t.same(loaded.values.grid, { width: 64, height: 32 })
  t.match(loaded.sources, {
    port: 'flag',
    tile: 'environment',
    replicas: 'file',
    host: 'default',
  })
  t.equal(loaded.file, file)
  const named = await load(GATEWAY, [], { OBELISK_CONFIG: file })
  t.equal(named.values.port, 1, 'the environment may name the file')
})

t.test('all problems are named at once, and where they come from', async (t) => {
  const file = join(t.testdir(), 'gateway.toml')
  writeFileSync(file, 'prot = 1883\nreplicas = "two"\n[grid]\nwidth = 1\n')
  const environment = { OBELISK_TILE: '65', OBELISK_TILES: '4', OBELISK_URL: 'mqtt://other' }
  const error = await problemsOf(GATEWAY, ['--config', file, '--port', '70000'], environment)
  t.equal(error.exitCode, 78)
  t.equal(error.code, 'config-invalid')
  t.same(error.problems, [
    `${file}: unknown key "prot", did you mean port?`,
    `${file}: replicas: must be a number`,
    `${file}: grid: must be a string, such as "1024x1024"`,
    'OBELISK_TILE: 65 is out of range, 4 to 64 is taken',
    'unknown variable OBELISK_TILES, did you mean OBELISK_TILE?',
    '--port: 70000 is out of range, 0 to 65535 is taken',
  ])
  t.match(error.message, /^6 problems in the configuration:\n {2}/)
})

t.test('a misused command line is exit 2, a wrong value 78', async (t) => {
  const misuses: [string[], RegExp][] = [
    [['--prot', '1'], /unknown flag --prot, did you mean --port\?/],
    [['--HTTP_PORT=1'], /unknown flag --HTTP_PORT, did you mean --http-port\?/],
    [['--port', 'abc'], /--port: "abc" is not a number/],
    [['--port', '1.5'], /--port: 1.5 is not a whole number/],
    [['--port'], /--port needs a value/],
    [['--port', '--tile', '8'], /--port needs a value/],
    [['--port='], /--port needs a value/],
    [['stray'], /unexpected argument "stray"/],
    [['--grid', '10'], /--grid: "10" is not <width>x<height>/],
    [['--fields', 'Value:f64'], /--fields: "Value:f64" is not name:type/],
    [['-x'], /unknown flag -x/],
    [['--topic-base', 'a/#'], /--topic-base: "a\/#" is not 1 to 4 topic levels/],
  ]
  for (const [argv, expected] of misuses) {
    const error = await problemsOf(GATEWAY, argv)
    t.equal(error.exitCode, 2, argv.join(' '))
    t.match(error.problems.join('\n'), expected)
  }
  const wrong: string[][] = [
    ['--grid', '8193x1'],
    ['--grid', '0x1'],
    ['--tile', '3'],
    ['--replicas', '6'],
    ['--log-level', 'loud'],
    ['--load-bound', '0.5'],
  ]
  for (const argv of wrong) {
    const error = await problemsOf(GATEWAY, argv)
    t.equal(error.exitCode, 78, argv.join(' '))
    t.equal(error.problems.length, 1)
  }
  t.equal((await problemsOf(GATEWAY, [], { OBELISK_PORT: 'abc' })).exitCode, 78)
})

t.test('numbers may carry the suffix of their unit', async (t) => {
  const { values } = await load(GATEWAY, [
    '--heartbeat-ms=1.5s',
    '--dead-after-ms=5 min',
    '--open-bytes-max=2MiB',
    '--retention-hours=7d',
  ])
  t.match(values, {
    heartbeatMs: 1500,
    deadAfterMs: 300_000,
    openBytesMax: 2_097_152,
    retentionHours: 168,
  })
  const error = await problemsOf(GATEWAY, ['--heartbeat-ms=2 hours', '--tile=16KiB'])
  t.match(error.problems[0], /--heartbeat-ms: "2 hours" is not a number \(units: ms, s, min, h\)/)
  t.match(error.problems[1], /--tile: "16KiB" is not a number$/)
  for (const hostile of ['constructor', '1constructor', '1__proto__', 'NaN', 'Infinity', '0x10']) {
    await t.rejects(load(GATEWAY, [`--heartbeat-ms=${hostile}`]), ConfigError, hostile)
  }
})

t.test('options that do not fit together are refused', async (t) => {
  const error = await problemsOf(GATEWAY, [
    '--heartbeat-ms=3000',
    '--dead-after-ms=6000',
    '--replicas=2',
    '--min-in-sync=3',
    '--retention-tasks=1000',
    '--tasks-max=500',
    '--port=8025',
  ])
  t.equal(error.exitCode, 78)
  t.same(
    error.problems.map((problem) => problem.split(':')[0]),
    ['--http-port', '--suspect-after-ms', '--dead-after-ms', '--min-in-sync', '--retention-tasks'],
  )
  const single = await problemsOf(GATEWAY, [
    '--heartbeat-ms=999999',
    '--replicas=2',
    '--min-in-sync=3',
  ])
  t.equal(single.problems.length, 2, 'a relation with an unsound option is not judged')
  // A ledger that is there says how many replicas there are.
  t.equal((await load(GATEWAY, ['--min-in-sync=3'])).values.minInSync, 3)
})

t.test('a gateway that asks nobody who he is listens on loopback alone', async (t) => {
  for (const host of ['0.0.0.0', '::', '192.168.1.4', 'gateway.local', '127.evil.example']) {
    const hosts = ['--host', host, '--http-host', host]
    const error = await problemsOf(GATEWAY, [...hosts, '--security', 'off'])
    t.equal(error.exitCode, 78, host)
    t.match(error.problems, [/^--host: .*command the fleet/, /^--http-host: .*command the fleet/])
    t.equal((await load(GATEWAY, hosts)).values.host, host)
  }
  for (const host of ['127.0.0.1', '127.8.9.1', '::1', 'localhost']) {
    t.equal((await load(GATEWAY, ['--host', host])).values.host, host)
  }
})

t.test('a file that cannot be read or parsed is one problem', async (t) => {
  const directory = t.testdir({ 'bad.toml': 'port = 1\nport = \n' })
  const missing = await problemsOf(GATEWAY, ['--config', join(directory, 'none.toml')])
  t.match(missing.problems, [/none\.toml: the file is not there$/])
  t.equal(missing.exitCode, 78)
  const folder = await problemsOf(GATEWAY, ['--config', directory])
  t.same(folder.problems, [`${directory}: it is a directory, where a file belongs`])
  const broken = await problemsOf(GATEWAY, ['--config', join(directory, 'bad.toml')])
  t.match(broken.problems, [/bad\.toml: .*\(line 2\)$/])
  t.equal(broken.problems.length, 1)
  t.notMatch(broken.message, /\n.*\n.*\n/, 'one line a problem')
})

t.test('the agent finds its id and directory by itself', async (t) => {
  const { values } = await load(AGENT, [])
  t.match(values.id, /^[A-Za-z0-9_-]{1,64}$/)
  t.equal(values.data, `./obelisk-agent-${values.id}`)
  t.equal(values.enrollTokenFile, undefined)
  t.equal(values.telemetryIntervalSeconds, 10)
  const named = await load(AGENT, ['--id', 'pi-1', '--telemetry-interval', '1'])
  t.equal(named.values.data, './obelisk-agent-pi-1')
  t.equal(named.values.telemetryIntervalSeconds, 1)
  const unit = await load(AGENT, [], { STATE_DIRECTORY: '/var/lib/obelisk:/var/lib/more' })
  t.equal(unit.values.data, '/var/lib/obelisk')
  t.equal(idFromHostname('Pi Zero.local'), 'Pi-Zero')
  t.equal(idFromHostname('….example'), 'node')
  t.equal(idFromHostname('-'), 'node')
  t.equal(idFromHostname('x'.repeat(80)).length, 64)
})

t.test('a host name that makes an id of others, too, is said to', async (t) => {
  t.equal(idDoubt('edge-1'), undefined)
  t.match(idDoubt('pi.north.example'), 'only "pi" is taken')
  for (const name of ['localhost', 'localhost.localdomain', 'raspberrypi']) {
    t.match(idDoubt(name), 'many machines')
  }
})

t.test('the agent refuses ids, addresses and sizes that cannot work', async (t) => {
  const error = await problemsOf(AGENT, [
    '--id=a/b',
    '--url=http://host',
    '--slice-bytes-max=1MiB',
    '--weight=0',
  ])
  t.equal(error.exitCode, 2)
  t.same(
    error.problems.map((problem) => problem.split(':')[0]),
    ['--id', '--url', '--weight', '--slice-bytes-max'],
  )
  const secret = await problemsOf(AGENT, ['--url=mqtt://me:hunter2@host'])
  t.notMatch(secret.message, 'hunter2', 'a password is not repeated')
  for (const url of ['mqtt://host', 'mqtts://host:8883', 'mqtt://[::1]:1883']) {
    t.equal((await load(AGENT, ['--url', url])).values.url, url)
  }
})

t.test(
  'an agent has neither user name nor password, and a file of before is told what to do',
  async (t) => {
    for (const url of ['mqtt://pi@host', 'mqtt://pi:secret@host', 'mqtt://%ff@host']) {
      t.match((await problemsOf(AGENT, ['--url', url])).problems, [/^--url: neither a user name/])
    }
    const file = join(
      t.testdir({ 'agent.toml': 'username = "pi"\npassword_file = "p"\n' }),
      'agent.toml',
    )
    const { exitCode, problems } = await problemsOf(AGENT, ['--config', file])
    t.equal(exitCode, 78)
    t.match(problems, [/: username: .*obelisk install/, /: password_file: .*obelisk install/])
    const loaded = await loadConfig(AGENT, ['--config', file], {}, { mayHaveGone: true })
    t.match(loaded, { kind: 'options', values: { weight: 1 } })
  },
)

t.test('a bridge begins with topics and filters that MQTT knows', async (t) => {
  const given = ['site/+/', 'a#', '/\0']
  const filters = ['a/#/b', 'a+', 'zigbee2mqtt/#,b#', 'a,,b']
  for (const prefix of given) {
    const { problems } = await problemsOf(GATEWAY, ['--bridge-prefix-out', prefix])
    t.same(problems, [`--bridge-prefix-out: "${prefix}" cannot begin a topic`])
  }
  for (const list of filters) {
    const { problems } = await problemsOf(GATEWAY, [], { OBELISK_BRIDGE_TOPICS_IN: list })
    t.match(problems, [/^OBELISK_BRIDGE_TOPICS_IN: /])
    t.equal(problems.length, 1)
  }
  const good = ['--bridge-prefix-out', '/site-', '--bridge-topics-in', '#, a/+/b, $share/g/c/#']
  const { values } = await load(GATEWAY, [...good, '--bridge-url', 'mqtt://other'])
  t.equal(values.bridgePrefixOut, '/site-')
  t.same(values.bridgeTopicsIn, ['#', 'a/+/b', '$share/g/c/#'])
})

t.test('what is said of a bridge that there is not is an error', async (t) => {
  const names = ['username', 'password-file', 'ca', 'prefix-out', 'topics-in', 'token-file']
  const given = names.map((name) => `--bridge-${name}`)
  const all = given.flatMap((name) => [name, 'x'])
  const { exitCode, problems } = await problemsOf(GATEWAY, all)
  t.equal(exitCode, 78)
  t.same(
    problems,
    given.map((name) => `${name}: there is no bridge: --bridge-url says to which broker`),
  )
  await load(GATEWAY, [...all, '--bridge-url', 'mqtts://other'])
  const nameless = [...all.slice(2), '--bridge-url', 'mqtt://other']
  t.same((await problemsOf(GATEWAY, nameless)).problems, [
    '--bridge-password-file: a password is of a name: --bridge-username says which',
    '--bridge-ca: mqtt://other shows no certificate, mqtts:// does',
  ])
})

t.test('switches and lists', async (t) => {
  const program: Program<{
    verbose: { type: ReturnType<typeof boolean>; default: false; about: string }
    names: { type: ReturnType<typeof list>; about: string }
  }> = {
    name: 'example',
    about: 'An example.',
    options: {
      verbose: { type: boolean(), default: false, about: 'Says more.' },
      names: { type: list(), about: 'Names.' },
    },
    relations: [],
  }
  const file = join(t.testdir(), 'example.toml')
  writeFileSync(file, 'names = ["a", "b"]\nverbose = true\n')
  t.match((await load(program, ['--config', file])).values, { names: ['a', 'b'], verbose: true })
  const argv = ['--config', file, '--no-verbose', '--names', 'c, d']
  t.match((await load(program, argv)).values, { names: ['c', 'd'], verbose: false })
  t.equal((await load(program, ['--verbose'])).values.verbose, true)
  t.equal((await load(program, [])).values.names, undefined)
  t.equal((await problemsOf(program, ['--names=a,,b', '--verbose=maybe'])).problems.length, 2)
  writeFileSync(file, 'names = [1]\nverbose = "yes"\n')
  t.equal((await problemsOf(program, ['--config', file])).problems.length, 2)
})

const SENSORS = {
  name: 'example',
  about: 'An example.',
  options: { verbose: { type: boolean(), default: false, about: 'Says more.' } },
  tables: {
    sensors: {
      key: 'sensor',
      about: 'A place that is measured.',
      countMax: 3,
      columns: {
        place: { type: text(), isRequired: true, about: 'Where it is.' },
        scaleBy: { type: number({ min: -10, max: 10 }), default: 1, about: 'Times this.' },
        unit: { type: text(), about: 'As people write it.' },
      },
      relations: [
        {
          of: ['unit', 'scaleBy'],
          check: ({ unit, scaleBy }, isGiven) =>
            isGiven('scaleBy') && unit === undefined ? `unit: of what is ${scaleBy}?` : undefined,
        },
      ],
    },
  },
  relations: [],
} satisfies Program<OptionTable, TableArrays>

t.test('an array of tables comes from the file alone, and its entries are rows', async (t) => {
  const file = join(t.testdir(), 'example.toml')
  const argv = ['--config', file]
  t.same((await load(SENSORS, [])).values, { verbose: false, sensors: [] })
  writeFileSync(
    file,
    'verbose = true\n[[sensor]]\nplace = "a"\n[[sensor]]\nplace = "b"\nscale_by = 0.5\nunit = "V"\n',
  )
  const { values, sources } = await load(SENSORS, argv)
  t.same(values.sensors, [
    { place: 'a', scaleBy: 1, unit: undefined },
    { place: 'b', scaleBy: 0.5, unit: 'V' },
  ])
  t.same(sources, { verbose: 'file' })
  t.ok([values.sensors, ...values.sensors].every(Object.isFrozen))
  writeFileSync(file, 'sensor = [{ place = "a" }, { place = "b" }]\n')
  t.equal((await load(SENSORS, argv)).values.sensors[1]!.place, 'b', 'as TOML may write them, too')
  const elsewhere = await problemsOf(SENSORS, ['--sensor', 'a'], { OBELISK_SENSOR: 'a' })
  t.same(elsewhere.problems.slice(0, 2), ['unknown flag --sensor', 'unexpected argument "a"'])
  t.match(elsewhere.problems[2], 'unknown variable OBELISK_SENSOR')
})

t.test('every problem of every entry is named at once', async (t) => {
  const file = join(t.testdir(), 'example.toml')
  const problems = async (toml: string): Promise<readonly string[]> => {
    writeFileSync(file, toml)
    const error = await problemsOf(SENSORS, ['--config', file])
    t.equal(error.exitCode, 78)
    return error.problems.map((problem) => problem.replace(`${file}: `, ''))
  }
  const entries = [
    'place = "a"\nscale_by = 2',
    'plaice = "a"\nscale_by = 11\nunit = ""',
    'place = ["a"]\nscale_by = "2"\nunit = "V"\n__proto__ = 1',
  ]
  t.same(await problems(entries.map((entry) => `[[sensor]]\n${entry}\n`).join('')), [
    '[[sensor]] 1: unit: of what is 2?',
    '[[sensor]] 2: unknown key "plaice", did you mean place?',
    '[[sensor]] 2: place: must be given',
    '[[sensor]] 2: scale_by: 11 is out of range, -10 to 10 is taken',
    '[[sensor]] 2: unit: the value is empty',
    '[[sensor]] 3: unknown key "__proto__"',
    '[[sensor]] 3: place: must be a string',
    '[[sensor]] 3: scale_by: must be a number',
  ])
  const single = 'sensor: write it as [[sensor]], once for each: there may be several'
  for (const toml of ['[sensor]\nplace = "a"', 'sensor = 1', 'sensor = [1]', 'sensor = [[]]']) {
    t.same(await problems(toml), [single], toml)
  }
  t.same(await problems('sensor = [1979-05-27]'), [single], 'a date is no table')
  t.same(await problems('[[sensor]]\nplace = "a"\n'.repeat(4)), [
    '[[sensor]]: 4 of them are too many, at most 3 are taken',
  ])
  t.same(await problems('[[sensors]]\nplace = "a"'), [
    'unknown key "sensors", did you mean [[sensor]]?',
  ])
  t.same(await problems('[gateway]\nverbose = true'), [
    'unknown key "gateway": keys stand at the top, below no [gateway]',
  ])
  t.same(await problems('[[sensor]]\nplace = "a"\nverbose = true'), [
    '[[sensor]] 1: verbose: it stands below a table, write it above the first "[["',
  ])
})

t.test('help and manual say what an entry takes', (t) => {
  t.match(
    renderHelp(SENSORS),
    `
[[sensor]] in the file, any number of times: A place that is measured.
  place     Where it is. (required)
  scale_by  Times this. (-10 to 10; default: 1)
  unit      As people write it.
`,
  )
  t.equal(
    renderTablesMarkdown(SENSORS),
    `### \`[[sensor]]\`

A place that is measured. In the file alone, at most 3 times.

| Key | Takes | Default | |
|---|---|---|---|
| \`place\` | text | must be given | Where it is. |
| \`scale_by\` | -10 to 10 | \`1\` | Times this. |
| \`unit\` | text | – | As people write it. |

`,
  )
  t.end()
})

t.test('help is asked for even on a wrong command line, and names every option', async (t) => {
  t.same(await loadConfig(GATEWAY, ['--help', '--nonsense'], {}), { kind: 'help' })
  t.same(await loadConfig(AGENT, ['-h'], {}), { kind: 'help' })
  for (const program of [GATEWAY, AGENT] as Program<OptionTable>[]) {
    const help = renderHelp(program)
    t.match(help, `Usage: obelisk ${program.name} [options]`)
    for (const [name, option] of Object.entries(program.options)) {
      t.ok(help.includes(`--${flagOf(name, option)}`), name)
      t.ok(help.includes(option.about), name)
    }
    const [, variable, flag] = /variable \(OBELISK_(\w+) for --([\w-]+)\)/.exec(help)!
    t.equal(variable, flag!.replaceAll('-', '_').toUpperCase())
    const flags = Object.entries(program.options).map(([name, option]) => flagOf(name, option))
    t.ok(flags.includes(flag!), 'an option that this program has')
  }
  t.match(renderHelp(GATEWAY), /^ {7}obelisk gateway recover .*^ {2}trust {2}/ms)
  const { problems } = await problemsOf(GATEWAY, ['recovr'])
  t.same(problems, ['unexpected argument "recovr", did you mean recover?'])
})

t.test('secrets come from a file or from the service manager', async (t) => {
  const directory = t.testdir({ password: 'from file\n', empty: '\n', credentials: {} })
  const credentials = join(directory, 'credentials')
  mkdirSync(credentials, { recursive: true })
  t.equal(readSecret(undefined, 'mqtt-password', {}), undefined)
  t.equal(readSecret(undefined, 'mqtt-password', { CREDENTIALS_DIRECTORY: credentials }), undefined)
  writeFileSync(join(credentials, 'mqtt-password'), 'from systemd')
  chmodSync(join(credentials, 'mqtt-password'), 0o400)
  const environment = { CREDENTIALS_DIRECTORY: credentials }
  t.equal(readSecret(undefined, 'mqtt-password', environment), 'from systemd')
  t.equal(readSecret(join(directory, 'password'), 'mqtt-password', environment), 'from file')
  t.throws(() => readSecret(join(directory, 'empty'), 'mqtt-password', {}), ConfigError)
  const none = join(directory, 'none')
  const gone = { message: `${none}: the file is not there` }
  t.throws(() => readSecret(none, 'mqtt-password', {}), gone)
})

t.test('a near word is found, a far one is not', async (t) => {
  t.equal(editDistance('prot', 'port'), 1)
  t.equal(editDistance('', 'abc'), 3)
  t.equal(editDistance('kitten', 'sitting'), 3)
  t.equal(closest('replica', ['replicas', 'port']), 'replicas')
  t.equal(closest('HTTP_PORT', ['http-host', 'http-port']), 'http-port')
  t.equal(closest('zzz', ['port', 'host']), undefined)
  t.equal(closest('p'.repeat(10_000), ['port']), undefined)
})

t.test('the list of known variables is that of the tables', async (t) => {
  const variables = new Set(['OBELISK_CONFIG', 'OBELISK_HTTP'])
  for (const table of [GATEWAY_OPTIONS, AGENT_OPTIONS] as OptionTable[]) {
    for (const [name, option] of Object.entries(table)) variables.add(variableOf(name, option))
  }
  t.same(KNOWN_VARIABLES, [...variables].sort())
})

t.test('the page of the manual is what the tables say', async (t) => {
  const page = new URL('../../../docs/configuration.md', import.meta.url)
  if (process.env.UPDATE) writeFileSync(page, renderConfigurationPage())
  t.equal(readFileSync(page, 'utf8'), renderConfigurationPage(), 'UPDATE=1 rewrites it')
})

t.test('a decimal with a unit is the whole number that it says', (t) => {
  const time = duration({ min: 0, max: 86_400_000, unit: 'ms' })
  const bytes = integer({ min: 0, max: 2 ** 40, unit: 'bytes' })
  const wrong: string[] = []
  const expect = (found: unknown, value: number, text: string): void => {
    if (JSON.stringify(found) !== JSON.stringify({ ok: true, value })) wrong.push(text)
  }
  for (let ms = 0; ms < 20_000; ms++) expect(time.parse(`${ms / 1000}s`), ms, `${ms / 1000}s`)
  for (let tenth = 0; tenth < 240; tenth++) {
    expect(time.parse(`${tenth / 10}h`), tenth * 360_000, `${tenth / 10}h`)
    expect(time.parse(`${tenth / 10}min`), tenth * 6000, `${tenth / 10}min`)
  }
  expect(bytes.parse('1.5GiB'), 1.5 * 2 ** 30, '1.5GiB')
  t.same(wrong, [])
  t.match(time.parse('1.0005s'), { ok: false, message: '1.0005s is not a whole number of ms' })
  t.match(bytes.parse('0.1KiB'), { ok: false })
  t.end()
})
