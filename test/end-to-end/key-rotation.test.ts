/** Keys of boards that are followed by others, while the fleet works: nothing but the commands and the packaged programs. */
import { cpSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Random } from '../../shared/core/random.ts'
import { type Agent, eventually } from '../support/processes.ts'
import { joined, type Secured, securedHere } from '../support/secured-fleet.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/key-rotation.test.ts`)

const keyOf = ({ directory }: Agent): string =>
  readFileSync(join(directory, 'identity', 'key.pem'), 'utf8')
const foldersOf = ({ directory }: Agent): string[] =>
  readdirSync(directory)
    .filter((name) => name.startsWith('identity'))
    .sort()

/** The node has one key, which is none of these. */
async function isRenewed(
  secured: Secured,
  node: string,
  before: readonly string[],
): Promise<boolean> {
  const keys = await secured.keysOf(node)
  return keys.length === 1 && !before.includes(keys[0]!)
}

const SUM = { op: 'stat', args: { field: 'n' } }
const ALL = { value: { sum: 3 * 64 * 64 } }

t.test(
  'a node makes another key when it is told to, and the old one is worth nothing',
  async (t) => {
    const bench = await securedHere(t)
    const { fleet, here, secured } = bench
    const [n1, n2] = [await joined(bench, 'n1'), await joined(bench, 'n2')]
    await secured.run({ op: 'set', args: { fields: { n: 3 } } })
    const [key, registered] = [keyOf(n1), await secured.keysOf('n1')]
    const copy = join(fleet.directory, 'copy')
    cpSync(join(n1.directory, 'identity'), join(copy, 'identity'), { recursive: true })
    const others = await secured.keysOf('n2')

    const told = await secured.command('node', 'rotate-key', 'n1')
    t.match(told, { exit: { code: 0 }, stdout: /node n1 makes another key/ })
    await eventually('its key is another one', () => isRenewed(secured, 'n1', registered))
    await eventually('it is back', async () => (await secured.states()).n1 === 'alive')
    t.not(keyOf(n1), key)
    t.same(foldersOf(n1), ['identity'])
    t.same(await secured.keysOf('n2'), others)
    t.match(await secured.run(SUM), ALL)
    t.notOk([n1, n2].some(({ run }) => run.hasExited))

    const url = ['--url', `mqtts://127.0.0.1:${secured.port}`]
    const thief = here('agent', '--id', 'n1', ...url, '--data', copy)
    await eventually('a copy of the old one is out', () =>
      thief.stderr.includes('"code":"revoked"'),
    )
    t.same(await secured.states(), { n1: 'alive', n2: 'alive' })
    t.ok((await secured.events(t)).includes('key-rotated node/n1'))
    t.match(await secured.command('node', 'rotate-key', 'nobody'), { exit: { code: 1 } })
    t.match(await secured.command('node', 'rotate-key'), { exit: { code: 2 } })

    const all = [...registered, ...others, ...(await secured.keysOf('n1'))]
    await n2.run.end('SIGTERM')
    const command = await secured.command('node', 'rotate-key', '--all')
    t.match(command, { exit: { code: 0 }, stdout: /n1 makes.*\n.*n2 makes/ })
    await eventually('n1 has another one', () => isRenewed(secured, 'n1', all))
    t.same(await secured.keysOf('n2'), others, 'n2 is away')
    await secured.restart()
    n2.start()
    await eventually('n2 is asked when it is back', () => isRenewed(secured, 'n2', all))
    t.match(await secured.run(SUM), ALL)
  },
)

t.test('kills at any moment of a rotation leave a key that works, and then one', async (t) => {
  const KILLS = 14
  const bench = await securedHere(t)
  const { secured } = bench
  const random = new Random(seed)
  const board = await joined(bench, 'n1')
  const before = await secured.keysOf('n1')
  for (let kills = 0; kills < KILLS; kills++) {
    await secured.command('node', 'rotate-key', 'n1')
    // From the demand to the first connection with the new key it takes some 50 ms to 3 s.
    const waitMs = random.unit() < 0.5 ? random.between(0, 60) : random.between(0, 3500)
    await new Promise((resolve) => setTimeout(resolve, waitMs))
    const isGateway = random.integer(3) === 0
    if (isGateway) await secured.restart()
    if (!isGateway || random.integer(2) === 0) {
      await board.run.kill()
      await board.restart()
    }
    await eventually('it is there', async () => (await secured.states()).n1 === 'alive')
    t.ok((await secured.keysOf('n1')).length <= 2)
    t.notOk(board.run.stderr.includes('"code":"revoked"'))
  }
  await eventually('what was begun is over', async () => (await secured.keysOf('n1')).length === 1)
  const last = [...before, ...(await secured.keysOf('n1'))]
  await secured.command('node', 'rotate-key', 'n1')
  await eventually('in the end it has one', () => isRenewed(secured, 'n1', last))
  await eventually('and no other', () => foldersOf(board).join() === 'identity')
  t.notOk(existsSync(join(board.directory, 'identity.new')))
  await board.run.kill()
  await board.restart()
  t.equal((await secured.keysOf('n1')).length, 1)
})
