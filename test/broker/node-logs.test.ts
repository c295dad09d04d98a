import t from 'tap'
import { NodeLogs } from '../../broker/node-logs.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import type { LogLines, LogOrder } from '../../shared/protocol/log-messages.ts'

const NODE = 'pi-1' as NodeId
const WISH = { lines: 3, level: 'info' } as const
const HERE = { connection: 'c1', givesLog: true }

class Board {
  way: { connection: string; givesLog: boolean } | undefined = HERE
  readonly orders: LogOrder[] = []
  readonly logs = new NodeLogs(
    { wayTo: () => this.way, send: (_, order) => void this.orders.push(order) },
    { openMax: 2, timeoutMs: 50 },
  )

  say(lines: string, { connection = 'c1', unread = 0, left = 0 } = {}): void {
    const { ask } = this.orders.at(-1)!
    const next = `p1-${ask}`
    const said = { t: 'log-lines', ask, lines: Buffer.from(lines), next, left, unread } as const
    this.logs.take(connection, said satisfies LogLines)
  }
}

t.test('pieces are asked for until there are enough lines', async (t) => {
  const board = new Board()
  const read = board.logs.read(NODE, WISH)
  board.say('{"msg":"a"}\n', { unread: 5, left: 2 })
  await new Promise(setImmediate)
  board.say('{"msg":"b"}\n{"msg":"c"}\n{"msg":"d"}\n', { unread: 5, left: 1 })
  const lines = [{ msg: 'a' }, { msg: 'b' }, { msg: 'c' }]
  t.same(await read, { lines, next: 'p1-2', left: 3 })
  t.same(board.orders, [
    { t: 'log', ask: 1, lines: 3, level: 'info' },
    { t: 'log', ask: 2, lines: 2, level: 'info', after: 'p1-1' },
  ])
})

t.test('a board that has always more to say is not heard to the end', async (t) => {
  const board = new Board()
  const read = board.logs.read(NODE, WISH)
  for (let n = 0; n < 8; n++) {
    board.say('', { unread: 1 })
    await new Promise(setImmediate)
  }
  t.same(await read, { lines: [], next: 'p1-8', left: 0 })
})

t.test('what is no object, or too deep to walk through, is left out', async (t) => {
  const board = new Board()
  const read = board.logs.read(NODE, WISH)
  const deep = `{"a":${'['.repeat(7000)}${']'.repeat(7000)}}`
  board.say(`5\n[]\nnull\n{"msg":"a"\n\n${deep}\n{"msg":"b"}\n`)
  t.same(await read, { lines: [{ msg: 'b' }], next: 'p1-1', left: 0 })
})

t.test('a board that is away, of before or silent is said to be', async (t) => {
  const board = new Board()
  board.way = undefined
  await t.rejects(board.logs.read(NODE, WISH), { code: 'node-away', message: /journalctl/ })
  board.way = { ...HERE, givesLog: false }
  await t.rejects(board.logs.read(NODE, WISH), { code: 'log-not-kept' })
  board.way = HERE
  const silent = board.logs.read(NODE, WISH)
  board.say('{"msg":"of another board"}\n', { connection: 'c2' })
  const other = board.logs.read(NODE, WISH)
  await t.rejects(board.logs.read(NODE, WISH), { code: 'overloaded' })
  board.say('')
  t.same(await other, { lines: [], next: 'p1-2', left: 0 })
  await t.rejects(silent, { code: 'node-away', message: /no answer within 0.05 s/ })
  const again = board.logs.read(NODE, WISH)
  board.say('')
  t.match(await again, { next: 'p1-3' }, 'those that are over take no room')
})
