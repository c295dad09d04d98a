/** Mutants of looks, which are caught where somebody looks. */
import type { Edit } from './mutated-programs.ts'

export interface Mutant {
  readonly name: string
  /** The only fleet in which it can be caught; any, unless given. */
  readonly fleet?: 'watched' | 'sensed' | 'ruled' | 'patched'
  readonly edits: readonly Edit[]
}

export const LOOK_MUTANTS: readonly Mutant[] = [
  {
    name: 'a write leaves what is shown again as it is',
    fleet: 'watched',
    edits: [
      {
        file: 'broker/core/rules/looks.ts',
        from: 'if (regionsTouch(kept.region, region)) this.#kept.delete(key)',
        to: '',
      },
    ],
  },
  {
    name: 'who looks after a write is shown a look from before it',
    fleet: 'watched',
    edits: [
      {
        file: 'broker/core/rules/looks.ts',
        from: '!look.isTouched && look.epoch === epoch',
        to: 'look.epoch === epoch',
      },
    ],
  },
  {
    name: 'a write leaves what is watched as it is',
    fleet: 'watched',
    edits: [
      {
        file: 'broker/core/rules/watches.ts',
        from: 'for (const cell of this.#touched(field, body)) field.due.add(cell)',
        to: '',
      },
    ],
  },
  {
    name: 'a watched cell that a look failed to read is forgotten',
    fleet: 'watched',
    edits: [
      {
        file: 'broker/core/rules/watches.ts',
        from: 'field.due.delete(cell)\n      field.due.add(cell)',
        to: '',
      },
    ],
  },
  {
    name: 'watched cells do not wait for who comes back',
    fleet: 'watched',
    edits: [{ file: 'broker/core/rules/settling.ts', from: 'watches.wake()', to: '' }],
  },
  {
    name: 'a write during a look is none to what it reads',
    fleet: 'watched',
    edits: [
      {
        file: 'broker/core/rules/watches.ts',
        from: 'if (cell.look !== look) return',
        to: 'if (cell.look !== look) return\n      field.due.delete(cell)',
      },
    ],
  },
]
