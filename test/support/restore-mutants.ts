/** Mutants of a ledger that is rebuilt from the nodes, or restored from a copy. */
import type { Mutant } from './look-mutants.ts'

const RECORDS = 'broker/core/ledger-records.ts'
const RESTORED = 'broker/core/restored-ledger.ts'
const RECOVERY = 'broker/core/rules/recovery.ts'

const COPIED = 'broker/core/state/copied-readings.ts'

export const RESTORE_MUTANTS: readonly Mutant[] = [
  {
    name: 'a recovered tile goes to whoever has any of it',
    edits: [
      {
        file: RECOVERY,
        from: 'ats[index] === best.get(tile)',
        to: 'ats[index]! <= best.get(tile)!',
      },
    ],
  },
  {
    name: 'a new ledger begins its sequences anew',
    edits: [
      {
        file: RECOVERY,
        from: 'this.#raiseSequence(filled)',
        to: '',
      },
    ],
  },
  {
    name: 'a late node of a lost ledger does not raise the sequence',
    edits: [
      {
        file: RECOVERY,
        from: 'this.#raiseSequence([inventory])',
        to: '',
      },
    ],
  },
  {
    name: 'streams of a copy go on where it stood',
    edits: [
      {
        file: RECORDS,
        from: "member: 'dropped',\n  stream: 'dropped'",
        to: "member: 'kept',\n  stream: 'kept'",
      },
      { file: RESTORED, from: 'isRecovering: true,', to: 'isRecovering: false,' },
    ],
  },
  {
    name: 'a copy says who has which tile',
    edits: [{ file: RECORDS, from: "placement: 'dropped'", to: "placement: 'kept'" }],
  },
  {
    name: 'a task that had not ended in a copy is forgotten',
    edits: [
      {
        file: RESTORED,
        from: 'yield* restoredTask(key as TaskId, value, endedMs, moment)',
        to: "yield { table: 'task', key, value: restoredTask === undefined ? value : undefined }",
      },
    ],
  },
  {
    name: 'a restored ledger counts on where the copy stood',
    edits: [
      {
        file: RECOVERY,
        from: 'this.#raiseSequence(filled)',
        to: 'if (restored === undefined) this.#raiseSequence(filled)',
      },
    ],
  },
  {
    name: 'nodes of a copy are not waited for',
    edits: [
      {
        file: RECOVERY,
        from: 'if (this.#away.length > 0 || (complete.length === 0 && !mayBeNone)) return',
        to: 'if (complete.length === 0 && !mayBeNone) return',
      },
    ],
  },
  {
    name: 'nobody who joined after the copy is waited for',
    edits: [
      {
        file: RECOVERY,
        from: 'Math.max(startedMs + options.reconnectMs, isShowing ? nowMs + LOOK_MS : 0)',
        to: 'startedMs + (isShowing ? 0 : 1)',
      },
    ],
  },
  {
    name: 'readings of a copy are written over what came after it',
    fleet: 'sensed',
    edits: [{ file: COPIED, from: 'at <= cell.upTo', to: 'at <= cell.upTo + 1_000_000' }],
  },
  {
    name: 'readings of a copy are left out',
    fleet: 'sensed',
    edits: [{ file: COPIED, from: 'at <= cell.upTo', to: 'at < 0 && at <= cell.upTo' }],
  },
  {
    name: 'readings are refused while a fleet is waited for',
    fleet: 'sensed',
    edits: [
      {
        file: 'broker/core/rules/reading-desk.ts',
        from: 'return identity.isRecovering === true ? undefined : fleetRefusal(this.#context)',
        to: 'return identity.isRecovering === undefined ? undefined : fleetRefusal(this.#context)',
      },
    ],
  },
]
