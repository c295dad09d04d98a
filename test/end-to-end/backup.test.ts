/** A gateway whose box is lost, and comes back by a backup of its keys on another one. */
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import t from 'tap'
import { Random } from '../../shared/core/random.ts'
import { openSealed } from '../../shared/runtime/sealed-file.ts'
import { eventually, within } from '../support/processes.ts'
import { type Secured, securedHere } from '../support/secured-fleet.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/backup.test.ts`)

const HOST = '127.0.0.1'
const PASSPHRASE = 'correct horse battery'

t.test('attempt 69: on a new box the boards return by themselves', async (t) => {
  const { fleet, here, secured } = await securedHere(t)
  const done = async (on: Secured, ...argv: readonly string[]): Promise<string> => {
    const { exit, stdout, stderr } = await on.command(...argv)
    t.match(exit, { code: 0 }, `${argv.join(' ')} ${stderr}`)
    return stdout.trim()
  }
  const passphrase = ['--passphrase-file', join(fleet.directory, 'passphrase')]
  writeFileSync(passphrase[1]!, `${PASSPHRASE}\n`)
  const password = ['--password-file', passphrase[1]!]
  await done(secured, 'user', 'add', 'ann', '--role', 'admin', ...password)
  const userToken = await done(secured, 'user', 'token', 'create', 'ann')
  const boards = await Promise.all(
    ['n1', 'n2', 'n3', 'n4'].map(async (id) => {
      const token = ['--enroll-token-file', await secured.token(id)]
      return await secured.board(id, here, HOST, ...token).ready()
    }),
  )
  const spare = await secured.token('n9')
  await secured.run({ op: 'set', args: { fields: { n: 3 } } })
  const hasLeft = (id: string) =>
    eventually(`${id} has left`, async () => (await secured.states())[id] === 'left')
  await done(secured, 'node', 'revoke', 'n3')
  await hasLeft('n3')

  t.match(await done(secured, 'ca', 'show'), /^backup +none/m)
  const file = join(fleet.directory, 'keys.backup')
  await done(secured, 'ca', 'backup', file, ...passphrase)
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.match(await secured.command('ca', 'backup', file, ...passphrase), { exit: { code: 77 } })
  const shown = JSON.parse(await done(secured, 'ca', 'show', '--json')) as { pin: string }
  t.match(shown, { backupTs: Number, leaves: [{ of: 'agents' }, { of: 'hosts' }] })
  const ca = await done(secured, 'ca', 'export')
  t.ok((await secured.events(t)).includes('ca-backup admin'))
  await done(secured, 'node', 'revoke', 'n4')
  await hasLeft('n4')

  await secured.gateway.kill()
  rmSync(secured.data, { recursive: true })
  const data = join(fleet.directory, 'another-box')
  const restore = async (...argv: readonly string[]) => {
    const run = fleet.start(['ca', 'restore', file, '--data', data, ...argv])
    const { code } = await within('the restore', run.exited)
    return { code, stdout: run.stdout, stderr: run.stderr }
  }
  const unsaid = await restore(...passphrase)
  t.match(unsaid, { code: 2, stderr: /say who was revoked since/ }, 'without a word none of it')
  t.notOk(existsSync(join(data, 'security')))
  const restored = await restore(...passphrase, '--revoke', 'n4')
  t.match(
    restored,
    { code: 0, stdout: /2 nodes, 1 user and 0 recipients; n4 stay out/ },
    restored.stderr,
  )
  t.match(await restore(...passphrase, '--none-revoked'), { code: 78, stderr: /has keys already/ })

  const box = await secured.replaced(data, ['recover', '--nodes', '2'])
  await eventually('both boards are back', async () => {
    const states = await box.states()
    return states.n1 === 'alive' && states.n2 === 'alive'
  })
  const sum = await eventually('what they held', async () => {
    const answer = await box.run({ op: 'stat', args: { field: 'n' } })
    return answer.value as { sum: number } | undefined
  })
  t.match(sum, { sum: 3 * 64 * 64 })
  t.notOk(boards.slice(0, 2).some(({ run }) => run.hasExited))
  for (const { run } of boards.slice(2)) await run.kill()
  for (const board of boards.slice(2)) {
    board.start()
    await eventually(`${board.id} is told`, () => board.run.stderr.includes('"code":"revoked"'))
  }
  const events = await box.events(t)
  t.same(events.slice(0, 3), ['log-begun gateway', 'ca-restored admin', 'node-revoked admin'])
  t.notOk(events.includes('secured admin'))
  t.same(Object.keys(await box.states()).sort(), ['n1', 'n2'])

  const late = box.board('n9', here, HOST, '--enroll-token-file', spare)
  t.match(await within('its end', late.run.exited), { code: 78 }, 'a token of before is void')
  t.match(late.run.stderr, /was revoked/)
  const url = `mqtts://localhost:${box.port}`
  const login = { ca, reconnectPeriod: 0, username: 'ann' }
  await t.rejects(connectAsync(url, { ...login, password: userToken }), { code: 4 })
  const client = await within('ann', connectAsync(url, { ...login, password: PASSPHRASE }))
  await client.endAsync()
  const again = await box.token('n9')
  const n9 = box.board('n9', here, HOST, '--enroll-token-file', again)
  await n9.ready()
  t.match(await done(box, 'ca', 'show'), /^backup +20/m, 'that one is good for this box, too')
})

t.test('a backup that is killed at any moment is there or not', async (t) => {
  const random = new Random(seed)
  const { fleet, secured } = await securedHere(t)
  const passphrase = join(fleet.directory, 'passphrase')
  writeFileSync(passphrase, PASSPHRASE)
  const file = join(fleet.directory, 'keys.backup')
  const at = ['--http', `unix:${join(secured.data, 'admin.sock')}`, '--force']
  let kept = 0
  for (let kills = 0; kills < 6; kills++) {
    const run = fleet.start(['ca', 'backup', file, '--passphrase-file', passphrase, ...at])
    // It takes about 1.5 s on a quiet machine.
    await new Promise((resolve) => setTimeout(resolve, random.between(300, 2000)))
    await run.kill()
    if (!existsSync(file)) continue
    await t.resolves(openSealed(readFileSync(file), PASSPHRASE))
    kept += 1
    rmSync(file)
  }
  t.comment(`${kept} of them were there`)
  await eventually('one that is let, after that of which nobody waits', async () => {
    const last = fleet.start(['ca', 'backup', file, '--passphrase-file', passphrase, ...at])
    const { code } = await within('its end', last.exited)
    if (code !== 0 && !last.stderr.includes('backup-under-way')) throw new Error(last.stderr)
    return code === 0
  })
  await t.resolves(openSealed(readFileSync(file), PASSPHRASE))
  t.same(
    readdirSync(fleet.directory).filter((name) => name.startsWith('keys')),
    ['keys.backup'],
  )
})
