/**
 * Deliberately broken variants. Each must be caught by the simulator within a few seeds, or the
 * simulator proves nothing. Some are broken disks and drivers; the others are the cores with one line
 * changed, most of them as they once were.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Edit, loadMutated } from './mutated-cores.ts'
import type { Mutation } from './mutation.ts'

export interface Mutant {
  readonly name: string
  readonly mutation?: Mutation
  readonly edit?: Edit
}

/** Within so many seeds each must be caught. */
export const MUTANT_SEEDS_MAX = 400

export const MUTANTS: readonly Mutant[] = [
  { name: 'effects leave before the flush', mutation: { releasesBeforeFlush: true } },
  { name: 'no fence by `at`', mutation: { hasNoFence: true } },
  { name: 'a read does not wait for `after`', mutation: { ignoresAfter: true } },
  { name: 'entries are acknowledged before the flush', mutation: { reportsBeforeFlush: true } },
  {
    name: 'time in which the gateway stood still counts as silence',
    edit: {
      file: 'broker/core/self-doubt.ts',
      from: 'const isLate = lagMs > this.#lagMaxMs',
      to: 'const isLate = lagMs > 1e9',
    },
  },
  {
    name: 'done on an empty in-sync set',
    edit: {
      file: 'broker/core/writes.ts',
      from: 'if (copies >= Math.max(1, options.minInSync)) this.#finish',
      to: 'if (true) this.#finish',
    },
  },
  {
    name: 'a read asks for what is acknowledged, not for what is sequenced',
    edit: {
      file: 'broker/core/reads.ts',
      from: 'after: member.stream.head',
      to: 'after: 0 * member.stream.acked',
    },
  },
  {
    name: 'writes between two answers of a read are not noticed',
    edit: {
      file: 'broker/core/reads.ts',
      from: 'read.hasUnborn || read.nodes.size > 0',
      to: 'read.hasUnborn',
    },
  },
  {
    name: 'a drained node that had something to apply is not looked at again',
    edit: {
      file: 'broker/core/rebalancer.ts',
      from: 'if (this.#emptied.has(member)',
      to: 'if (false',
    },
  },
  {
    name: 'a write that is done at the start still has its deadline',
    edit: {
      file: 'broker/core/coordinator.ts',
      from: 'if (isEnded(task.state)) continue',
      to: '',
    },
  },
  {
    name: 'holders are read from a view of a larger buffer',
    edit: {
      file: 'broker/core/placement.ts',
      from: '= new Uint8Array(record.holders)',
      to: '= record.holders.slice()',
    },
  },
  {
    name: 'another body under a known id is the same task',
    edit: {
      file: 'broker/core/submissions.ts',
      from: 'if (known.hash === hash) {',
      to: 'if (known !== undefined) {',
    },
  },
  {
    name: 'a sequenced write can be cancelled',
    edit: {
      file: 'broker/core/writes.ts',
      from: 'return isWaiting\n',
      to: 'return isWaiting || true\n',
    },
  },
  {
    name: 'the sequence is not persisted',
    edit: {
      file: 'broker/core/coordinator-context.ts',
      from: 'seq: this.identity.seq + 1 }\n    this.#isIdentityChanged = true',
      to: 'seq: this.identity.seq + 1 }',
    },
  },
  {
    name: 'acknowledged positions are not persisted',
    edit: {
      file: 'broker/core/writes.ts',
      from: 'if (freed.length > 0) this.#context.streamChanged(member)',
      to: '',
    },
  },
  {
    name: 'a restored card goes on where it stands',
    edit: {
      file: 'broker/core/admission.ts',
      from: "return { kind: 'wipe', member, reason: 'the store stands before what it acknowledged' }",
      to: "return { kind: 'resume', member }",
    },
  },
  {
    name: 'a node with an empty store keeps its tiles',
    edit: {
      file: 'broker/core/admission.ts',
      from: "? { kind: 'replace', member }",
      to: "? { kind: 'resume', member }",
    },
  },
  {
    name: 'an entry after a gap is taken',
    edit: {
      file: 'firmware-agent/core/shard-stream.ts',
      from: "if (entry.position > last.position + 1) return 'gap'",
      to: '',
    },
  },
  {
    name: 'pieces of different copies mix',
    mutation: { mixesPieces: true },
    edit: {
      file: 'firmware-agent/core/imports.ts',
      from: 'left.at === right.at &&\n    left.of === right.of &&\n    equalBytes(left.digest, right.digest)',
      to: 'left.of === right.of',
    },
  },
  {
    name: 'the old copy is dropped early',
    edit: {
      file: 'broker/core/moves.ts',
      from: 'if (target.stream.acked < move.catchUp || this.#logs.writes.owes(target, move.tile)) return',
      to: '',
    },
  },
  {
    name: 'the log is freed on death',
    edit: {
      file: 'broker/core/rebalancer.ts',
      from: 'if (holding.has(member.index)) continue',
      to: 'if (member.isClosed) continue',
    },
  },
  {
    name: 'a tile that is copied misses writes',
    edit: {
      file: 'broker/core/writes.ts',
      from: 'move.missed.push(seq)\n        write.retained += 1',
      to: '',
    },
  },
  {
    name: 'a copy is taken before its place in the stream',
    edit: {
      file: 'broker/core/moves.ts',
      from: 'after: source.stream.head',
      to: 'after: 0 * source.stream.head',
    },
  },
  {
    name: 'a write that a page has is not waited for',
    edit: {
      file: 'broker/core/write-log.ts',
      from: 'if (write.seq > at) this.addPart',
      to: 'if (write.seq > at + 1) this.addPart',
    },
  },
  {
    name: 'damaged pages count as copies',
    edit: {
      file: 'broker/core/fleet.ts',
      from: 'if (!placement.isHolder(tile, member.index)) return',
      to: 'if (why !== undefined) return',
    },
  },
  {
    name: 'a recovered tile goes to whoever has any of it',
    edit: {
      file: 'broker/core/recovery.ts',
      from: 'ats[index] === best.get(tile)',
      to: 'ats[index]! <= best.get(tile)!',
    },
  },
  {
    name: 'a new ledger begins its sequences anew',
    edit: {
      file: 'broker/core/recovery.ts',
      from: 'this.#raiseSequence(filled)',
      to: '',
    },
  },
  {
    name: 'nothing is sent again',
    edit: {
      file: 'broker/core/stream-sender.ts',
      from: 'if (member.stream === stream && stream.acked === ackedThen) stream.rewind()',
      to: '',
    },
  },
]

/** Its name as an argument of a command: `no-fence-by-at`. */
export function slugOf({ name }: Mutant): string {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '')
}

/** Inside the tree, so that the cores find their dependencies; ignored by git. */
const FOLDER = fileURLToPath(new URL('../../.tap/', import.meta.url))

/** What stands in for ours; once it is loaded, no file is left. */
export async function loadMutant({ mutation = {}, edit }: Mutant): Promise<Mutation> {
  if (edit === undefined) return mutation
  mkdirSync(FOLDER, { recursive: true })
  const directory = mkdtempSync(`${FOLDER}mutant-`)
  try {
    return { ...mutation, ...(await loadMutated(directory, edit)) }
  } finally {
    rmSync(directory, { recursive: true })
  }
}
