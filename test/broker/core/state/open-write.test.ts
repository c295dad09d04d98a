/** Whom a write waits for, of parts that come in the order of a plan and of others that moves add. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { EntryParts } from '../../../../broker/core/state/entry-parts.ts'
import { OpenWrite } from '../../../../broker/core/state/open-write.ts'
import { StreamItem } from '../../../../broker/core/state/stream-items.ts'
import type { Task } from '../../../../broker/core/state/task-ledger.ts'
import { check } from '../../../support/property.ts'

const MEMBERS = 6

function newWrite(counts: readonly number[]): OpenWrite {
  const members = counts.flatMap((count, member) => new Array<number>(count).fill(member))
  const parts = new EntryParts({
    members: Uint32Array.from(members),
    offsets: Uint32Array.from({ length: members.length + 1 }, (_, part) => part),
    tiles: Uint32Array.from(members, (_, part) => part),
  })
  const forAll = { seq: 1, op: 'set', region: [0, 0, 1, 1] as [number, number, number, number] }
  const content = { forAll: { ...forAll, args: {}, body: new Uint8Array(8) }, tileBytes: 4 }
  return new OpenWrite(new StreamItem(content, parts), {} as Task)
}

t.test('a member is awaited until it has the last of its parts', async (t) => {
  const step = fc.record({
    kind: fc.constantFrom('add' as const, 'acknowledge' as const, 'forget' as const),
    member: fc.nat(MEMBERS - 1),
    more: fc.nat(2),
  })
  const counts = fc.array(fc.nat(3), { minLength: MEMBERS, maxLength: MEMBERS })
  const property = fc.property(counts, fc.array(step, { maxLength: 40 }), (counts, steps) => {
    const write = newWrite(counts)
    /** Positions by member, those that are on its disk first; and how many are. */
    const plain = counts.map(() => ({ positions: [] as number[], acked: 0, head: 0 }))
    const put = (member: number): number => {
      plain[member]!.head += 1 + (member % 2)
      plain[member]!.positions.push(plain[member]!.head)
      return plain[member]!.head
    }
    counts.forEach((count, member) => {
      for (let part = 0; part < count; part++) write.expect(write.parts.put(put(member)))
    })
    for (const { kind, member, more } of steps) {
      const own = plain[member]!
      if (kind === 'add') {
        const part = { member, position: put(member), tiles: Uint32Array.of(7, 9) }
        write.expect(write.parts.add(part))
      } else if (kind === 'forget') {
        assert.equal(write.forget(member), own.positions.length > 0)
        // The next stream of the member begins anew.
        Object.assign(own, { positions: [], acked: 0, head: 0 })
      } else {
        for (const position of own.positions.slice(own.acked, own.acked + more)) {
          own.acked += 1
          const part = write.parts.find(member, position)!
          assert.equal(write.acknowledged(part), own.acked === own.positions.length)
        }
      }
      const isAwaited = (index: number): boolean => {
        return plain[index]!.acked < plain[index]!.positions.length
      }
      const awaited = plain.flatMap((_, index) => (isAwaited(index) ? [index] : []))
      assert.deepEqual([...write.awaitedMembers].sort(), awaited)
      assert.equal(write.awaitedCount, awaited.length)
      assert.equal(write.parts.memberCount, plain.filter((one) => one.positions.length > 0).length)
      for (let index = 0; index < MEMBERS; index++) {
        assert.equal(write.isAwaited(index), isAwaited(index))
        for (const position of plain[index]!.positions) {
          const part = write.parts.find(index, position)!
          assert.equal(write.parts.positionOf(part), position)
        }
        assert.equal(write.parts.find(index, 10_000), undefined)
      }
      for (const rest of [0, 1]) {
        const isSuch = (index: number): boolean => index % 2 === rest
        const found = write.findAwaited(isSuch)
        if (found === undefined) assert.deepEqual(awaited.filter(isSuch), [])
        else assert.ok(awaited.includes(found) && isSuch(found))
      }
    }
  })
  check(t, property, 500)
})
