/** What `program` says of itself; nodes need not know how it is compiled. */
import type { About } from './operation.ts'

export const PROGRAM = 'program'

export const PROGRAM_ABOUT: About = {
  does: 'runs a program of the operation language: it sets fields, or returns values of a region',
  args: [
    { name: 'source', kind: 'source' },
    { name: 'with', kind: 'numbered', isOptional: true },
    { name: 'steps', kind: 'whole', isOptional: true, min: 1, max: 4, default: 1 },
  ],
}
