/** The tables that ship and those that the simulator has, held to one contract. */
import { join } from 'node:path'
import t from 'tap'
import { openDatabase } from '../../../shared/runtime/lmdb.ts'
import { SimulatedDisk } from '../../support/simulated-disk.ts'
import { keepsContract } from '../../support/tables-contract.ts'

const OPTIONS = { mapSizeBytes: 16 * 1024 * 1024, maxDbs: 4 }

t.test('in LMDB', async (t) => {
  keepsContract(t, async (t) => {
    const directory = join(t.testdir(), 'store')
    let database = await openDatabase(directory, OPTIONS, () => {})
    t.teardown(async () => await database.close())
    return {
      tables: database,
      async reopen() {
        await database.close()
        database = await openDatabase(directory, OPTIONS, () => {})
        return database
      },
    }
  })
})

t.test('on a simulated disk', async (t) => {
  keepsContract(t, async () => {
    const disk = new SimulatedDisk()
    const timing = { nowMs: 0, begin: setImmediate, flush: setImmediate }
    const tables = disk.open(timing)
    return {
      tables,
      async reopen() {
        await tables.close()
        return disk.open(timing)
      },
    }
  })
})

t.test('a simulated disk loses what was not flushed, and nothing else', async (t) => {
  const disk = new SimulatedDisk()
  const flushes: (() => void)[] = []
  const timing = {
    nowMs: 0,
    begin: (act: () => void) => act(),
    flush: (act: () => void) => flushes.push(act),
  }
  const tables = disk.open(timing)
  const table = tables.table<string>('words', 'ordered-binary')
  const put = (word: string): Promise<void> =>
    tables.write(() => {
      table.put(word, Buffer.from(word))
    })
  const first = put('first')
  t.same([...table.getKeys()], ['first'], 'the process has it')
  t.same(disk.keys('words'), [], 'the disk does not')
  flushes.shift()!()
  await first
  void put('second')
  disk.crash()
  flushes.shift()!()
  t.same(disk.keys('words'), ['first'])
  t.same([...disk.open(timing).table('words', 'ordered-binary').getKeys()], ['first'])
})
