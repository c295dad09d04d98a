/**
 * One file for all of a secured gateway: on another box boards and users come in as they did, and nobody enrols anew. A
 * restore that is killed at any moment leaves nothing that looks whole, and is run again; so does a backup.
 */
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import t from 'tap'
import { Random } from '../../shared/core/random.ts'
import { eventually, Fleet, within } from '../support/processes.ts'
import { type Obelisk, Secured } from '../support/secured-fleet.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/secured-restore.test.ts`)

const HOST = '127.0.0.1'
const PASSPHRASE = 'correct horse battery'
const SUM = 3 * 64 * 64

t.test('boards and users come back by a backup with secrets, and without by two', async (t) => {
  const fleet = new Fleet(t)
  const random = new Random(seed)
  const here: Obelisk = (...argv) => fleet.start(argv)
  const secured = await Secured.start(fleet, here, HOST)
  const passphrase = join(fleet.directory, 'passphrase')
  writeFileSync(passphrase, `${PASSPHRASE}\n`)
  const withPassphrase = ['--passphrase-file', passphrase]
  const done = async (on: Secured, ...argv: readonly string[]): Promise<string> => {
    const { exit, stdout, stderr } = await on.command(...argv)
    t.match(exit, { code: 0 }, `${argv.join(' ')} ${stderr}`)
    return stdout.trim()
  }
  await done(secured, 'user', 'add', 'ann', '--role', 'admin', '--password-file', passphrase)
  for (const id of ['n1', 'n2']) {
    await secured.board(id, here, HOST, '--enroll-token-file', await secured.token(id)).ready()
  }
  await secured.run({ op: 'set', args: { fields: { n: 1 } }, id: 'before' })

  const [all, ledger, keys] = ['all', 'ledger', 'keys'].map((name) =>
    join(fleet.directory, `${name}.backup`),
  ) as [string, string, string]
  // Of a backup that is killed nothing has its name but one that is whole.
  const at = ['--http', `unix:${join(secured.data, 'admin.sock')}`, '--force']
  for (let kills = 0; kills < 4; kills++) {
    const run = fleet.start(['backup', ledger, ...at])
    await new Promise((resolve) => setTimeout(resolve, random.between(100, 1500)))
    await run.kill()
    if (!existsSync(ledger)) continue
    t.match(await checked('ledger.backup'), { code: 0 }, 'what is there is whole')
    rmSync(ledger)
  }
  await eventually('a backup after those that nobody waits for', async () => {
    const { exit, stderr } = await secured.command('backup', ledger, '--force')
    if (exit.code !== 0 && !stderr.includes('backup-under-way')) throw new Error(stderr)
    return exit.code === 0
  })
  await done(secured, 'backup', all, '--with-secrets', ...withPassphrase)
  await done(secured, 'ca', 'backup', keys, ...withPassphrase)
  const ca = await done(secured, 'ca', 'export')
  t.match(await done(secured, 'ca', 'show'), /^backup +20/m)
  await secured.run({ op: 'set', args: { fields: { n: 3 } }, id: 'after' })

  // The gateway is killed in the middle of one, too.
  const last = fleet.start(['backup', join(fleet.directory, 'cut.backup'), ...at])
  await new Promise((resolve) => setTimeout(resolve, random.between(100, 1500)))
  await secured.gateway.kill()
  const { code: cut } = await within('its end', last.exited)
  if (cut === 0) t.match(await within('a check', checked('cut.backup')), { code: 0 })
  else t.notOk(existsSync(join(fleet.directory, 'cut.backup')), 'or there is none')
  async function checked(name: string) {
    return await fleet.start(['backup', 'check', join(fleet.directory, name)]).exited
  }

  rmSync(secured.data, { recursive: true })
  const restore = async (data: string, file: string, ...argv: readonly string[]) => {
    const words = file === keys ? ['ca', 'restore'] : ['restore']
    const run = fleet.start([...words, file, '--data', data, ...argv])
    const { code } = await within('the restore', run.exited)
    return { code, stdout: run.stdout, stderr: run.stderr }
  }
  const leftIn = (data: string): string[] =>
    existsSync(data) ? readdirSync(data).filter((name) => name !== 'lock.sock') : []

  const one = join(fleet.directory, 'one')
  writeFileSync(join(fleet.directory, 'wrong'), 'another passphrase\n')
  const wrong = ['--passphrase-file', join(fleet.directory, 'wrong'), '--none-revoked']
  const refused = await restore(one, all, ...wrong)
  t.match(refused, { code: 77, stderr: /this is not the passphrase of the backup/ })
  t.same(leftIn(one), [], 'nothing is written')
  const unsaid = await restore(one, all, ...withPassphrase)
  t.match(unsaid, { code: 2, stderr: /say who was revoked since/ })
  t.same(leftIn(one), [])

  const answers = [...withPassphrase, '--none-revoked']
  let hadLedger = false
  for (let kills = 0; kills < 5 && !hadLedger; kills++) {
    const run = fleet.start(['restore', all, '--data', one, ...answers])
    await new Promise((resolve) => setTimeout(resolve, random.between(300, 2500)))
    await run.kill()
    hadLedger = leftIn(one).some((name) => /^state-\d+$/.test(name))
    t.comment(`killed: ${leftIn(one).join(' ')}`)
  }
  if (hadLedger) t.match(await restore(one, all, ...answers), { code: 78 }, 'it was whole')
  else {
    const restored = await restore(one, all, ...answers)
    t.match(restored, { code: 0, stdout: /it waits for 2 nodes: n1, n2/ }, restored.stderr)
    t.same(leftIn(one).sort(), ['security', leftIn(one).find((name) => /^state-/.test(name))])
  }

  const comeBack = async (data: string): Promise<Secured> => {
    const box = await secured.replaced(data, ['recover', '--nodes', '2'])
    await eventually('both boards are back', async () => {
      const states = await box.states()
      return states.n1 === 'alive' && states.n2 === 'alive'
    })
    const sum = await eventually('what they held', async () => {
      const answer = await box.run({ op: 'stat', args: { field: 'n' } })
      return answer.value as { sum: number } | undefined
    })
    t.match(sum, { sum: SUM })
    const url = `mqtts://localhost:${box.port}`
    const login = { ca, reconnectPeriod: 0, username: 'ann', password: PASSPHRASE }
    const client = await within('ann', connectAsync(url, login))
    await client.endAsync()
    t.match(await box.admin.json({ path: '/api/tasks/before' }), { state: 'completed' })
    return box
  }
  const first = await comeBack(one)
  t.ok((await first.events(t)).includes('ca-restored admin'))
  await first.gateway.kill()

  const two = join(fleet.directory, 'two')
  const without = await restore(two, ledger)
  t.match(without, { code: 0, stdout: /obelisk ca restore <keys> comes before the start/ })
  t.match(await restore(two, keys, ...answers), { code: 0 })
  const second = await comeBack(two)
  await second.gateway.kill()

  const three = join(fleet.directory, 'three')
  t.match(await restore(three, keys, ...answers), { code: 0 })
  const kept = await restore(three, all, ...withPassphrase, '--revoke', 'n2')
  t.match(kept, { code: 0, stdout: /nobody was revoked by this: obelisk node revoke/ })
})
