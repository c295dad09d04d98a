/** Packages that a gateway keeps: only whole and sound ones, within a bound, and across starts. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { PackageStore } from '../../../broker/adapters/package-store.ts'
import { StagedBoard } from '../../support/staged-board.ts'

const MIB = 1024 * 1024

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000)
}

t.test('a package is kept across starts, and goes when it is told to', async (t) => {
  const directory = t.testdir()
  const board = new StagedBoard(join(directory, 'board'))
  const archive = board.archive(board.tree({ version: '2.0.0', architecture: 'arm64' }))
  const options = { directory: join(directory, 'gateway'), bytesMax: MIB }
  const store = new PackageStore(options)
  const kept = await store.take(piecesOf(archive))
  t.match(kept, {
    version: '2.0.0',
    architecture: 'arm64',
    bytes: archive.length,
  })
  t.same(await store.take(piecesOf(archive)), kept, 'the same again is the same')
  writeFileSync(join(options.directory, 'packages/coming'), 'half')
  const again = new PackageStore(options)
  t.same(again.all, [kept])
  t.same(readdirSync(join(options.directory, 'packages')).length, 2, 'what was half is gone')
  t.ok(again.pathOf(kept.sha256))
  t.ok(again.remove(kept.sha256))
  t.notOk(again.remove(kept.sha256))
  t.equal(again.pathOf(kept.sha256), undefined)
  t.same(new PackageStore(options).all, [])
})

t.test('one whose file is gone is none, and can be sent again', async (t) => {
  const directory = t.testdir()
  const board = new StagedBoard(join(directory, 'board'))
  const archive = board.archive(board.tree({ version: '2.0.0' }))
  const store = new PackageStore({ directory: join(directory, 'gateway'), bytesMax: MIB })
  const kept = await store.take(piecesOf(archive))
  rmSync(store.pathOf(kept.sha256)!)
  t.equal(store.pathOf(kept.sha256), undefined)
  t.equal(store.find(kept.sha256), undefined)
  t.same(store.all, [])
  t.same(await store.take(piecesOf(archive)), kept)
  t.ok(readFileSync(store.pathOf(kept.sha256)!).equals(archive))
})

t.test('what boards would refuse is not kept', async (t) => {
  const directory = t.testdir()
  const board = new StagedBoard(join(directory, 'board'))
  const store = new PackageStore({ directory: join(directory, 'gateway'), bytesMax: MIB })
  const take = (bytes: Uint8Array) => store.take(piecesOf(bytes))
  const refused = (message: RegExp) => ({ code: 'package-untrusted', message })
  await t.rejects(take(Buffer.from('x')), refused(/no package/))
  const tree = board.tree({ version: '2.0.0' })
  writeFileSync(join(tree, 'agent.mjs'), '// other\n')
  await t.rejects(take(board.archive(tree)), refused(/agent\.mjs/))
  const gateway = board.tree({ version: '2.0.0', role: 'gateway' })
  await t.rejects(take(board.archive(gateway)), refused(/of the gateway/))
  const inventory = { protocol: 99 }
  const foreign = board.tree({ version: '2.0.0', inventory })
  await t.rejects(take(board.archive(foreign)), refused(/protocol 99/))
  t.same(readdirSync(join(directory, 'gateway/packages')), [])
})

t.test('together they have a bound, and come one at a time', async (t) => {
  const directory = t.testdir()
  const board = new StagedBoard(join(directory, 'board'))
  const archive = board.archive(board.tree({ version: '2.0.0' }))
  const bytesMax = archive.length + 100
  const store = new PackageStore({ directory: join(directory, 'gateway'), bytesMax })
  const first = store.take(piecesOf(archive))
  await t.rejects(store.take(piecesOf(archive)), { code: 'overloaded' })
  await first
  const other = board.archive(board.tree({ version: '3.0.0' }))
  await t.rejects(store.take(piecesOf(other)), { code: 'packages-full' })
  t.equal(store.all.length, 1)
})
