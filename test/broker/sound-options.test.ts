/** What a start says of a configuration that does not fit what this machine has. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { GATEWAY } from '../../broker/config.ts'
import type { IdentityRecord } from '../../broker/core/ledger-records.ts'
import { type SoundOptions, soundOptions } from '../../broker/sound-options.ts'
import { ConfigError, loadConfig } from '../../shared/runtime/config.ts'

const KNOWN: IdentityRecord = {
  ...{ ledgerId: 'ledger', grid: { width: 64, height: 32, tile: 8 }, replicas: 3 },
  ...{ fields: [{ name: 'rain', type: 'f32' }], term: 4, seq: 9, epoch: 2 },
}
const FILES = { 'bridge-token': 'secret\nmore\n', 'bridge-password': 'word\n', 'ca.crt': 'PEM' }

async function sound(
  t: Test,
  isSecured: boolean,
  ...lines: readonly string[]
): Promise<SoundOptions> {
  const directory = t.testdir({ ...FILES, 'gateway.toml': lines.join('\n') })
  const file = join(directory, 'gateway.toml')
  writeFileSync(file, lines.join('\n').replaceAll('HERE', directory))
  const loaded = await loadConfig(GATEWAY, ['--config', file], {})
  if (loaded.kind === 'help') throw new Error('help')
  return soundOptions(KNOWN, loaded.values, loaded, isSecured)
}

t.test('every problem that this machine knows of is named at once', async (t) => {
  const wrong = sound(
    t,
    true,
    ...['grid = "64x64"', 'recover_nodes = 2', 'bridge_url = "mqtts://far"'],
    ...['bridge_username = "g"', 'bridge_password_file = "HERE/none"', 'bridge_ca = "HERE"'],
    ...['[[watch]]', 'field = "rain"', 'x = 1', 'y = 40'],
    ...['[[input]]', 'topic = "a"', 'field = "snow"', 'x = 1', 'y = 1'],
  )
  const error = await wrong.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof ConfigError)) throw error
  t.equal(error.exitCode, 78)
  t.match(error.problems, [
    /input\W+ 1: field: the grid has no field "snow"/,
    /watch\W+ 1: y: there is no cell at 40 in a grid of 64x32/,
    /^--bridge-password-file: .*: the file is not there$/,
    /^--bridge-ca: .*: it is a directory, where a file belongs$/,
    /^--bridge-token-file: .*obelisk user token create bridge/,
    /^--grid: the ledger in .* was made with 64x32, not with 64x64/,
    /there is a ledger in .* already/,
  ])
  t.equal(error.problems.length, 7)
})

t.test('what the ends of a bridge are told is in files', async (t) => {
  const lines = [
    ...['bridge_url = "mqtts://[::1]"', 'bridge_username = "g"', 'bridge_ca = "HERE/ca.crt"'],
    'bridge_password_file = "HERE/bridge-password"',
  ]
  const far = { host: '::1', port: 8883, username: 'g', password: 'word', ca: 'PEM' }
  t.match((await sound(t, false, ...lines)).ends, { far, token: undefined })
  const token = 'bridge_token_file = "HERE/bridge-token"'
  t.match((await sound(t, true, ...lines, token)).ends, { far, token: 'secret' })
  t.same((await sound(t, true, 'bridge_url = "mqtt://far:77"', token)).ends, {
    far: { clientId: 'obelisk', host: 'far', port: 77 },
    token: 'secret',
  })
  t.equal((await sound(t, true)).ends, undefined)
})
