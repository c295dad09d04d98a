/**
 * Rules of a simulated fleet: the events of each alternate, none is published twice but for the last one after a start of
 * the gateway, what is raised is true of some cell after the write that it names, and at rest each stands as a count of all
 * cells says, which shares no code with the language of the rules.
 */
import type { GatewayEffect } from '../../broker/core/effects.ts'
import type { RuleEvent } from '../../broker/core/ledger-records.ts'
import { parseRuleBook } from '../../shared/operations/rule-book.ts'
import type { GridModel, TileState } from './grid-model.ts'
import type { SimulatedClock } from './simulated-clock.ts'
import type { SimulatedGateway } from './simulated-gateway.ts'
import { violated } from './violation.ts'

interface PlainRule {
  readonly name: string
  readonly when: string
  readonly over?: { x: number; y: number; w: number; h: number }
  readonly isTrue: (value: number, level: number, status: number) => boolean
}

const LEFT = { x: 2, y: 1, w: 7, h: 9 }
/** One cell each: what such a rule says changes often. */
const SPOTS = [
  [1, 1],
  [6, 5],
  [10, 9],
].map(([x, y]): PlainRule => {
  return {
    name: `spot-${x}`,
    when: 'value % 2 >= 1',
    over: { x: x!, y: y!, w: 1, h: 1 },
    isTrue: (value) => value - 2 * Math.floor(value / 2) >= 1,
  }
})
const BOOKS: readonly (readonly PlainRule[])[] = [
  [
    { name: 'high', when: 'value > 500', isTrue: (value) => value > 500 },
    { name: 'low', when: 'value < 0', isTrue: (value) => value < 0 },
    { name: 'level', when: 'level >= 128 and value >= 0', isTrue: (v, l) => l >= 128 && v >= 0 },
    ...SPOTS,
  ],
  [
    { name: 'high', when: 'value > 900', isTrue: (value) => value > 900 },
    { name: 'level', when: 'level >= 128', over: LEFT, isTrue: (_, level) => level >= 128 },
    { name: 'scaled', when: 'status == scaled', isTrue: (_v, _l, status) => status === 1 },
    { name: 'idle', when: 'status == idle', over: LEFT, isTrue: (_v, _l, status) => status === 0 },
    ...SPOTS,
  ],
]
const RETRY_MS = 150

interface Told {
  readonly event: RuleEvent
  readonly text: string
  /** By the gateway's process that runs. */
  readonly isOfThisLife: boolean
}

export class RuleChecker {
  readonly #model: GridModel
  readonly #clock: SimulatedClock
  readonly #gateway: SimulatedGateway
  readonly #count: (what: string) => void
  readonly #last = new Map<string, Told>()
  readonly #retained = new Map<string, string>()
  readonly #texts = new Set<string>()
  #book: readonly PlainRule[] = []
  #wanted = this.#book

  constructor(around: {
    readonly model: GridModel
    readonly clock: SimulatedClock
    readonly gateway: SimulatedGateway
    readonly count: (what: string) => void
  }) {
    this.#model = around.model
    this.#clock = around.clock
    this.#gateway = around.gateway
    this.#count = around.count
  }

  /** Both books, one after the other, and the first again. */
  keepSetting(firstMs: number, everyMs: number): void {
    for (const [at, book] of [...BOOKS, BOOKS[0]!].entries()) {
      this.#clock.at(firstMs + at * everyMs, () => {
        this.#wanted = book
        this.#set(book)
      })
    }
  }

  /** Until the gateway has taken it. */
  #set(book: readonly PlainRule[]): void {
    const rules = book.map(({ name, when, over }) => {
      return { name, when, message: name, ...(over === undefined ? {} : { over }) }
    })
    const parsed = parseRuleBook({ rules }, this.#model.grid)
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems))
    this.#gateway.setRules(parsed.value.rules, () => {
      this.#book = book
      this.#count('rules-set')
    })
    this.#clock.after(RETRY_MS, () => {
      if (book !== this.#wanted) return
      const { view } = this.#gateway
      const names = view?.ruleBook().rules.map(({ when }) => when)
      if (names?.join() !== book.map(({ when }) => when).join()) this.#set(book)
    })
  }

  gatewayStarted(): void {
    for (const [rule, told] of this.#last) this.#last.set(rule, { ...told, isOfThisLife: false })
  }

  published({ topic, payload, retain, qos }: Extract<GatewayEffect, { type: 'publish' }>): void {
    if (topic.kind === 'rule-state') {
      if (!retain || qos !== 1) violated(`the state of ${topic.rule} is not retained at QoS 1`)
      this.#retained.set(topic.rule, String(payload))
    }
    if (topic.kind !== 'rule-event') return
    const { rule } = topic
    if (retain || qos !== 1) violated(`an event of ${rule} is retained, or not at QoS 1`)
    const text = String(payload)
    const event = JSON.parse(text) as RuleEvent
    const last = this.#last.get(rule)
    const isAgain = last?.text === text && !last.isOfThisLife
    this.#last.set(rule, { event, text, isOfThisLife: true })
    if (isAgain) {
      this.#count('rule-event-again')
      return
    }
    const { state, version, seq, region, count } = event
    if (state === (last?.event.state ?? 'cleared')) violated(`${rule} is ${state} twice: ${text}`)
    const key = JSON.stringify([rule, version, state, seq, region, count])
    if (this.#texts.has(key)) violated(`an event is told twice: ${text}`)
    this.#texts.add(key)
    this.#count(`rule-${state}`)
    if (state === 'raised') this.#checkTruth(event)
  }

  #checkTruth({ rule, version, seq, count }: RuleEvent): void {
    const found = this.#ruleOf(rule, version)
    if (found === undefined) violated(`rule ${rule} is raised, and in no book`)
    if (count === 0) violated(`rule ${rule} is raised for no cell`)
    const tiles = this.#model.grid.geometry.tiles
    for (let tile = 0; tile < tiles; tile++) {
      const state = this.#model.tileAt(tile, seq)
      if (state.seq === seq && this.#isRaised(found, tile, state)) return
    }
    violated(`rule ${rule} is raised by write ${seq}, after which it is true of no cell`)
  }

  /** Versions count the books that were set. */
  #ruleOf(rule: string, version: number): PlainRule | undefined {
    const isLatest = this.#gateway.view?.ruleBook().version === version
    const books = isLatest ? [this.#book, ...BOOKS] : BOOKS
    return books.flat().find(({ name }) => name === rule)
  }

  /** Whether each stands as it is to. */
  atRest(): void {
    for (const rule of this.#book) {
      const { name } = rule
      const { geometry } = this.#model.grid
      const isTrue = Array.from({ length: geometry.tiles }, (_, tile) => tile).some((tile) => {
        return this.#isRaised(rule, tile, this.#model.tileAt(tile, Number.POSITIVE_INFINITY))
      })
      const is = isTrue ? 'raised' : 'cleared'
      const told = this.#last.get(name)?.event.state ?? 'cleared'
      if (told !== is) violated(`rule ${name} is ${is}, and the last event says ${told}`)
      const retained = this.#retained.get(name) ?? ''
      const said = retained === '' ? 'cleared' : (JSON.parse(retained) as RuleEvent).state
      if (said !== is) violated(`rule ${name} is ${is}, and what is retained says ${said}`)
      this.#count(`rule-rests-${is}`)
    }
    for (const [name, { event }] of this.#last) {
      if (this.#book.some((rule) => rule.name === name)) continue
      if (event.state === 'raised') violated(`rule ${name} is in no book, and raised`)
      if (this.#retained.get(name) !== '') violated(`rule ${name} is in no book, and retained`)
    }
  }

  /** A tile that was never written counts for none. */
  #isRaised({ isTrue, over }: PlainRule, tile: number, state: TileState): boolean {
    if (state.seq === 0) return false
    const { x, y, w } = this.#model.grid.geometry.tileRegion(tile)
    const [value, level] = state.columns
    return state.status.some((status, at) => {
      const [column, row] = [x + (at % w), y + Math.floor(at / w)]
      const isOver =
        over === undefined ||
        (column >= over.x && row >= over.y && column < over.x + over.w && row < over.y + over.h)
      return isOver && isTrue(value![at]!, level![at]!, status)
    })
  }
}
