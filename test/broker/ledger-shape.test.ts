/** Which grid a gateway starts with: what is given, what the ledger has, and what does not fit together. */
import t from 'tap'
import { GATEWAY } from '../../broker/config.ts'
import type { IdentityRecord } from '../../broker/core/ledger-records.ts'
import { assertShape, withShapeOf } from '../../broker/ledger-shape.ts'
import { ConfigError, loadConfig } from '../../shared/runtime/config.ts'

const KNOWN: IdentityRecord = {
  ledgerId: 'ledger',
  grid: { width: 64, height: 32, tile: 8 },
  fields: [{ name: 'rain', type: 'f32' }],
  replicas: 3,
  term: 4,
  seq: 9,
  epoch: 2,
}

async function settle(known: IdentityRecord | undefined, ...argv: readonly string[]) {
  const loaded = await loadConfig(GATEWAY, ['--config', '/dev/null', ...argv], {})
  if (loaded.kind === 'help') throw new Error('help')
  const areFieldsGiven = loaded.sources.fields !== 'default'
  const settled = withShapeOf(known, loaded.values, { areFieldsGiven })
  assertShape(settled, loaded.values, loaded.sources)
  return settled
}

async function problemsOf(known: IdentityRecord | undefined, ...argv: readonly string[]) {
  try {
    await settle(known, ...argv)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
  throw new Error('it was taken')
}

t.test('what is not given is as the ledger was made', async (t) => {
  const { grid, tile, fields, replicas, minInSync } = await settle(KNOWN, '--min-in-sync', '3')
  t.same(
    { grid, tile, fields, replicas, minInSync },
    {
      grid: { width: 64, height: 32 },
      tile: 8,
      fields: KNOWN.fields,
      replicas: 3,
      minInSync: 3,
    },
  )
})

t.test('what is given and is the same is taken', async (t) => {
  const flags = ['--grid=64x32', '--tile=8', '--fields=rain:f32', '--replicas=3']
  t.equal((await settle(KNOWN, ...flags)).tile, 8)
  t.match(await settle(KNOWN, '--fields', 'rain:f32'), { grid: { width: 64 }, replicas: 3 })
})

t.test('what stands for no data may change, and stays where fields are not given', async (t) => {
  const known: IdentityRecord = { ...KNOWN, fields: [{ name: 'rain', type: 'f32', nodata: -1 }] }
  const fieldsOf = async (from: IdentityRecord, ...argv: readonly string[]) =>
    (await settle(from, ...argv)).fields
  t.strictSame(await fieldsOf(known), known.fields)
  t.strictSame(await fieldsOf(KNOWN, '--fields=rain:f32:nodata=-1'), known.fields)
  t.strictSame(await fieldsOf(known, '--fields=rain:f32:nodata=-2'), [
    { name: 'rain', type: 'f32', nodata: -2 },
  ])
  t.strictSame(await fieldsOf(known, '--fields=rain:f32'), KNOWN.fields)
})

t.test('what is given and differs is refused, all of it at once', async (t) => {
  const error = await problemsOf(KNOWN, '--grid=64x64', '--fields=rain:f64', '--replicas=3')
  t.equal(error.exitCode, 78)
  t.match(error.problems, [
    /^--grid: .* was made with 64x32, not with 64x64/,
    /^--fields: .* was made with rain:f32, not with rain:f64/,
  ])
  // The default is no more than any other value when somebody asks for it.
  t.match((await problemsOf(KNOWN, '--tile=16')).problems, [/^--tile: .*8, not with 16/])
})

t.test(
  'copies that are needed and replicas must fit together, wherever they are from',
  async (t) => {
    t.match((await problemsOf(KNOWN, '--min-in-sync=4')).problems, [/^--min-in-sync: .*\(3\)/])
    t.match((await problemsOf(undefined, '--min-in-sync=3')).problems, [/^--min-in-sync: .*\(2\)/])
    t.match(await settle(undefined), { grid: { width: 1024, height: 1024 }, replicas: 2 })
  },
)
