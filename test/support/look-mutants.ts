/** Mutants of looks, which are caught where somebody looks. */
import type { Edit } from './mutated-programs.ts'

export interface Mutant {
  readonly name: string
  /** The only fleet in which it can be caught; any, unless given. */
  readonly fleet?: 'watched' | 'sensed'
  readonly edits: readonly Edit[]
}

export const LOOK_MUTANTS: readonly Mutant[] = [
  {
    name: 'a write leaves what is shown again as it is',
    fleet: 'watched',
    edits: [
      {
        file: 'broker/core/looks.ts',
        from: 'if (regionsTouch(kept.region, region)) this.#forget(key, kept)',
        to: '',
      },
    ],
  },
  {
    name: 'who looks after a write is shown a look from before it',
    fleet: 'watched',
    edits: [
      {
        file: 'broker/core/looks.ts',
        from: '!look.isTouched && look.epoch === epoch',
        to: 'look.epoch === epoch',
      },
    ],
  },
]
