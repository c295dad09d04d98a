import {
  existsSync,
  mkdirSync,
  readdirSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeRoom, putAside } from '../../../shared/runtime/set-aside.ts'

t.test('only the newest stay, by number and not by name', (t) => {
  const directory = t.testdir({ 'store.broken-2': {}, 'store.broken-9': {}, 'store.broken-x': {} })
  const path = join(directory, 'store')
  for (const number of [10, 11, 12]) {
    mkdirSync(path)
    t.equal(putAside(path, 3), `${path}.broken-${number}`)
    t.notOk(existsSync(path))
  }
  const left = ['store.broken-10', 'store.broken-11', 'store.broken-12', 'store.broken-x']
  t.strictSame(readdirSync(directory).sort(), left, 'and what is none of ours')
  t.end()
})

t.test('the oldest go while the disk has no room for the store beside them', (t) => {
  const directory = t.testdir({ store: { data: '' }, 'store.broken-1': {}, 'store.broken-2': {} })
  const path = join(directory, 'store')
  const file = join(path, 'data')
  const { bavail, bsize } = statfsSync(directory)
  // Others use the disk, too: far away from where it would matter.
  const free = bavail * bsize
  const left = (): string[] => readdirSync(directory).sort()
  makeRoom(path, file, free / 2)
  t.strictSame(left(), ['store', 'store.broken-1', 'store.broken-2'], 'there is room')
  truncateSync(file, 4 * free)
  makeRoom(path, file, 4 * free)
  t.strictSame(left(), ['store', 'store.broken-1', 'store.broken-2'], 'it has grown already')
  writeFileSync(file, '')
  makeRoom(path, file, 4 * free)
  t.strictSame(left(), ['store'])
  makeRoom(path, file, 4 * free)
  t.end()
})
