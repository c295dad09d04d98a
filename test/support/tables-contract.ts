/**
 * What every `Tables` must do: the one in LMDB, which ships, and the one that the simulator runs the same
 * code on. Without it the simulator would prove something about a store that does not exist.
 */
import { deepEqual } from 'node:assert/strict'
import fc from 'fast-check'
import type { Test } from 'tap'
import type { Key, KeyEncoding, Table, Tables } from '../../shared/runtime/tables.ts'
import { checkAsync } from './property.ts'

export interface Opened {
  readonly tables: Tables
  /** Closes them and opens what lies on the disk. */
  reopen(): Promise<Tables>
}

const TABLES: readonly (readonly [name: string, encoding: KeyEncoding])[] = [
  ['tiles', 'uint32'],
  ['words', 'ordered-binary'],
]
const KIB = 1024
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))
const textOf = (value: Uint8Array | undefined): string | undefined =>
  value && Buffer.from(value).toString()
const allOf = (table: Table): [Key, string][] =>
  Array.from(table.getRange(), ({ key, value }) => [key, textOf(value)!])

type Step =
  | { readonly put: readonly [table: number, key: number, value: string] }
  | { readonly remove: readonly [table: number, key: number] }
  | { readonly clear: number }
const place = [fc.integer({ min: 0, max: 1 }), fc.integer({ min: 0, max: 40 })] as const
const value = fc.string({ minLength: 1, maxLength: 20, unit: fc.constantFrom('a', 'b', 'c') })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ put: fc.tuple(...place, value) }) },
  { weight: 4, arbitrary: fc.record({ remove: fc.tuple(...place) }) },
  { weight: 1, arbitrary: fc.record({ clear: place[0] }) },
)

/** `open`: with nothing in them. */
export function keepsContract(t: Test, open: (t: Test) => Promise<Opened>): void {
  t.test('a transaction over several tables is there, and after another start too', async (t) => {
    const { tables, reopen } = await open(t)
    const words = tables.table<string>('words', 'ordered-binary')
    const tiles = tables.table<number>('tiles', 'uint32')
    const written = tables.write(() => {
      words.put('one', bytes('1'))
      tiles.put(7, bytes('seven'))
    })
    t.equal(words.getBinary('one'), undefined, 'not before it was made')
    t.type(tables.waitingSinceMs, 'number')
    await written
    t.equal(tables.waitingSinceMs, undefined)
    t.equal(textOf(words.getBinary('one')), '1')
    const lent = tiles.getBinaryFast(7)!
    t.equal(textOf(lent.subarray(0, lent.length)), 'seven')
    t.equal(words.getBinary('two'), undefined)
    const again = await reopen()
    t.same(allOf(again.table('words', 'ordered-binary')), [['one', '1']])
    t.same(allOf(again.table('tiles', 'uint32')), [[7, 'seven']])
  })

  t.test('keys ascend', async (t) => {
    const { tables } = await open(t)
    for (const [name, encoding] of TABLES) {
      const table = tables.table<number>(name, encoding)
      await tables.write(() => {
        for (const key of [300, 2, 70_000, 10, 0]) table.put(key, bytes(String(key)))
      })
      t.same([...table.getKeys()], [0, 2, 10, 300, 70_000], name)
      t.same(
        Array.from(table.getRange(), ({ key }) => key),
        [...table.getKeys()],
      )
    }
    const names = tables.table<string>('names', 'ordered-binary')
    await tables.write(() => {
      for (const key of ['b', 'a/2', 'a', 'a/1', 'B']) names.put(key, bytes(key))
    })
    t.same([...names.getKeys()], ['B', 'a', 'a/1', 'a/2', 'b'])
  })

  t.test('writes of one moment are made in their order', async (t) => {
    const { tables } = await open(t)
    const words = tables.table<string>('words', 'ordered-binary')
    const order: number[] = []
    await Promise.all(
      [1, 2, 3].map((number) =>
        tables
          .write(() => {
            words.put('last', bytes(String(number)))
          })
          .then(() => order.push(number)),
      ),
    )
    t.equal(textOf(words.getBinary('last')), '3')
    t.same(order, [1, 2, 3])
  })

  t.test('bytes may be used again once the change has run', async (t) => {
    const { tables } = await open(t)
    const words = tables.table<string>('words', 'ordered-binary')
    const room = bytes('first')
    await tables.write(() => {
      words.put('word', room)
      room.fill(0)
    })
    t.equal(textOf(words.getBinary('word')), 'first')
    words.getBinary('word')!.fill(0)
    t.equal(textOf(words.getBinary('word')), 'first', 'what was read is a copy')
  })

  t.test('a table is emptied, with what was put before in the same transaction', async (t) => {
    const { tables, reopen } = await open(t)
    const words = tables.table<string>('words', 'ordered-binary')
    await tables.write(() => {
      words.put('old', bytes('old'))
    })
    await tables.write(() => {
      words.put('young', bytes('young'))
      words.clearSync()
      words.put('new', bytes('new'))
    })
    t.same(allOf(words), [['new', 'new']])
    t.same(allOf((await reopen()).table('words', 'ordered-binary')), [['new', 'new']])
  })

  t.test('what is removed leaves room in the file', async (t) => {
    const { tables } = await open(t)
    const words = tables.table<string>('words', 'ordered-binary')
    const before = tables.fileBytes()
    await tables.write(() => {
      words.put('large', new Uint8Array(512 * KIB))
    })
    t.ok(tables.fileBytes() >= before + 400 * KIB)
    t.ok(tables.bytesOf(words) >= 400 * KIB)
    await tables.write(() => {
      words.remove('large')
    })
    t.ok(tables.freeBytes() >= 400 * KIB)
    t.ok(tables.bytesOf(words) < 100 * KIB)
    t.ok(tables.diskFreeBytes() > 0)
  })

  t.test('any transactions leave what they say', async (t) => {
    const { tables, reopen } = await open(t)
    const opened = TABLES.map(([name, encoding]) => tables.table<number>(name, encoding))
    const model = TABLES.map(() => new Map<number, string>())
    const play = async (drawn: readonly Step[][]): Promise<void> => {
      const transactions = [[{ clear: 0 }, { clear: 1 }], ...drawn]
      const writes = transactions.map((steps) =>
        tables.write(() => {
          for (const one of steps) {
            if ('put' in one) opened[one.put[0]]!.put(one.put[1], bytes(one.put[2]))
            else if ('remove' in one) opened[one.remove[0]]!.remove(one.remove[1])
            else opened[one.clear]!.clearSync()
          }
        }),
      )
      for (const one of transactions.flat()) {
        if ('put' in one) model[one.put[0]]!.set(one.put[1], one.put[2])
        else if ('remove' in one) model[one.remove[0]]!.delete(one.remove[1])
        else model[one.clear]!.clear()
      }
      await Promise.all(writes)
      model.forEach((rows, index) => {
        const expected = [...rows].sort(([left], [right]) => left - right)
        deepEqual(allOf(opened[index]!), expected)
      })
    }
    const transactions = fc.array(fc.array(step, { maxLength: 6 }), { maxLength: 4 })
    await checkAsync(t, fc.asyncProperty(transactions, play), 100)
    const again = await reopen()
    TABLES.forEach(([name, encoding], index) => {
      const expected = [...model[index]!].sort(([left], [right]) => left - right)
      t.same(allOf(again.table(name, encoding)), expected)
    })
  })

  t.test('a change that fails leaves nothing of itself', async (t) => {
    const { tables, reopen } = await open(t)
    const words = tables.table<string>('words', 'ordered-binary')
    await tables.write(() => {
      words.put('sound', bytes('yes'))
    })
    const failing = tables.write(() => {
      words.put('half', bytes('half'))
      words.remove('sound')
      throw new Error('half done')
    })
    await t.rejects(failing)
    t.same(allOf((await reopen()).table('words', 'ordered-binary')), [['sound', 'yes']])
  })
}
