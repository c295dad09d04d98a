/**
 * How long the gateway's event loop stands still while the keys and identities of a large fleet go into a backup: the
 * store is real, and what a backup does with it is done, but for the security log.
 *
 *   node dist/scripts/bench/identity-backup.js [--nodes 10000] [--rounds 10]
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { IdentityStore } from '../../broker/adapters/identity-store.ts'
import { writeBackup } from '../../broker/core/backup.ts'
import type { RegistryChange } from '../../broker/core/registry.ts'
import type { NodeId } from '../../shared/core/ids.ts'
import { sealFile } from '../../shared/runtime/sealed-file.ts'
import { benchOptions, wholeOption } from './bench-options.ts'
import { median, quantile } from './measure.ts'

const { values } = benchOptions('identity-backup.js [--nodes <n>] [--rounds <n>]', {
  nodes: '10000',
  rounds: '10',
})
const [nodes, rounds] = [wholeOption(values, 'nodes'), wholeOption(values, 'rounds')]
const NOW = 1_750_000_000_000
const AT_ONCE = 1000

function recordsOf(index: number): RegistryChange[] {
  const node = `node-${index}` as NodeId
  const sha256 = createHash('sha256').update(node).digest('hex')
  const token = { node, replaces: false, untilTs: 2 * NOW, createdTs: NOW, by: 'admin' }
  return [
    {
      table: 'identity',
      key: node,
      value: { keys: [{ sha256, addedTs: NOW, state: 'active' }], createdTs: NOW, board: sha256 },
    },
    { table: 'key', key: sha256, value: { node } },
    ...['a', 'b'].map((name) => ({
      ...{ table: 'token' as const, key: `${name}${index}` },
      value: { ...token, sha256: randomBytes(32), usedBy: sha256 },
    })),
  ] as RegistryChange[]
}

/** The longest time between two turns, ms. */
async function longestStop(work: () => Promise<unknown>): Promise<number> {
  let longestMs = 0
  let lastMs = performance.now()
  let isOver = false
  const look = (): void => {
    const nowMs = performance.now()
    longestMs = Math.max(longestMs, nowMs - lastMs)
    lastMs = nowMs
    if (!isOver) setImmediate(look)
  }
  setImmediate(look)
  await after(1)
  await work()
  isOver = true
  await after(1)
  return longestMs
}

const directory = mkdtempSync(join(tmpdir(), 'obelisk-bench-'))
const store = await IdentityStore.open(directory, (error) => {
  throw error
})
try {
  for (let at = 0; at < nodes; at += AT_ONCE) {
    const count = Math.min(AT_ONCE, nodes - at)
    await store.write(Array.from({ length: count }, (_, index) => recordsOf(at + index)).flat())
  }
  const moment = { ts: NOW, log: { seq: 1, hash: '0'.repeat(32) } }
  const head = { ts: NOW, pin: 'a'.repeat(52) }
  const reading: number[] = []
  const sealing: number[] = []
  for (let round = 0; round < rounds; round++) {
    reading.push(await longestStop(async () => await store.stored()))
    const content = writeBackup(moment, [], await store.stored())
    sealing.push(await longestStop(() => sealFile(head, 'correct horse battery', content)))
  }
  for (const [what, stops] of Object.entries({ reading, sealing })) {
    const [least, middle] = [quantile(stops, 0), median(stops)].map((ms) => ms.toFixed(1))
    console.log(
      `${what}: the loop stands still for ${least} ms at the longest in the best round, ${middle} ms in the median`,
    )
  }
} finally {
  await store.close()
  rmSync(directory, { recursive: true })
}
