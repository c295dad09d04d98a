/**
 * Which rules are raised, by name, as it was said last. An event is in the ledger before it is published, and until that
 * is known: after a start it is published once more, with the same number, where it may not have been.
 */
import type { AlarmRecord, LedgerContents, RuleEvent } from '../ledger-records.ts'
import type { CoordinatorContext } from './coordinator-context.ts'

export class Alarms {
  readonly #context: CoordinatorContext
  readonly #alarms = new Map<string, AlarmRecord>()

  constructor(context: CoordinatorContext) {
    this.#context = context
  }

  restore(rows: LedgerContents['alarm']): void {
    for (const { key, value } of rows) {
      const rule = String(key)
      this.#alarms.set(rule, value)
      for (const { number, ...event } of value.untold) this.#publish(rule, number, event)
      if (value.isGone) this.#end(rule, value)
      else if (value.untold.length === 0) this.#retain(rule, value)
    }
  }

  /** What was said of a rule last; nothing before it was ever raised. */
  last(rule: string): RuleEvent | undefined {
    return this.#alarms.get(rule)?.last
  }

  isRaised(rule: string): boolean {
    return this.last(rule)?.state === 'raised'
  }

  get names(): string[] {
    return [...this.#alarms.keys()].sort()
  }

  /** It is raised, or cleared, from now on. */
  say(event: RuleEvent): void {
    const known = this.#alarms.get(event.rule)
    // That it was gone may be told yet.
    const number = (known?.number ?? 0) + (known?.isGone ? 2 : 1)
    const untold = [...(known?.untold ?? []), { ...event, number }]
    this.#keep(event.rule, { number, last: event, untold })
    this.#publish(event.rule, number, event)
    const { rule, state, count, seq, message } = event
    const said = `rule ${rule} is ${state}: ${message}`
    const fields = { rule, count, seq }
    if (state === 'raised') this.#context.notice('warn', 'rule-raised', said, fields)
    else this.#context.notice('info', 'rule-cleared', said, fields)
  }

  /** The rule is not in the book any more. */
  forget(rule: string): void {
    const known = this.#alarms.get(rule)
    if (known === undefined) return
    const gone: AlarmRecord = { ...known, isGone: true }
    this.#keep(rule, gone)
    this.#end(rule, gone)
  }

  /** Takes away what is retained; that has the number behind the last event. */
  #end(rule: string, { number }: AlarmRecord): void {
    this.#context.retain({ kind: 'rule-state', rule }, '')
    this.#context.emit({ type: 'note-told', rule, number: number + 1 })
  }

  /** What has this number has been published. */
  told(rule: string, number: number): void {
    const known = this.#alarms.get(rule)
    if (known === undefined) return
    if (known.isGone && number > known.number) {
      this.#alarms.delete(rule)
      this.#context.persist({ table: 'alarm', key: rule, value: undefined })
      return
    }
    const untold = known.untold.filter((event) => event.number > number)
    this.#keep(rule, { ...known, untold })
  }

  #keep(rule: string, record: AlarmRecord): void {
    this.#alarms.set(rule, record)
    this.#context.persist({ table: 'alarm', key: rule, value: record })
  }

  #publish(rule: string, number: number, event: RuleEvent): void {
    const payload = JSON.stringify(event)
    const topic = { kind: 'rule-event', rule } as const
    this.#context.emit({ type: 'publish', topic, payload, qos: 1, retain: false })
    this.#context.retain({ kind: 'rule-state', rule }, payload)
    this.#context.emit({ type: 'note-told', rule, number })
  }

  #retain(rule: string, { last }: AlarmRecord): void {
    this.#context.retain({ kind: 'rule-state', rule }, JSON.stringify(last))
  }
}
