/**
 * The gateway's ledger: steps of records of several tables, as a coordinator persists them, up to four
 * on their way to the disk at once, and a stop in between. The sequence in the identity says after
 * which step the ledger stands; everything else must be of that step.
 */
import { LedgerStore } from '../../../broker/adapters/ledger-store.ts'
import {
  LEDGER_TABLES,
  type LedgerRecord,
  type LedgerTable,
} from '../../../broker/core/ledger-records.ts'
import { Random } from '../../../shared/core/random.ts'
import { encodeCbor } from '../../../shared/protocol/cbor.ts'
import type { Fact, Subject } from './subject.ts'

const STEPS = 160
const BODY_BYTES_MAX = 12_000
const RESULT_BYTES_MAX = 30_000
/** A task's body goes this many steps after it came, its result later. */
const BODY_KEPT = 6
const RESULT_KEPT = 25

async function open(directory: string): Promise<LedgerStore> {
  return await LedgerStore.open(directory, LEDGER_TABLES, (error) => {
    throw error
  })
}

export const LEDGER: Subject = {
  async record(directory, seed, say) {
    const random = new Random(seed)
    let ledger = await open(directory)
    say({ what: 'opened' })
    let open_: Promise<void>[] = []
    for (let step = 1; step <= STEPS; step++) {
      open_.push(ledger.write(stepRecords(seed, step)).then(() => say({ what: 'written', step })))
      if (random.integer(3) !== 0 && open_.length < 4) continue
      await Promise.all(open_)
      open_ = []
      if (step % 60 !== 0) continue
      await ledger.close()
      ledger = await open(directory)
    }
    await Promise.all(open_)
    await ledger.close()
  },

  async judge(directory, seed, facts) {
    let ledger = await open(directory)
    try {
      const step = stepOf(ledger)
      const written = lastWritten(facts)
      if (step < written) return `lost: it stands at step ${step}, ${written} was written`
      const problem = problemOf(ledger, seed, step)
      if (problem !== undefined) return problem
      await ledger.write(stepRecords(seed, step + 1))
      await ledger.close()
      ledger = await open(directory)
      if (stepOf(ledger) !== step + 1) return `written again to ${step + 1}, and lost`
      return problemOf(ledger, seed, step + 1)
    } finally {
      await ledger.close()
    }
  },
}

function lastWritten(facts: readonly Fact[]): number {
  return facts.reduce((last, fact) => Math.max(last, Number(fact.step ?? 0)), 0)
}

function stepOf(ledger: LedgerStore): number {
  return ledger.load().meta.find(({ key }) => key === 'identity')?.value.seq ?? 0
}

function stepRecords(seed: number, step: number): LedgerRecord[] {
  const random = new Random(seed * 1000 + step)
  const bytes = (max: number): Uint8Array =>
    new Uint8Array(random.integer(max)).fill(random.integer(256))
  const node = `node-${step % 7}`
  return [
    { table: 'body', key: `task-${step}`, value: bytes(BODY_BYTES_MAX) },
    { table: 'body', key: `task-${step - BODY_KEPT}`, value: undefined },
    { table: 'result', key: `task-${step}`, value: bytes(RESULT_BYTES_MAX) },
    { table: 'result', key: `task-${step - RESULT_KEPT}`, value: undefined },
    {
      table: 'task',
      key: `task-${step % 50}`,
      value: {
        op: 'add',
        hash: `${step}`,
        state: 'completed',
        effect: 'done',
        order: step,
        acceptedTs: step,
        endedTs: step + 1,
        remainingMs: 0,
        seq: step,
        shards: { total: 1, done: 1, failed: 0 },
        error: null,
        isCleared: false,
      },
    },
    {
      table: 'stream',
      key: node,
      value: {
        head: step,
        acked: step - 1,
        ackedChain: new Uint8Array(8).fill(step),
        ackedSeq: step - 1,
      },
    },
    {
      table: 'placement',
      key: step % 3,
      value: { born: bytes(600), holders: bytes(2400) },
    },
    {
      table: 'write',
      key: step,
      value: { task: `task-${step}`, parts: [{ node, position: step, tiles: bytes(400) }] },
    },
    { table: 'write', key: step - BODY_KEPT, value: undefined },
    {
      table: 'meta',
      key: 'identity',
      value: {
        ledgerId: 'ledger',
        grid: { width: 64, height: 48, tile: 16 },
        fields: [{ name: 'n', type: 'i32' }],
        replicas: 2,
        term: 1,
        seq: step,
        epoch: step,
      },
    },
  ]
}

/** Everything that was written up to `step`, by table and key, as comparable text. */
function contentsAfter(seed: number, step: number): Map<string, string> {
  const contents = new Map<string, string>()
  for (let each = 1; each <= step; each++) {
    for (const [name, text] of changesOf(seed, each)) {
      if (text === undefined) contents.delete(name)
      else contents.set(name, text)
    }
  }
  return contents
}

const encoded = new Map<string, [name: string, text: string | undefined][]>()

function changesOf(seed: number, step: number): [name: string, text: string | undefined][] {
  const known = encoded.get(`${seed}/${step}`)
  if (known !== undefined) return known
  const changes = stepRecords(seed, step).map(
    ({ table, key, value }): [string, string | undefined] => {
      return [`${table}/${key}`, value === undefined ? undefined : textOf(value)]
    },
  )
  encoded.set(`${seed}/${step}`, changes)
  return changes
}

function problemOf(ledger: LedgerStore, seed: number, step: number): string | undefined {
  const expected = contentsAfter(seed, step)
  const found = new Map<string, string>()
  for (const [table, records] of Object.entries(ledger.load())) {
    for (const { key, value } of records) found.set(`${table}/${key}`, textOf(value))
  }
  const result: LedgerTable = 'result'
  for (let each = 1; each <= step + 5; each++) {
    const value = ledger.result(`task-${each}`)
    if (value !== undefined) found.set(`${result}/task-${each}`, textOf(value))
  }
  for (const name of new Set([...expected.keys(), ...found.keys()])) {
    if (expected.get(name) === found.get(name)) continue
    const what = found.has(name) ? (expected.has(name) ? 'is another' : 'is left') : 'is missing'
    return `${name} ${what} after step ${step}`
  }
  return undefined
}

function textOf(value: unknown): string {
  return Buffer.from(encodeCbor(value)).toString('latin1')
}
