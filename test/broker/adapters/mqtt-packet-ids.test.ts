import t from 'tap'
import { PacketIds } from '../../../broker/adapters/mqtt-packet-ids.ts'

t.test('every packet id can be kept, once', async (t) => {
  const ids = new PacketIds()
  for (const id of [65_535, 1, 8, 4096, 1]) ids.add(id)
  t.equal(ids.size, 4)
  t.same(
    [1, 2, 7, 8, 9, 4095, 4096, 65_534, 65_535].filter((id) => ids.has(id)),
    [1, 8, 4096, 65_535],
  )
  t.equal(ids.delete(4096), true)
  t.equal(ids.delete(4096), false)
  t.equal(ids.delete(2), false)
  for (let id = 1; id <= 65_535; id++) ids.add(id)
  t.equal(ids.size, 65_535)
  for (let id = 1; id <= 65_535; id++) if (!ids.delete(id)) t.fail(`${id}`)
  t.equal(ids.size, 0)
})
