/** What the file says of watched cells, and what of it the grid has. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { GATEWAY } from '../../broker/config.ts'
import { coordinatorOptions } from '../../broker/coordinator-options.ts'
import { ConfigError, loadConfig } from '../../shared/runtime/config.ts'

const GRID = ['--grid', '16x8', '--fields', 'temp:f32,level:u8']

async function optionsOf(t: Test, toml: string) {
  const file = join(t.testdir(), 'gateway.toml')
  writeFileSync(file, toml)
  const loaded = await loadConfig(GATEWAY, ['--config', file, ...GRID], {})
  if (loaded.kind === 'help') throw new Error('help')
  return coordinatorOptions(loaded.values, file)
}

async function problemsOf(t: Test, toml: string): Promise<string[]> {
  try {
    await optionsOf(t, toml)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map((problem) => {
      t.match(problem, /gateway\.toml: /, 'it names the file')
      return problem.replace(/^.*gateway\.toml: /, '')
    })
  }
  return []
}

t.test('cells are watched that the file names', async (t) => {
  const { watches } = await optionsOf(
    t,
    `[[watch]]
field = "level"
x = 15
y = 7
name = "Küche"
unit = "°C"
device_class = "temperature"
[[watch]]
field = "temp"
x = 15
y = 7
`,
  )
  t.same(watches, [
    { field: 1, x: 15, y: 7 },
    { field: 0, x: 15, y: 7 },
  ])
  t.same((await optionsOf(t, '')).watches, [])
})

t.test('what is no cell of the grid, or is watched already, is named', async (t) => {
  const cell = (field: string, x: number, y: number): string =>
    `[[watch]]\nfield = "${field}"\nx = ${x}\ny = ${y}\n`
  t.same(await problemsOf(t, cell('temp', 0, 0) + cell('tmp', 16, 7) + cell('temp', 0, 0)), [
    '[[watch]] 2: field: the grid has no field "tmp", did you mean temp? (known: temp, level)',
    '[[watch]] 2: x: there is no cell at 16 in a grid of 16x8',
    '[[watch]] 3: temp 0,0 is watched by [[watch]] 1 already',
  ])
  t.same(await problemsOf(t, `${cell('temp', 0, 0)}device_class = "temprature"\nunit = ""`), [
    '[[watch]] 1: unit: the value is empty',
    '[[watch]] 1: device_class: "temprature" is no device class of a number, did you mean temperature?',
  ])
  t.match(await problemsOf(t, `${cell('temp', 0, 0)}name = "${'n'.repeat(65)}"`), [
    /is longer than 64 characters/,
  ])
  t.match(await problemsOf(t, cell('temp', 0, 0).repeat(1001)), [/1001 of them are too many/])
})

t.test('what is wrong with inputs and with watches is named at once', async (t) => {
  const input = '[[input]]\ntopic = "a"\nfield = "tmp"\nx = 0\ny = 0\n'
  const watch = '[[watch]]\nfield = "tmp"\nx = 0\ny = 0\n'
  t.match(await problemsOf(t, watch + input), [
    /^\[\[input]] 1: field: /,
    /^\[\[watch]] 1: field: /,
  ])
})
