/** Broken variants of what runs programs of the operation language. */
import type { Mutant } from './look-mutants.ts'

export const PROGRAM_MUTANTS: readonly Mutant[] = [
  {
    name: 'a program keeps its constants while another runs',
    edits: [
      {
        file: 'shared/osl/registers.ts',
        from: 'const isNew = this.#user !== user',
        to: "const isNew = !('#set' in user)\n    Object.assign(user, { '#set': true })",
      },
    ],
  },
  {
    name: 'a store has no guard',
    edits: [
      {
        file: 'shared/osl/interpreter.ts',
        from: 'condition === NONE\n        ? registers',
        to: 'condition !== -1\n        ? registers',
      },
    ],
  },
  {
    name: 'programs read tiles of one value as if they had no cells',
    edits: [
      {
        file: 'shared/osl/interpreter.ts',
        from: 'times: window.w * window.h }\n      this.#runBlock(',
        to: 'times: window.w * window.h }\n      if (this.reductions.length === 0) this.#runBlock(',
      },
    ],
  },
  {
    name: 'a program that asks for the place does the same to equal cells',
    edits: [
      {
        file: 'shared/osl/verifier.ts',
        from: 'if (glyph === X || glyph === Y || operandKind === NEIGHBOUR) this.#isAlike = false',
        to: '',
      },
    ],
  },
  {
    name: 'what was counted is forgotten at a start',
    edits: [
      {
        file: 'broker/core/state/write-log.ts',
        from: 'else write.written = this.#newTally(write.task, value)',
        to: '',
      },
    ],
  },
  {
    name: 'what a hello acknowledges is not counted',
    edits: [
      {
        file: 'broker/core/rules/writes.ts',
        from: 'results === undefined ? this.#untold(member, upTo) : upTo',
        to: 'upTo',
      },
    ],
  },
  {
    name: 'a tile is counted by each of its replicas',
    edits: [
      {
        file: 'broker/core/state/written-tally.ts',
        from: 'if (known[0] === UNKNOWN_COUNT) this',
        to: 'if (true) this',
      },
    ],
  },
  {
    name: 'what two nodes counted is what one of them did',
    edits: [
      {
        file: 'shared/osl/slot-partials.ts',
        from: 'yes: a.yes + b.yes,',
        to: 'yes: a.yes,',
      },
    ],
  },
  {
    name: 'what a write reads of neighbours is written by others',
    edits: [
      {
        file: 'broker/core/state/barriers.ts',
        from: 'if (barrier.task !== task && regionsTouch(',
        to: 'if (barrier.task === undefined && regionsTouch(',
      },
    ],
  },
  {
    name: 'neighbours are read as they are, whatever was to be written before',
    edits: [
      {
        file: 'broker/core/rules/read-messages.ts',
        from: 'after: member.stream.head,',
        to: "after: asker.body.op === 'osl1-edges' ? 0 : member.stream.head,",
      },
      {
        file: 'broker/core/rules/read-round.ts',
        from: 'this.#heads[part] = member.stream.head',
        to: "this.#heads[part] = forAll.op === 'osl1-edges' ? 0 : member.stream.head",
      },
    ],
  },
  {
    name: 'the version of a write is looked up when it gets its place',
    fleet: 'patched',
    edits: [
      {
        file: 'broker/core/rules/submissions.ts',
        from: 'this.#room.take(bytes)',
        to: `this.#room.take(bytes)
    const again = () => resolveCall(this.#context, submission).value
    const isAlike = (found) => found?.op === body.op && body.op === 'osl1-write'
    if (submission.call !== undefined)
      Object.assign(task, { again: () => (isAlike(again()) ? again() : undefined) })`,
      },
      {
        file: 'broker/core/rules/writes.ts',
        from: "assert(task.body?.region !== undefined, 'a write has its body')",
        to: "task.body = task.again?.() ?? task.body\n    assert(task.body?.region !== undefined, 'a write has its body')",
      },
    ],
  },
  {
    name: 'a task that is sent again is compared by the version that is found',
    fleet: 'patched',
    edits: [
      {
        file: 'broker/core/rules/submissions.ts',
        from: 'const known = this.#findRepeat(submission, submitter, askedHash)',
        to: `const known = this.#findRepeat(submission, submitter, askedHash)
    const found = submission.call && resolveCall(this.#context, submission)
    const isFound = !found?.ok || known?.hash === hashBody(encodeBody(found.value))`,
      },
      {
        file: 'broker/core/rules/submissions.ts',
        from: 'if (known.askedHash === askedHash && ',
        to: 'if (known.askedHash === askedHash && isFound && ',
      },
    ],
  },
  {
    name: 'which version is current is not kept',
    fleet: 'patched',
    edits: [
      {
        file: 'broker/core/rules/codex-desk.ts',
        from: 'for (const record of records) this',
        to: "for (const record of records) if (record.table !== 'current') this",
      },
    ],
  },
  {
    name: 'a context takes nothing from main',
    fleet: 'patched',
    edits: [
      {
        file: 'broker/core/state/codex.ts',
        from: 'return context === MAIN_CONTEXT ? undefined : this.currentOf(name, MAIN_CONTEXT)',
        to: 'return undefined',
      },
    ],
  },
]
