/** Mutants of rules, which are caught where some are set. */
import type { Mutant } from './look-mutants.ts'

export const RULE_MUTANTS: readonly Mutant[] = [
  {
    name: 'a rule fires on what is told again',
    fleet: 'ruled',
    edits: [
      {
        file: 'broker/core/state/raised-tiles.ts',
        from: 'known !== undefined && word.at <= known.at',
        to: 'known !== undefined && word.at < 0',
      },
    ],
  },
  {
    name: 'what changed in rules is forgotten with the process',
    fleet: 'ruled',
    edits: [
      {
        file: 'firmware-agent/adapters/rule-table.ts',
        from: 'if (record !== undefined && counting !== undefined) this.#records.push(record)',
        to: 'if (record === undefined) this.#records.push(record)',
      },
    ],
  },
  {
    name: 'an event that was not published is lost with the gateway',
    fleet: 'ruled',
    edits: [
      {
        file: 'broker/core/state/alarms.ts',
        from: 'for (const { number, ...event } of value.untold) this.#publish(rule, number, event)',
        to: '',
      },
    ],
  },
]
