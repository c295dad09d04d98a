/** What the HTTP door asks of the rule book, answered by the driver and the coordinator's view. */
import type { GridContext } from '../shared/operations/operation.ts'
import { parseRuleBook, type RuleBookDraft } from '../shared/operations/rule-book.ts'
import type { RuleBookView } from '../shared/protocol/views.ts'
import type { RulePort } from './adapters/http-port.ts'
import { refusalOf } from './core/rules/submissions.ts'
import type { CoordinatorView } from './core/views/coordinator-view.ts'
import type { GatewayDriver } from './driver.ts'

export class RuleCalls implements RulePort {
  readonly #grid: GridContext
  readonly #driver: Pick<GatewayDriver, 'setRules'>
  readonly #view: Pick<CoordinatorView, 'ruleBook'>

  constructor(
    grid: GridContext,
    driver: Pick<GatewayDriver, 'setRules'>,
    view: Pick<CoordinatorView, 'ruleBook'>,
  ) {
    this.#grid = grid
    this.#driver = driver
    this.#view = view
  }

  parse(input: unknown): ReturnType<RulePort['parse']> {
    const parsed = parseRuleBook(input, this.#grid)
    return parsed.ok ? parsed : { ok: false, refusal: refusalOf(parsed.problems) }
  }

  book(): RuleBookView {
    return this.#view.ruleBook()
  }

  set({ rules, ifVersion }: RuleBookDraft): Promise<RuleBookView> | undefined {
    if (ifVersion !== undefined && ifVersion !== this.book().version) return undefined
    return this.#driver.setRules(rules).then(() => this.book())
  }
}
