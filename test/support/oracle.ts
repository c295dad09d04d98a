/**
 * An oracle for writes: after each step of the coordinator all that wait are woken, whether or not the step concerns
 * them, those that have their place are looked at again, and every stream is sent what may go. Nothing may come of that:
 * whatever does was missed by the step, and would have waited for some other event, perhaps for good. Parts of reads are
 * left out: one of several tiles waits for the first of them, though somebody could answer for another.
 */
import type { Edit } from './mutated-programs.ts'

/** Stands where a mutant's name does. */
export const ORACLE = 'oracle'

const SETTLED = `    settle(this.#context, this.#rules)
    return this.#context.takeEffects()
  }
`

export const ORACLE_EDITS: readonly Edit[] = [
  {
    file: 'broker/core/coordinator.ts',
    from: SETTLED,
    to: `    settle(this.#context, this.#rules)
    const effects = this.#context.takeEffects()
    // Before, nobody is said to be away yet.
    if (now.monotonicMs < this.#context.returnGraceEndMs) return effects
    const { tasks, members } = this.#context
    const before = new Map(tasks.all.map((task) => [task, task.waitingFor]))
    const touched = { tiles: [], areMany: true, isRingChanged: true }
    for (const member of members.all) this.#rules.writes.pump(member)
    this.#rules.writes.endGrace()
    this.#rules.writes.wake({ members: [], touched, isWide: true })
    settle(this.#context, this.#rules)
    const missed = this.#context.takeEffects().map((effect) => JSON.stringify(effect).slice(0, 300))
    for (const [{ id, op, waitingFor }, was] of before) {
      if (waitingFor !== was) missed.push(\`that the \${op} \${id} waits for \${waitingFor}, not \${was}\`)
    }
    if (missed.length === 0) return effects
    const what = event.type === 'node-message-received' ? event.message.t : event.type
    throw new Error(\`\${what} missed \${missed.length}: \${missed[0]}\`)
  }
`,
  },
]
