/**
 * The rule book goes to nodes, and what they find comes back (docs/osl.md, Rules). An operator sets a book: it goes into
 * the stream of each node that is here, as `$rules`, so that all replicas go by the same version from the same place in the
 * order on; who comes later, or with an older one, gets it then. A node of a version from before is sent none.
 *
 * A rule is raised while there is a tile in which a node has told that it is. It is cleared once there is none, and
 * everybody has evaluated the book: before that, no tile may only mean that nobody has looked. Tiles that nobody has any
 * more count no more.
 */
import { count } from '../../../shared/core/count.ts'
import type { Region } from '../../../shared/grid/geometry.ts'
import type { Rule } from '../../../shared/operations/rule-book.ts'
import type { Hello } from '../../../shared/protocol/messages.ts'
import type { RuleChanges, RuleRecord } from '../../../shared/protocol/rule-changes.ts'
import type { LedgerContents } from '../ledger-records.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import type { Writes } from './writes.ts'

/** Thousands may have evaluated a book at once: what follows is looked at together. */
const SOON_MS = 100

export class RuleWatch {
  readonly #context: CoordinatorContext
  readonly #writes: Writes
  #epoch: number | undefined

  constructor(context: CoordinatorContext, writes: Writes) {
    this.#context = context
    this.#writes = writes
  }

  restore({ alarm, ruleTiles }: Pick<LedgerContents, 'alarm' | 'ruleTiles'>): void {
    this.#context.alarms.restore(alarm)
    this.#context.raised.restore(ruleTiles)
    this.reconsiderSoon()
  }

  /** An operator has set the book. */
  set(rules: readonly Rule[]): void {
    const { book, alarms, raised, members } = this.#context
    book.set(rules)
    raised.begin()
    const names = new Set(rules.map(({ name }) => name))
    for (const name of alarms.names) {
      if (names.has(name)) continue
      if (alarms.isRaised(name)) this.#clear(name, alarms.last(name)!.region)
      alarms.forget(name)
    }
    for (const member of members.all) this.#bring(member)
    book.forgetBut(this.#versionsInStreams())
    const { version } = book
    const message = `rule book ${version} has ${count(rules.length, 'rule')}`
    this.#context.notice('info', 'rules-set', message, { version, rules: rules.length })
    this.reconsiderSoon()
  }

  /** A node is admitted. */
  greeted(member: Member, { rules }: Hello): void {
    const { stream } = member
    member.rulesTold = 0
    member.rules = rules
    for (let position = stream.acked + 1; position <= stream.head; position++) {
      const { order } = stream.itemAt(position)!
      if (order?.op !== '$rules') continue
      // It went back to a version that could not apply it.
      if (rules === undefined) this.#context.controls.replace(member, position, { op: '$void' })
      else member.rules = order.version
    }
    this.#bring(member)
  }

  /** Puts the book into the stream of a node that is here and has another one. */
  #bring(member: Member): void {
    const { book, controls } = this.#context
    const { rules, session } = member
    if (rules === undefined || rules === book.version || session === undefined) return
    if (book.version === 0) return
    controls.append(member, book.orderOf(book.version))
    member.rules = book.version
    this.#writes.pump(member)
  }

  #versionsInStreams(): Set<number> {
    const versions = new Set<number>()
    for (const { stream } of this.#context.members.all) {
      for (const { order } of stream.items) if (order?.op === '$rules') versions.add(order.version)
    }
    return versions
  }

  /** What a node has found. */
  receive(member: Member, { session, version, records, left }: RuleChanges): void {
    const { book, raised } = this.#context
    for (const record of records) {
      if (record.version === book.version) this.#take(record)
    }
    raised.persist()
    const number = records.at(-1)?.number ?? 0
    this.#context.send(member, { t: 'changes-taken', session, number })
    if (left > 0 || version !== book.version) return
    member.rulesTold = version
    this.reconsiderSoon()
  }

  /** What one entry has changed is judged together. */
  #take({ rules, tiles, ats, counts }: RuleRecord): void {
    const { placement, raised, book, identity } = this.#context
    const changed = new Map<number, { seq: number; tiles: number[] }>()
    rules.forEach((rule, row) => {
      const [tile, at, cells] = [tiles[row]!, ats[row]!, counts[row]!]
      const isSound = rule < book.rules.length && tile < placement.slots.length / placement.replicas
      // What nobody has any more counts no more.
      if (!isSound || at > identity.seq || !placement.isHeld(tile)) return
      if (!raised.take(rule, tile, { at, count: cells })) return
      const known = changed.get(rule) ?? { seq: 0, tiles: [] }
      changed.set(rule, { seq: Math.max(known.seq, at), tiles: [...known.tiles, tile] })
    })
    for (const [rule, { seq, tiles: touched }] of [...changed].sort(([a], [b]) => a - b)) {
      this.#judge(rule, seq, raised.regionAround(touched))
    }
  }

  /** `around` is what changed. */
  #judge(rule: number, seq: number, around: Region): void {
    const { raised, alarms, book, ts } = this.#context
    const { name, message } = book.rules[rule]!
    const tiles = raised.tilesOf(rule)
    if (tiles.size === 0) {
      if (alarms.isRaised(name) && raised.isComplete) this.#clear(name, around, seq)
      return
    }
    if (alarms.isRaised(name)) return
    alarms.say({
      ...{ rule: name, version: book.version, state: 'raised', message },
      region: raised.regionAround(tiles),
      ...{ tiles: tiles.size, count: raised.cellsOf(rule), seq, ts },
    })
  }

  #clear(name: string, region: Region, seq = this.#context.identity.seq): void {
    const { alarms, book, ts } = this.#context
    const { message } = alarms.last(name)!
    const { version } = book
    const none = { tiles: 0, count: 0 }
    alarms.say({ rule: name, version, state: 'cleared', message, region, ...none, seq, ts })
  }

  /** Members came, went, or told all that they have found. */
  reconsiderSoon(): void {
    const { book, raised, deadlines, nowMs } = this.#context
    if (book.version === 0 || raised.isComplete || deadlines.has('rules')) return
    deadlines.set('rules', nowMs + SOON_MS, () => this.#reconsider())
  }

  #reconsider(): void {
    const { raised, members, book, identity } = this.#context
    if (raised.isComplete || identity.isRecovering === true) return
    const isAwaited = ({ state, rules, rulesTold, isClosed }: Member): boolean => {
      if (state === 'suspect') return !isClosed
      return state === 'alive' && rules !== undefined && rulesTold !== book.version
    }
    if (members.all.some(isAwaited)) return
    raised.complete()
    this.#judgeAll()
  }

  #judgeAll(): void {
    const { book, alarms, identity } = this.#context
    for (const [rule, { name }] of book.rules.entries()) {
      const last = alarms.last(name)
      if (last !== undefined) this.#judge(rule, identity.seq, last.region)
    }
  }

  /** To be called with each step: tiles may have been lost. */
  follow(): void {
    const { placement, raised, identity } = this.#context
    if (identity.isRecovering === true || this.#epoch === placement.epoch) return
    this.#epoch = placement.epoch
    const lost = [...raised.all()].filter((tile) => !placement.isHeld(tile))
    if (lost.length === 0) return
    for (const tile of lost) raised.drop(tile)
    raised.persist()
    this.#judgeAll()
  }
}
