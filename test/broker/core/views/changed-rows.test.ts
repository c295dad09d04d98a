import t from 'tap'
import { ChangedRows } from '../../../../broker/core/views/changed-rows.ts'
import type { NodeId } from '../../../../shared/core/ids.ts'
import type { NodeView } from '../../../../shared/protocol/views.ts'
import { NODE } from '../../../support/recorded-http-port.ts'

const OPTIONS = { rowsMax: 40, windowMs: 5000, restMs: 5000, pieceMax: 50 }

/** A fleet whose rows a test changes. */
class Rows {
  readonly #watch: ChangedRows
  readonly all: NodeView[]
  asked = 0

  constructor(count: number, options: Partial<typeof OPTIONS> = {}) {
    this.#watch = new ChangedRows({ ...OPTIONS, ...options })
    this.all = Array.from({ length: count }, (_, n) => ({ ...NODE, id: `n${n}` as NodeId }))
  }

  change(at: number, row: Partial<NodeView>): void {
    this.all[at] = { ...this.all[at]!, ...row }
  }

  take(nowMs: number): string[] {
    const from = (first: number, count: number) => {
      const rows = this.all.slice(first, first + count)
      this.asked = rows.length
      return rows
    }
    const rows = this.#watch.take(nowMs, this.all.length, from)
    return rows.map((row) => ('removed' in row ? `-${row.id}` : row.id))
  }

  forget(): void {
    this.#watch.forget()
  }
}

t.test('a state that changed is told at once, figures after a rest', async (t) => {
  const rows = new Rows(3)
  t.same(rows.take(0), ['n0', 'n1', 'n2'], 'who begins is told of all')
  t.same(rows.take(1000), [])
  rows.change(1, { telemetry: { seq: 2 } })
  rows.change(2, { state: 'suspect' })
  t.same(rows.take(2000), ['n2'])
  t.same(rows.take(4999), [])
  t.same(rows.take(5000), ['n1'], 'five seconds after it was told of')
  rows.change(0, { phi: 3, probation_seconds: 2 })
  t.same(rows.take(20_000), [], 'what grows by itself is no news')
})

t.test('a node that is gone is told of as gone, once', async (t) => {
  const rows = new Rows(3)
  rows.take(0)
  rows.all.splice(1, 1)
  t.same(rows.take(1000), ['-n1'])
  t.same(rows.take(2000), [])
})

t.test('so many rows go in a window, and states go before figures', async (t) => {
  const rows = new Rows(50)
  t.equal(rows.take(0).length, 40)
  t.equal(rows.take(1000).length, 0, 'the window is full')
  t.equal(rows.take(5000).length, 10, 'the others follow')
  for (let at = 0; at < 50; at++) rows.change(at, { telemetry: { seq: at } })
  rows.change(49, { state: 'dead' })
  const taken = rows.take(20_000)
  t.equal(taken[0], 'n49')
  t.equal(taken.length, 30, 'some room stays for what happens next')
  rows.change(48, { state: 'dead' })
  t.same(rows.take(21_000), ['n48'])
})

t.test('a large fleet is looked at piece by piece, and nobody is left out', async (t) => {
  const rows = new Rows(120, { rowsMax: 1000 })
  const seen = new Set<string>()
  for (let nowMs = 0; nowMs < 3000; nowMs += 1000) {
    for (const id of rows.take(nowMs)) seen.add(id)
    t.ok(rows.asked <= 50)
  }
  t.equal(seen.size, 120)
  rows.change(110, { state: 'dead' })
  rows.all.splice(5, 1)
  const told = [3000, 4000, 5000].flatMap((nowMs) => rows.take(nowMs))
  t.ok(told.includes('n110'))
  const again = [6000, 7000, 8000].flatMap((nowMs) => rows.take(nowMs))
  t.ok([...told, ...again].includes('-n5'), 'after a whole round without it')
})

t.test('after nobody watched, all is new', async (t) => {
  const rows = new Rows(2)
  rows.take(0)
  rows.forget()
  t.same(rows.take(6000), ['n0', 'n1'])
})
