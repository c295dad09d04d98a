/** What the configuration says of inputs, and what of it is wrong. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { assertCells } from '../../broker/cells-of-file.ts'
import { GATEWAY } from '../../broker/config.ts'
import type { Input } from '../../broker/core/inputs.ts'
import { Geometry } from '../../shared/grid/geometry.ts'
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
    ['y = 3', 'y = 32', 'y: 32 is outside a grid of 64x32'],
    ['x = 12', 'x = 64', 'x: 64 is outside a grid of 64x32'],
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
