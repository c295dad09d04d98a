/** What the configuration says of inputs, what of it is wrong, and how much of what comes in is looked at. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { assertCells } from '../../broker/cells-of-file.ts'
import { GATEWAY } from '../../broker/config.ts'
import type { ReadingsReceived, Submitter } from '../../broker/core/events.ts'
import type { Input } from '../../broker/core/inputs.ts'
import { readingPort } from '../../broker/inputs.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
import { FilterTrie } from '../../shared/protocol/filter-trie.ts'
import { ConfigError, loadConfig } from '../../shared/runtime/config.ts'

const GRID = {
  geometry: new Geometry({ width: 64, height: 32, tile: 8 }),
  fields: [
    { name: 'temp', type: 'f32' },
    { name: 'level', type: 'u8' },
  ],
} as const

const SOUND = 'topic = "z2m/kitchen"\nfield = "temp"\nx = 12\ny = 3\n'

async function load(t: Test, toml: string): Promise<readonly Input[]> {
  const file = join(t.testdir(), 'gateway.toml')
  writeFileSync(file, toml)
  const loaded = await loadConfig(GATEWAY, ['--config', file], {})
  if (loaded.kind === 'help') throw new Error('help')
  return loaded.values.inputs
}

async function problemsOf(t: Test, toml: string): Promise<string[]> {
  try {
    const inputs = await load(t, toml)
    assertCells({ inputs, watches: [], topicBase: 'obelisk/v1' }, GRID, 'f/gateway.toml')
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    t.equal(error.exitCode, 78)
    return error.problems.map((problem) => problem.replace(/^.*?gateway\.toml: /, ''))
  }
  return []
}

t.test('an input is a topic, a pointer and a cell', async (t) => {
  t.same(await load(t, ''), [])
  t.same(await load(t, `[[input]]\n${SOUND}`), [
    ...[{ topic: 'z2m/kitchen', pointer: [], field: 'temp', x: 12, y: 3, scale: 1, offset: 0 }],
  ])
  const more =
    '[[input]]\ntopic = "hall/+/+"\npointer = "/a~1b/0"\nfield = "level"\nx = "$2"\ny = "$1"\nscale = -0.5\noffset = 1e3\n'
  t.same(await load(t, more), [
    {
      ...{ topic: 'hall/+/+', pointer: ['a/b', '0'], field: 'level' },
      ...{ x: { wildcard: 2 }, y: { wildcard: 1 }, scale: -0.5, offset: 1000 },
    },
  ])
  t.same(await load(t, `[[input]]\n${SOUND}pointer = ""\n`), await load(t, `[[input]]\n${SOUND}`))
})

t.test('what is wrong with an input is said of it', async (t) => {
  const cases: readonly (readonly [from: string, to: string, problem: string])[] = [
    ['topic = "z2m/kitchen"', 'topic = "z2m/#"', 'topic: "z2m/#" is no topic of others'],
    ['topic = "z2m/kitchen"', 'topic = "#"', 'topic: "#" is no topic of others'],
    ['topic = "z2m/kitchen"', 'topic = "z2m/k+"', 'topic: "z2m/k+" is no topic of others'],
    ['topic = "z2m/kitchen"', 'topic = "$SYS/a"', 'topic: "$SYS/a" is no topic of others'],
    ['topic = "z2m/kitchen"', 'topic = ""', 'topic: the value is empty'],
    ['topic = "z2m/kitchen"', 'topic = 3', 'topic: must be a string'],
    ['topic = "z2m/kitchen"', `topic = "${'a/'.repeat(12)}a"`, 'has more than 12 levels'],
    ['topic = "z2m/kitchen"', 'topic = "obelisk/v1/cell/+/3/4"', 'is below the base "obelisk/v1"'],
    ['topic = "z2m/kitchen"', 'topic = "obelisk/v1"', 'is below the base "obelisk/v1"'],
    ['topic = "z2m/kitchen"', '', 'topic: must be given'],
    ['y = 3', 'y = 3\npointer = "temperature"', 'pointer: "temperature" is no JSON pointer'],
    ['y = 3', 'y = 3\npointer = "/a~2"', 'pointer: "/a~2" is no JSON pointer'],
    ['y = 3', `y = 3\npointer = "/${'a'.repeat(256)}"`, 'is no JSON pointer'],
    ['y = 3', 'y = 3\npoiner = "/a"', 'unknown key "poiner", did you mean pointer?'],
    ['y = 3', 'y = 3\nscale = "much"', 'scale: must be a number'],
    ['y = 3', 'y = 3\nscale = 1e10', 'scale: 10000000000 is out of range'],
    ['y = 3', 'y = 3\noffset = inf', 'offset: "Infinity" is not a number'],
    ['y = 3', 'y = "$1"', 'y: "$1" is no "+" of "z2m/kitchen", which has 0'],
    ['y = 3', 'y = "$0"', 'y: "$0" is not a number'],
    ['y = 3', 'y = 3.5', 'y: 3.5 is not a whole number'],
    ['y = 3', 'y = -1', 'y: -1 is out of range'],
    ['y = 3', 'y = 32', 'y: there is no cell at 32 in a grid of 64x32'],
    ['x = 12', 'x = 64', 'x: there is no cell at 64 in a grid of 64x32'],
    ['field = "temp"', 'field = "tmp"', 'field: the grid has no field "tmp", did you mean temp?'],
    ['field = "temp"', 'field = "__proto__"', 'field: the grid has no field "__proto__"'],
  ]
  for (const [from, to, problem] of cases) {
    const bad = SOUND.replace(from, to)
    const found = await problemsOf(t, `[[input]]\n${SOUND}[[input]]\n${bad}`)
    t.equal(found.length, 1, to)
    t.ok(found[0]?.startsWith('[[input]] 2: ') && found[0].includes(problem), `${found[0]}`)
  }
})

t.test('every problem of every input is named at once', async (t) => {
  const twice = '[[input]]\ntopic = "a"\nfield = "x"\nx = 99\ny = 99\n'.repeat(2)
  t.equal((await problemsOf(t, twice)).length, 6)
  t.same(await problemsOf(t, `[input]\n${SOUND}`), [
    'input: write it as [[input]], once for each: there may be several',
  ])
  t.same(await problemsOf(t, `[[input]]\n${SOUND}`.repeat(1000)), [])
  t.match(await problemsOf(t, `[[input]]\n${SOUND}`.repeat(1001)), [/1001 of them are too many/])
  t.same(await problemsOf(t, `[[input]]\n${SOUND.replace('z2m/kitchen', '+/v1/+')}`), [])
})

/** Everything that is told the port at `now.monotonicMs`, and what it makes of it. */
function portOf(...inputs: readonly Input[]) {
  const told: Pick<ReadingsReceived, 'results' | 'waitMs' | 'submitter'>[] = []
  const now = { monotonicMs: 0 }
  const driver = {
    read(
      results: ReadingsReceived['results'],
      message: Omit<ReadingsReceived, 'type' | 'results'>,
    ) {
      told.push({ results, ...message })
    },
  }
  return { told, now, port: readingPort(inputs, GRID, driver, now) }
}

const KITCHEN: Input = {
  ...{ topic: 'z2m/kitchen', pointer: ['t'], field: 'temp', x: 12, y: 3, scale: 1, offset: 0 },
}

function user(name: string, client: string): Submitter {
  return { via: 'mqtt', client, user: { kind: 'user', name, roles: ['operator'], topics: [] } }
}

t.test('one user shuts nobody out, by however many clients', async (t) => {
  const { told, now, port } = portOf()
  const payload = Buffer.from('21.5')
  const of = { kind: 'cell-reading', field: 'temp', x: 1, y: 1 } as const
  const read = (submitter: Submitter, done?: () => void): void =>
    port.onReadings({ of, topic: 'cell/temp/1/1', payload, submitter }, done)
  for (now.monotonicMs = 0; now.monotonicMs < 1000; now.monotonicMs += 10) {
    for (let client = 0; client < 40; client++) {
      const mallory = user('mallory', `m-${client}`)
      for (let count = 0; count < 10; count++) read(mallory)
      for (let count = 0; count < 10; count++) read(mallory, () => {})
    }
    read(user('ann', 'ann'))
  }
  const ofAnn = told.filter(({ submitter }) => submitter.client === 'ann')
  t.equal(ofAnn.filter(({ results }) => results === 'too-many').length, 0)
  t.equal(ofAnn.length, 100)
  const ofMallory = told.filter(({ submitter }) => submitter.client !== 'ann')
  const taken = ofMallory.filter(({ results }) => results !== 'too-many')
  t.ok(taken.length < 4000 * 7, `${taken.length} of ${ofMallory.length}`)
})

t.test('what inputs read is counted by its bytes before it is parsed', async (t) => {
  const { told, now, port } = portOf(KITCHEN)
  const deep = Buffer.from(`${'['.repeat(32_768)}${']'.repeat(32_768)}`)
  const submitter = user('ann', 'ann')
  const publish = (topic: string, done?: () => void): boolean =>
    port.onForeign({ topic, payload: deep, submitter }, done)
  for (let count = 0; count < 1000; count++) t.notOk(publish('z2m/other'))
  t.same(told, [], 'what no input is for is bounded by nothing')
  let looked = 0
  while (!publish('z2m/kitchen')) looked++
  t.equal(looked, 62, 'of 64 KiB, a second')
  t.same(told.splice(0)[0]?.results, 'too-many')
  t.ok(publish('z2m/kitchen', () => {}))
  t.match(told.splice(0), [{ results: [], waitMs: 8 }], 'it waits, though nothing is in it')
  while (told.at(-1)?.results !== 'too-many') publish('z2m/kitchen', () => {})
  t.equal(told.length, 313, 'five seconds, and then no more')
  now.monotonicMs = 10_000
  t.notOk(publish('z2m/kitchen'))
})

t.test('whose a message is, is looked up once', (t) => {
  const { told, port } = portOf(KITCHEN)
  const { matching } = FilterTrie.prototype
  t.teardown(() => Object.assign(FilterTrie.prototype, { matching }))
  let looked = 0
  FilterTrie.prototype.matching = function (topic) {
    looked++
    return matching.call(this, topic)
  }
  const submitter = user('ann', 'ann')
  const payload = Buffer.from('{"t":21}')
  t.ok(port.onForeign({ topic: 'z2m/kitchen', payload, submitter }))
  t.match(told, [{ results: [{ ok: true }] }])
  t.equal(looked, 1)
  t.end()
})
