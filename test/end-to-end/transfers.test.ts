/**
 * Many accounts are charged at once, each by its own amount and only where there is enough, while nodes are killed and
 * tasks are sent again: each charge is made once or not at all, on every copy.
 */
import t from 'tap'
import { Random } from '../../shared/core/random.ts'
import { allCompleted, PATIENT } from '../support/additions.ts'
import { Fleet } from '../support/processes.ts'
import { caughtUp, killAgent } from '../support/replicas.ts'
import { areOnDisk } from '../support/stored-copies.ts'
import { HttpClient, type Json, WireClient } from '../support/wire-client.ts'

const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31)
t.comment(`SEED=${seed} npx tap run test/end-to-end/transfers.test.ts`)

const SIDE = 64
const ACCOUNTS = 300
const ROUNDS = 40
const START = 100
const idOf = (round: number): string => `charge-${round}`
const SOURCE = 'balance = balance - $a where balance >= $a'

t.test('conditional charges of scattered cells are exact while nodes are killed', async (t) => {
  const random = new Random(seed)
  const fleet = new Fleet(t)
  const patience = ['--suspect-after-ms', '120000', '--dead-after-ms', '240000']
  const grid = ['--grid', `${SIDE}x${SIDE}`, '--fields', 'balance:f64']
  const gateway = await fleet.gateway(...grid, ...patience)
  const http = new HttpClient(gateway.http)
  const agents = await fleet.agents(['a', 'b', 'c'], gateway.url)

  const balances = new Array<number>(SIDE * SIDE).fill(START)
  await http.run({ op: 'set', args: { fields: { balance: START } } })
  let [charged, refused] = [0, 0]
  const charge = (round: number): Json => {
    const drawn = Array.from({ length: ACCOUNTS }, () => random.integer(SIDE * SIDE))
    const ids = [...new Set(drawn)]
    // Of binary fractions, so that the sums of the model are exact.
    const amounts = ids.map(() => random.integer(400) / 4)
    for (const [at, id] of ids.entries()) {
      const amount = amounts[at]!
      if (balances[id]! < amount) refused += 1
      else {
        balances[id]! -= amount
        charged += amount
      }
    }
    const isPacked = round % 2 === 0
    const a = isPacked ? Buffer.from(Float64Array.from(amounts).buffer) : amounts
    const args = { ids, columns: { a }, source: SOURCE }
    const task = { id: idOf(round), op: 'scatter', args, ...PATIENT }
    return { task, format: isPacked ? 'cbor' : 'json' }
  }
  const rounds = async (wire: WireClient, from: number, to: number): Promise<void> => {
    for (let round = from; round < to; round++) {
      const { task, format } = charge(round)
      t.ok(await wire.submit(task, format))
      if (random.integer(3) === 0) t.ok(await wire.submit(task, format), 'once more')
    }
  }

  const wire = await WireClient.connect(gateway.url)
  t.teardown(() => wire.close())
  await rounds(wire, 0, ROUNDS / 4)
  await killAgent(http, agents[0]!)
  await rounds(wire, ROUNDS / 4, ROUNDS / 2)
  await agents[0]!.restart()
  await killAgent(http, agents[1]!)
  await rounds(wire, ROUNDS / 2, (ROUNDS * 3) / 4)
  await gateway.run.kill()
  await gateway.restart()
  await agents[1]!.restart()
  const ids = Array.from({ length: ROUNDS }, (_, round) => idOf(round))
  // Writes of another client are not in the order of these, which may wait for a node.
  await allCompleted(t, http, ids.slice(0, (ROUNDS * 3) / 4))
  const other = await WireClient.connect(gateway.url)
  t.teardown(() => other.close())
  await rounds(other, (ROUNDS * 3) / 4, ROUNDS)
  await allCompleted(t, http, ids)
  t.match(await http.get(`/api/tasks/${ids[0]}/result`), {
    op: 'scatter',
    program: { cost: 14 },
  })
  t.ok(refused > 100 && charged > 0, `${charged} charged, ${refused} charges refused`)

  for (const { id } of agents) await caughtUp(http, id)
  const { value } = await http.run({ op: 'stat', args: { field: 'balance' } })
  t.equal(value.sum, SIDE * SIDE * START - charged)
  await areOnDisk(t, agents, balances)
})
