/**
 * What follows from the rule book (docs/osl.md, Rules): an operator sets it, and it is told. Which versions there are is
 * rule-book.ts's.
 */
import type { Rule } from '../../../shared/operations/rule-book.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'

export class RuleWatch {
  readonly #context: CoordinatorContext

  constructor(context: CoordinatorContext) {
    this.#context = context
  }

  /** An operator has set the book. */
  set(rules: readonly Rule[]): void {
    const { book } = this.#context
    book.set(rules)
    book.forgetBut(new Set())
    const { version } = book
    const message = `rule book ${version} has ${rules.length} rules`
    this.#context.notice('info', 'rules-set', message, { version, rules: rules.length })
  }
}
