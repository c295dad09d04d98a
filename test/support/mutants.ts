/**
 * Deliberately broken variants: what ships, with a line or two changed, most of them as they once were. Each
 * must be caught by the simulator within a few seeds, or the simulator proves nothing.
 */
import { LOOK_MUTANTS, type Mutant } from './look-mutants.ts'
import { PAGE_MUTANTS } from './page-mutants.ts'
import { PROGRAM_MUTANTS } from './program-mutants.ts'
import { READING_MUTANTS } from './reading-mutants.ts'
import { RESTORE_MUTANTS } from './restore-mutants.ts'
import { RULE_MUTANTS } from './rule-mutants.ts'

/** Within so many seeds each must be caught. */
export const MUTANT_SEEDS_MAX = 400

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'effects leave before the flush',
    edits: [
      {
        file: 'broker/group-commit.ts',
        from: 'await this.#ports.write(',
        to: 'void this.#ports.write(',
      },
    ],
  },
  {
    name: 'no fence by `at`',
    edits: [
      {
        file: 'firmware-agent/adapters/write-batch.ts',
        from: 'page !== undefined && seq > page.at',
        to: 'page !== undefined',
      },
      {
        file: 'firmware-agent/adapters/write-batch.ts',
        from: 'if (seq > page.at) {',
        to: 'if (seq > 0) {',
      },
    ],
  },
  {
    name: 'a read does not wait for `after`',
    edits: [
      {
        file: 'firmware-agent/core/read-queue.ts',
        from: '!isRunning && read.after <= position',
        to: '!isRunning',
      },
    ],
  },
  {
    name: 'entries are acknowledged before the flush',
    edits: [
      {
        file: 'firmware-agent/adapters/slice-store.ts',
        from: 'await this.#database.write(() => {\n      change()',
        to: 'void this.#database.write(() => {\n      change()',
      },
    ],
  },
  {
    name: 'pages that are found damaged are not reported',
    edits: [
      {
        file: 'firmware-agent/driver.ts',
        from: 'if (broken === this.#broken) return',
        to: 'if (broken !== undefined) return',
      },
    ],
  },
  {
    name: 'time in which the gateway stood still counts as silence',
    edits: [
      {
        file: 'broker/core/state/self-doubt.ts',
        from: 'const isLate = lagMs > this.#lagMaxMs',
        to: 'const isLate = lagMs > 1e9',
      },
    ],
  },
  {
    name: 'a value is written before it is sealed',
    edits: [
      {
        file: 'broker/core/rules/task-endings.ts',
        from: "if (to === undefined) {\n    endTask(context, task, 'completed', facts)",
        to: "if (to !== '') {\n    endTask(context, task, 'completed', facts)",
      },
    ],
  },
  {
    name: 'done on an empty in-sync set',
    edits: [
      {
        file: 'broker/core/rules/writes.ts',
        from: 'if (copies >= Math.max(1, options.minInSync)) this.#finish',
        to: 'if (true) this.#finish',
      },
    ],
  },
  {
    name: 'a read asks for what is acknowledged, not for what is sequenced',
    edits: [
      {
        file: 'broker/core/rules/read-messages.ts',
        from: 'after: member.stream.head',
        to: 'after: 0 * member.stream.acked',
      },
    ],
  },
  {
    name: 'a round that is sent as one asks for what is there already',
    edits: [
      {
        file: 'broker/core/rules/read-round.ts',
        from: 'this.#heads[part] = member.stream.head',
        to: '',
      },
    ],
  },
  {
    name: 'writes between two answers of a read are not noticed',
    edits: [
      {
        file: 'broker/core/rules/reads.ts',
        from: 'this.#overtaken.add(read)\n      const next',
        to: 'const next',
      },
    ],
  },
  {
    name: 'a revoked node is waited for as one that is silent',
    edits: [
      {
        file: 'broker/core/rules/fleet.ts',
        from: "this.#die(member, 'revoked')",
        to: '',
      },
    ],
  },
  {
    name: 'a drained node that had something to apply is not looked at again',
    edits: [
      {
        file: 'broker/core/rules/rebalancer.ts',
        from: 'if (this.#emptied.has(member)',
        to: 'if (false',
      },
    ],
  },
  {
    name: 'a write that is done at the start still has its deadline',
    edits: [
      {
        file: 'broker/core/rules/task-runner.ts',
        from: 'if (isEnded(task.state)) continue',
        to: '',
      },
    ],
  },
  {
    name: 'holders are read from a view of a larger buffer',
    edits: [
      {
        file: 'broker/core/state/slots.ts',
        from: '= new Uint8Array(holders)',
        to: '= holders.slice()',
      },
    ],
  },
  {
    name: 'another body under a known id is the same task',
    edits: [
      {
        file: 'broker/core/rules/submissions.ts',
        from: 'if (known.askedHash === askedHash && ',
        to: 'if (',
      },
    ],
  },
  {
    name: 'a sequenced write can be cancelled',
    edits: [
      {
        file: 'broker/core/rules/writes.ts',
        from: 'return isWaiting\n',
        to: 'return isWaiting || true\n',
      },
    ],
  },
  {
    name: 'the sequence is not persisted',
    edits: [
      {
        file: 'broker/core/state/coordinator-context.ts',
        from: 'this.changeIdentity({ seq: this.identity.seq + 1 })',
        to: 'this.identity = { ...this.identity, seq: this.identity.seq + 1 }',
      },
    ],
  },
  {
    name: 'acknowledged positions are not persisted',
    edits: [
      {
        file: 'broker/core/rules/writes.ts',
        from: 'if (freed.length > 0) this.#context.streamChanged(member)',
        to: '',
      },
    ],
  },
  {
    name: 'a restored card goes on where it stands',
    edits: [
      {
        file: 'broker/core/rules/admission.ts',
        from: "return { kind: 'wipe', member, reason: 'the store stands before what it acknowledged' }",
        to: "return { kind: 'resume', member }",
      },
    ],
  },
  {
    name: 'a node with an empty store keeps its tiles',
    edits: [
      {
        file: 'broker/core/rules/admission.ts',
        from: "? { kind: 'replace', member }",
        to: "? { kind: 'resume', member }",
      },
    ],
  },
  {
    name: 'an entry after a gap is taken',
    edits: [
      {
        file: 'firmware-agent/core/shard-stream.ts',
        from: "if (entry.position > last.position + 1) return 'gap'",
        to: '',
      },
    ],
  },
  {
    name: 'the old copy is dropped early',
    edits: [
      {
        file: 'broker/core/rules/moves.ts',
        from: 'if (target.stream.acked < move.catchUp || this.#context.log.owes(target, move.tile)) return',
        to: '',
      },
    ],
  },
  {
    name: 'the log is freed on death',
    edits: [
      {
        file: 'broker/core/rules/rebalancer.ts',
        from: 'if (holding.has(member.index)) continue',
        to: 'if (member.isClosed) continue',
      },
    ],
  },
  {
    name: 'a tile that is copied misses writes',
    edits: [
      {
        file: 'broker/core/rules/writes.ts',
        from: 'move.missed.push(seq)\n        write.retained += 1',
        to: '',
      },
    ],
  },
  {
    name: 'a tile that moves gets what is named around it',
    edits: [
      {
        file: 'broker/core/state/task-extent.ts',
        from: 'if (ids === undefined) return true',
        to: 'return true',
      },
    ],
  },
  {
    name: 'cells of a tile all get the first value',
    edits: [
      {
        file: 'shared/operations/scatter.ts',
        from: '= source[at]!',
        to: '= source[0]!',
      },
    ],
  },
  {
    name: 'a copy is taken before its place in the stream',
    edits: [
      {
        file: 'broker/core/rules/moves.ts',
        from: 'after: source.stream.head',
        to: 'after: 0 * source.stream.head',
      },
    ],
  },
  {
    name: 'a write that a page has is not waited for',
    edits: [
      {
        file: 'broker/core/state/write-log.ts',
        from: 'if (write.seq > at) this.addPart',
        to: 'if (write.seq > at + 1) this.addPart',
      },
    ],
  },
  {
    name: 'damaged pages count as copies',
    edits: [
      {
        file: 'broker/core/rules/lost-copies.ts',
        from: "this.lose(member, lost, 'page-damaged')",
        to: '',
      },
    ],
  },
  {
    name: 'a move that catches up has no deadline',
    edits: [
      {
        file: 'broker/core/rules/moves.ts',
        from: "else this.rollBack(move, 'no-progress')",
        to: '',
      },
    ],
  },
  {
    name: 'a page is waited for without an end',
    edits: [
      {
        file: 'broker/core/rules/moves.ts',
        from: 'const endMs = move.startedMs + options.moveDeadlineMs',
        to: 'const endMs = 1e15',
      },
      {
        file: 'broker/core/rules/moves.ts',
        from: 'if (nowMs - move.startedMs >= options.moveDeadlineMs) {',
        to: 'if (move.startedMs > nowMs) {',
      },
    ],
  },
  {
    name: 'results are kept by the wall clock',
    edits: [
      {
        file: 'broker/core/state/coordinator-context.ts',
        from: 'return Math.round(this.nowMs - this.#ledgerStartMs)',
        to: 'return this.ts + 0 * this.#ledgerStartMs',
      },
    ],
  },
  {
    name: 'a write over all goes to those who held its tiles before',
    edits: [
      {
        file: 'broker/core/rules/writes.ts',
        from: 'last?.tiles === tiles && last.epoch === epoch',
        to: 'last?.tiles === tiles && last.epoch <= epoch',
      },
    ],
  },
  {
    name: 'a write whose copies are lost keeps no body',
    edits: [
      {
        file: 'broker/core/rules/writes.ts',
        from: "endTask(this.#context, task, 'failed', { nodes: 0 })",
        to: "endTask(this.#context, task, 'failed', { nodes: 0 })\n    this.#context.tasks.dropBody(task)\n    this.#context.persist({ table: 'body', key: task.id, value: undefined })",
      },
    ],
  },
  {
    name: 'a tile that begins anew goes on moving',
    edits: [
      {
        file: 'broker/core/rules/lost-copies.ts',
        from: "if (move !== undefined) this.#moves.rollBack(move, 'recreated')",
        to: '',
      },
    ],
  },
  ...LOOK_MUTANTS,
  ...PAGE_MUTANTS,
  ...PROGRAM_MUTANTS,
  ...READING_MUTANTS,
  ...RESTORE_MUTANTS,
  ...RULE_MUTANTS,
  {
    name: 'nothing is sent again',
    edits: [
      {
        file: 'broker/core/rules/stream-sender.ts',
        from: 'if (stream.acked === stream.ackedThen) stream.rewind()',
        to: '',
      },
    ],
  },
]

/** Its name as an argument of a command: `no-fence-by-at`. */
export function slugOf({ name }: Mutant): string {
  return name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '')
}

/** The fleet in which it is to be caught. */
export function fleetOf<T>(slug: string, otherwise: T): T | NonNullable<Mutant['fleet']> {
  return MUTANTS.find((one) => slugOf(one) === slug)?.fleet ?? otherwise
}
