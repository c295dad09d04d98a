import { statfsSync } from 'node:fs'
import t from 'tap'
import { DiskWatch } from '../../../broker/adapters/disk-watch.ts'
import { eventually } from '../../support/processes.ts'

t.test('it says how much room there is, again and again, until it is closed', async (t) => {
  const seen: number[] = []
  const watch = new DiskWatch({ directory: t.testdir(), intervalMs: 5 }, (free) => seen.push(free))
  t.equal(watch.freeBytes, undefined)
  await watch.start()
  t.equal(seen.length, 1)
  const { blocks, bsize } = statfsSync(t.testdirName)
  t.ok(seen[0]! > 0 && seen[0]! < blocks * bsize)
  await eventually('more looks', () => seen.length > 3)
  t.equal(watch.freeBytes, seen.at(-1))
  watch.close()
  const { length } = seen
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(seen.length, length)
})

t.test('a directory that is gone is no end', async (t) => {
  const watch = new DiskWatch({ directory: `${t.testdir()}/none` }, () => t.fail('a number'))
  await watch.start()
  t.equal(watch.freeBytes, undefined)
  watch.close()
})
