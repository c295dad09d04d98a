import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { Deadlines, SharedDeadlines } from '../../../../broker/core/state/deadlines.ts'
import { check } from '../../../support/property.ts'

t.test('it does what a sorted list of names does', async (t) => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('set' as const), name: fc.nat(9), atMs: fc.nat(50) }),
    fc.record({ kind: fc.constant('clear' as const), name: fc.nat(9) }),
    fc.record({ kind: fc.constant('run' as const), byMs: fc.nat(20) }),
  )
  check(
    t,
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const deadlines = new Deadlines()
      const plain = new Map<string, number>()
      let nowMs = 0
      let acted: string[] = []
      for (const one of steps) {
        if (one.kind === 'set') {
          const name = `n${one.name}`
          deadlines.set(name, nowMs + one.atMs, () => acted.push(name))
          plain.set(name, nowMs + one.atMs)
        }
        if (one.kind === 'clear') {
          deadlines.clear(`n${one.name}`)
          plain.delete(`n${one.name}`)
        }
        acted = []
        if (one.kind === 'run') {
          nowMs += one.byMs
          deadlines.run(nowMs)
          const due = [...plain].filter(([, atMs]) => atMs <= nowMs)
          assert.deepEqual([...acted].sort(), due.map(([name]) => name).sort())
          const times = acted.map((name) => plain.get(name)!)
          assert.deepEqual(
            times,
            [...times].sort((a, b) => a - b),
            'earliest first',
          )
          for (const [name] of due) plain.delete(name)
        }
        const nextMs = plain.size === 0 ? undefined : Math.min(...plain.values())
        assert.equal(deadlines.nextMs(), nextMs)
        for (const name of ['n0', 'n5']) assert.equal(deadlines.has(name), plain.has(name))
      }
    }),
    200,
  )
})

t.test('what is set while it runs waits for the next time, also when it is due', async (t) => {
  const deadlines = new Deadlines()
  let times = 0
  const again = (): void => {
    times += 1
    deadlines.set('again', 5, again)
  }
  deadlines.set('again', 5, again)
  deadlines.run(10)
  t.equal(times, 1)
  t.equal(deadlines.nextMs(), 5)
  deadlines.run(10)
  t.equal(times, 2)
})

t.test('one deadline may clear or move another that is due with it', async (t) => {
  const deadlines = new Deadlines()
  const acted: string[] = []
  deadlines.set('first', 1, () => {
    acted.push('first')
    deadlines.clear('cleared')
    deadlines.set('moved', 50, () => acted.push('moved'))
  })
  deadlines.set('cleared', 2, () => acted.push('cleared'))
  deadlines.set('moved', 3, () => acted.push('moved too early'))
  deadlines.run(10)
  t.same(acted, ['first'])
  deadlines.run(50)
  t.same(acted, ['first', 'moved'])
})

t.test('names that are set and cleared without end leave nothing behind', async (t) => {
  const deadlines = new Deadlines()
  deadlines.set('kept', 5e9, () => {})
  const before = process.memoryUsage().heapUsed
  for (let at = 0; at < 400_000; at++) {
    deadlines.set(`task/${at}`, 86_400_000 + at, () => {})
    deadlines.clear(`task/${at}`)
  }
  const grownBytes = process.memoryUsage().heapUsed - before
  t.ok(grownBytes < 20e6, `${grownBytes} bytes more`)
  t.equal(deadlines.nextMs(), 5e9)
})

t.test(
  'of very many that are due together, each run performs some, and the rest stays due',
  async (t) => {
    const deadlines = new Deadlines()
    const performed: number[] = []
    for (let at = 0; at < 1000; at++) deadlines.set(`n${at}`, at, () => performed.push(at))
    let most = 0
    for (let runs = 1; deadlines.nextMs() !== undefined; runs++) {
      const before = performed.length
      t.equal(deadlines.nextMs(), before, 'the earliest is next')
      deadlines.run(5000)
      most = Math.max(most, performed.length - before)
      if (runs > 1000) return t.fail('it comes to no end')
    }
    t.same(
      performed,
      Array.from({ length: 1000 }, (_, at) => at),
    )
    t.ok(most <= 256, 'a step stays short')
  },
)

t.test('what is due at the same moment for many is one deadline, met some at a time', async (t) => {
  const deadlines = new Deadlines()
  const met: [number, number][] = []
  const shared = new SharedDeadlines<number>(deadlines, 'many', (item, atMs) => {
    met.push([item, atMs])
    if (item === 0) shared.add(atMs, -1)
  })
  for (let item = 0; item < 300; item++) shared.add(20, item)
  shared.add(10, 1000)
  t.equal(deadlines.nextMs(), 10)
  deadlines.run(19)
  t.same(met.splice(0), [[1000, 10]])
  deadlines.run(20)
  const first = met.splice(0)
  t.ok(first.length < 300, 'others get their turn between')
  t.equal(deadlines.nextMs(), 20)
  deadlines.run(20)
  const items = [...first, ...met].map(([item]) => item)
  t.same(items, [...Array.from({ length: 300 }, (_, item) => item), -1], 'in their order')
  t.equal(deadlines.nextMs(), undefined)
})
