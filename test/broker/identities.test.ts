import { createHash, randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import t, { type Test } from 'tap'
import { IdentityStore } from '../../broker/adapters/identity-store.ts'
import type { NodeToken } from '../../broker/core/access/registry.ts'
import { Identities, type ShownByBoard } from '../../broker/identities.ts'
import { toBase32 } from '../../shared/core/base32.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { shortDirectory } from '../support/short-directory.ts'

const NOW = 1_800_000_000_000
const n1 = 'n1' as NodeId
const n2 = 'n2' as NodeId

function directory(t: Test): string {
  const path = shortDirectory()
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

class Opened extends Identities {
  readonly store: IdentityStore

  constructor(tokensMax: number, store: IdentityStore) {
    super({ tokensMax }, store)
    this.store = store
  }
}

async function open(t: Test, path: string, tokensMax = 100): Promise<Opened> {
  const store = await IdentityStore.open(path, (error) => {
    throw error
  })
  t.teardown(() => store.close())
  return new Opened(tokensMax, store)
}

interface Given {
  readonly tokenId: string
  readonly secret: Uint8Array
}

async function give(
  identities: Identities,
  node: NodeId | null,
  more: Partial<NodeToken> = {},
): Promise<Given> {
  const tokenId = toBase32(randomBytes(5))
  const secret = randomBytes(16)
  const token = { node, replaces: false, untilTs: NOW + 1000, createdTs: NOW, by: 'admin' }
  const sha256 = createHash('sha256').update(secret).digest()
  await identities.addToken(NOW, tokenId, { ...token, sha256, ...more })
  return { tokenId, secret }
}

const newKey = (): string => randomBytes(32).toString('hex')

function shown(given: Given, node: NodeId, key: string): ShownByBoard {
  return { ...given, node, key, board: undefined, isProven: true, isNameKnown: false }
}

t.test('what was given is there after a start', async (t) => {
  const path = directory(t)
  const first = await open(t, path)
  const [given, spare] = [await give(first, n1), await give(first, n2)]
  const key = newKey()
  t.match(await first.enrol(NOW, shown(given, n1, key)), { ok: true })
  t.equal(first.ownerOf(key), n1)
  await first.store.close()

  const again = await open(t, path)
  t.equal(again.ownerOf(key), n1)
  t.match(again.store.identity(n1), { keys: [{ sha256: key, state: 'active' }], createdTs: NOW })
  t.match(await again.enrol(NOW, shown(given, n1, newKey())), { code: 'token-used' })
  t.same(await again.enrol(NOW, shown(given, n1, key)), { ok: true, changes: [] })
  t.match(await again.enrol(NOW, shown(spare, n2, newKey())), { ok: true })
  const tokens = [...again.store.tokens()]
  t.same(tokens.map(([id]) => id).sort(), [given.tokenId, spare.tokenId].sort())
})

t.test('of boards that come at the same moment one gets the place', async (t) => {
  const store = await open(t, directory(t))
  const given = await give(store, null)
  const keys = Array.from({ length: 20 }, newKey)
  const judgements = await Promise.all(
    keys.map((key, index) => store.enrol(NOW, shown(given, `m${index}` as NodeId, key))),
  )
  t.equal(judgements.filter(({ ok }) => ok).length, 1)
  t.same(
    keys.flatMap((key) => store.ownerOf(key) ?? []),
    ['m0'],
  )
})

t.test('a wrong secret is an unknown token', async (t) => {
  const store = await open(t, directory(t))
  const given = await give(store, n1)
  const wrong = { ...given, secret: randomBytes(16) }
  t.match(await store.enrol(NOW, shown(wrong, n1, newKey())), { code: 'token-unknown' })
  const none = { ...given, tokenId: toBase32(randomBytes(5)) }
  t.match(await store.enrol(NOW, shown(none, n1, newKey())), { code: 'token-unknown' })
  t.match(await store.enrol(NOW, shown(given, n1, newKey())), { ok: true })
})

t.test('revoked is revoked, at once and after a start', async (t) => {
  const path = directory(t)
  const store = await open(t, path)
  const given = await give(store, n1)
  const spare = await give(store, n1, { replaces: true })
  const any = await give(store, null)
  const key = newKey()
  await store.enrol(NOW, shown(given, n1, key))
  const revoking = store.revoke(NOW + 1, n1)
  t.equal(store.ownerOf(key), undefined, 'before it is on disk')
  t.equal(await revoking, true)
  await store.store.close()

  const again = await open(t, path)
  t.equal(again.ownerOf(key), undefined)
  t.match(await again.enrol(NOW + 2, shown(given, n1, key)), { code: 'token-revoked' })
  t.match(await again.enrol(NOW + 2, shown(spare, n1, newKey())), { code: 'token-revoked' })
  t.match(await again.enrol(NOW + 2, shown(any, n1, newKey())), { code: 'node-exists' })
  const later = await give(again, n1)
  t.match(await again.enrol(NOW + 2, shown(later, n1, key)), { code: 'key-revoked' })
  t.equal(await again.revoke(NOW + 3, 'nobody' as NodeId), undefined)
  t.equal(await again.revoke(NOW + 3, n1), true, 'there was a later token')
  t.equal(await again.revoke(NOW + 4, n1), false, 'there is nothing more to take')
  t.equal(again.store.identity(n1)!.revokedTs, NOW + 3)
})

t.test('a node that was never here can be revoked while it has a token', async (t) => {
  const store = await open(t, directory(t))
  const given = await give(store, n1)
  t.equal(await store.revoke(NOW, n1), true)
  t.match(await store.enrol(NOW, shown(given, n1, newKey())), { code: 'token-revoked' })
})

t.test('a key that replaces another does so when it is used', async (t) => {
  const store = await open(t, directory(t))
  const [old, fresh] = [newKey(), newKey()]
  await store.enrol(NOW, shown(await give(store, n1), n1, old))
  const given = await give(store, n1, { replaces: true })
  t.match(await store.enrol(NOW, shown(given, n1, fresh)), { ok: true })
  t.same([store.ownerOf(old), store.ownerOf(fresh)], [n1, n1])
  await store.keyUsed(NOW, n1, old)
  t.equal(store.ownerOf(old), n1)
  await store.keyUsed(NOW, n1, fresh)
  t.same([store.ownerOf(old), store.ownerOf(fresh)], [undefined, n1])
})

t.test('a token can be revoked, and has one id', async (t) => {
  const store = await open(t, directory(t))
  const given = await give(store, n1)
  t.equal(await store.revokeToken(NOW, given.tokenId), true)
  t.equal(await store.revokeToken(NOW + 1, given.tokenId), false, 'it is revoked already')
  t.equal(store.store.token(given.tokenId)!.revokedTs, NOW)
  t.equal(await store.revokeToken(NOW, 'aaaaaaaa'), undefined)
  t.match(await store.enrol(NOW, shown(given, n1, newKey())), { code: 'token-revoked' })
  const twice = store.addToken(NOW, given.tokenId, [...store.store.tokens()][0]![1])
  await t.rejects(twice, { code: 'token-exists' })
})

t.test('tokens have a bound, which those that are long over do not count for', async (t) => {
  const store = await open(t, directory(t), 3)
  const long = 31 * 24 * 3600 * 1000
  const old = await give(store, n1, { untilTs: NOW - long })
  await give(store, n1)
  await give(store, n2, { untilTs: NOW - 1 })
  await give(store, n2)
  t.equal([...store.store.tokens()].length, 3)
  await t.rejects(give(store, n2), { code: 'tokens-full' })
  t.notOk([...store.store.tokens()].some(([id]) => id === old.tokenId))
})

t.test('a token that is being forgotten is none', async (t) => {
  const path = directory(t)
  const opened = await open(t, path)
  const { tokenId } = await give(opened, n1)
  const going = opened.store.removeTokens([tokenId])
  t.equal(await opened.revokeToken(NOW, tokenId), undefined)
  await going
  t.equal(opened.store.tokenCount, 0)
  await opened.store.close()
  t.same([...(await open(t, path)).store.tokens()], [])
})

t.test('nothing is given that could not be announced, or was taken back meanwhile', async (t) => {
  const store = await open(t, directory(t))
  const [given, other] = [await give(store, n1), await give(store, n2)]
  const key = newKey()
  const full = async (): Promise<void> => {
    throw new Error('the disk is full')
  }
  await t.rejects(store.enrol(NOW, shown(given, n1, key), full), { message: 'the disk is full' })
  t.equal(store.ownerOf(key), undefined)
  t.match(await store.enrol(NOW, shown(given, n1, key)), { ok: true }, 'and it may be tried again')
  const revoke = async (): Promise<void> => {
    await store.revokeToken(NOW, other.tokenId)
  }
  const late = newKey()
  t.match(await store.enrol(NOW, shown(other, n2, late), revoke), { code: 'token-revoked' })
  t.equal(store.ownerOf(late), undefined)
})

t.test('what is kept beside the records goes with the next of them, and at the end', async (t) => {
  const path = directory(t)
  const first = await open(t, path)
  t.same(first.store.meta, {})
  first.store.keepMeta({ floorTs: NOW })
  await give(first, n1)
  first.store.keepMeta({ head: { seq: 3, hash: 'a'.repeat(32) } })
  t.same(first.store.meta, { floorTs: NOW, head: { seq: 3, hash: 'a'.repeat(32) } })
  await first.store.close()
  const again = await open(t, path)
  t.same(again.store.meta, { floorTs: NOW, head: { seq: 3, hash: 'a'.repeat(32) } })
})

t.test(
  'thousands of tokens are gone through in slices, and not for each one that is one too many',
  async (t) => {
    const count = 3000
    const { store, ...opened } = await open(t, directory(t), count).then((one) => ({
      store: one.store,
      add: () => give(one, n2),
    }))
    const token = { replaces: false, untilTs: NOW + 1000, createdTs: NOW, by: 'admin' }
    const tokens = Array.from({ length: count }, (_, n) => ({
      ...{ table: 'token' as const, key: `token${n}` },
      value: { ...token, sha256: randomBytes(32), node: `n${n % 500}` as NodeId },
    }))
    await store.write(tokens)
    let turns = 0
    let isListing = true
    const others = async (): Promise<void> => {
      while (isListing) {
        await new Promise(setImmediate)
        turns += 1
      }
    }
    const counted = others()
    const ids = new Set<string>()
    for await (const [id] of store.eachToken()) ids.add(id)
    isListing = false
    await counted
    t.equal(ids.size, count)
    t.ok(turns > count / 100, `${turns} turns`)

    const looked = t.capture(store, 'token', store.token)
    await t.rejects(opened.add(), { code: 'tokens-full' })
    t.ok(looked().length >= count, 'the first looks for those that are over')
    await t.rejects(opened.add(), { code: 'tokens-full' })
    t.ok(looked().length < 10)
  },
)
