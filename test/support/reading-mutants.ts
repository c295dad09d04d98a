/** Mutants of readings, which are caught where sensors tell what they read. */
import type { Mutant } from './look-mutants.ts'

const FILE = 'broker/core/rules/readings.ts'

export const READING_MUTANTS: readonly Mutant[] = [
  {
    name: 'a row of the journal goes when its cell is looked at, not when its write has its place',
    fleet: 'sensed',
    edits: [
      {
        file: FILE,
        from: '      tiles.push(tile)\n',
        to: `      tiles.push(tile)
      for (const id of tile.cells.keys()) {
        this.#context.persist({ table: 'cell', key: this.#rowOf(tile.field, id), value: undefined })
      }
`,
      },
    ],
  },
  {
    name: 'the row of a later reading goes with the write of an earlier one',
    fleet: 'sensed',
    edits: [
      {
        file: FILE,
        from: "if (hasRow) this.#context.persist({ table: 'cell', key, value: undefined })",
        to: `const { deadlines, nowMs } = this.#context
      const forget = () => this.#context.persist({ table: 'cell', key, value: undefined })
      if (hasRow) {
        forget()
        deadlines.set(\`late/\${key}\`, nowMs + 400, forget)
      }`,
      },
    ],
  },
  {
    name: 'a row of the journal stays when its write has its place',
    fleet: 'sensed',
    edits: [
      {
        file: FILE,
        from: "if (hasRow) this.#context.persist({ table: 'cell', key, value: undefined })",
        to: '',
      },
    ],
  },
  {
    name: 'a reading is acknowledged before the journal has it',
    fleet: 'sensed',
    edits: [
      {
        file: FILE,
        from: 'this.#tickets.push({ ticket: event.ticket, earliestMs: this.#context.nowMs + waitMs })',
        to: 'this.#desk.answer(event.ticket, this.#context.nowMs + waitMs)',
      },
    ],
  },
  {
    name: 'a reading is acknowledged once one of another cell is in the journal',
    fleet: 'sensed',
    edits: [
      {
        file: FILE,
        from: 'for (const [key, cell] of this.#unwritten) {',
        to: 'for (const [key, cell] of [...this.#unwritten].slice(0, 1)) {',
      },
    ],
  },
  {
    name: 'a tile that nobody has holds up the cells of others',
    fleet: 'sensed',
    edits: [
      {
        file: FILE,
        from: 'if (blocked.has(tile.tile)) continue',
        to: 'if (blocked.size > 0) continue',
      },
    ],
  },
  {
    name: 'the journal is forgotten at a start',
    fleet: 'sensed',
    edits: [
      {
        file: 'broker/core/coordinator.ts',
        from: 'this.#rules.readings.restore(contents.cell)',
        to: '',
      },
    ],
  },
  {
    name: 'what a start took up of the journal is not taken away with its write',
    fleet: 'sensed',
    edits: [
      {
        file: FILE,
        from: "if (typeof value === 'number') this.#put(field, Number(id), value, undefined).hasRow = true",
        to: "if (typeof value === 'number') this.#put(field, Number(id), value, undefined)",
      },
    ],
  },
  {
    name: 'readings are written over tiles that nobody can write',
    fleet: 'sensed',
    edits: [
      {
        file: FILE,
        from: "new Set(waiting.blockedTiles(looked, 'scatter'))",
        to: 'new Set<number>()',
      },
    ],
  },
  {
    name: 'the body of a write of readings goes when those in sync have it',
    fleet: 'sensed',
    edits: [
      {
        file: 'broker/core/rules/task-endings.ts',
        from: 'task.state = state\n    releaseBody(context, task)',
        to: "task.state = state\n    context.tasks.dropBody(task)\n    context.persist({ table: 'body', key: task.id, value: undefined })",
      },
    ],
  },
  {
    name: 'the last of two readings of a cell does not count',
    fleet: 'sensed',
    edits: [{ file: FILE, from: 'known.value = value\n', to: 'known.value = known.value\n' }],
  },
  {
    name: 'a reading counts that was read before the last one',
    fleet: 'sensed',
    edits: [
      {
        file: 'broker/core/rules/reading-times.ts',
        from: 'ts < last.ts && ',
        to: 'ts < 0 && ',
      },
    ],
  },
]
