/**
 * Rebuilds a lost ledger from what the nodes hold (recovery.md, The ledger). Every node that comes with a
 * store of the lost ledger is asked for the tiles that it has. Once as many nodes have answered as the
 * operator said there are, each tile goes to those that have its highest `at`; a new ledger begins, with
 * sequences above all that were seen, and each node is told what to keep and to count its stream from
 * nothing. Tasks that had not ended, results and known ids are lost.
 *
 * A tile that nobody has was never written, or is lost: which, nobody can say, so it is missing until an
 * operator says that it may begin anew. Nor can a copy say it, with all its nodes back: who joined later leaves no trace on
 * them, may have the only copies of what was written later, and may be switched on last. A node of the lost ledger that comes later still gives what is
 * missing. The lost ledger's epoch is not needed: an older copy has a lower `at`, and equal ones are equal.
 *
 * A ledger that is restored from a copy goes the same way, however far its nodes are ahead of the copy, and keeps
 * what it has of tasks. It knows who is to be waited for. Who joined after the copy was made it does not know, so it waits
 * at least for as long as an agent may sleep before it comes back.
 */
import { count } from '../../../shared/core/count.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import {
  packTileBits,
  packTiles,
  unpackTileBits,
  unpackTiles,
} from '../../../shared/operations/columns.ts'
import type { Hello, Up } from '../../../shared/protocol/messages.ts'
import type { RecoveryView } from '../../../shared/protocol/views.ts'
import type { ConnectionId } from '../events.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import { type Refusal, storeCloned } from './admission.ts'
import { forgetAbsent, listed } from './missing-tiles.ts'
import type { Rebalancer } from './rebalancer.ts'

/** Tiles of a `rebase` that are listed; more go as bits, of which any slice takes at most 512 KiB. */
const KEPT_LISTED_MAX = 131_072
/** In a message. */
const NAMES_MAX = 10
const LOOK_MS = 1000

type Held = Extract<Up, { t: 'held' }>

/** What one node has: complete when `next` is null. */
interface Inventory {
  readonly hello: Hello
  connection: ConnectionId
  isHere: boolean
  readonly tiles: number[]
  readonly ats: number[]
  next: number | null
}

export class Recovery {
  readonly #context: CoordinatorContext
  readonly #rebalancer: Rebalancer
  /** By node. */
  readonly #inventories = new Map<string, Inventory>()
  readonly #added: Member[] = []

  constructor(context: CoordinatorContext, rebalancer: Rebalancer) {
    this.#context = context
    this.#rebalancer = rebalancer
  }

  /** At each start, until it is done, it is said what is put together from what. */
  begin(): void {
    const { restored } = this.#context.identity
    if (restored === undefined) return
    const { ts: copyTs, nodes } = restored
    const message = `this ledger is a copy of an older one, and waits for its ${count(nodes.length, 'node')}: tasks accepted later are unknown, and their ids would run again`
    this.#context.notice('warn', 'restored', message, { copyTs, nodes: nodes.length })
    if (nodes.length > 0) return
    // There may never have been one.
    const { deadlines, startedMs, options } = this.#context
    deadlines.set('restore', startedMs + options.reconnectMs, () => this.#recoverIfAll())
  }

  /** Whom it waits for; nothing once it is done. */
  view(): RecoveryView | undefined {
    const { identity, options, startedMs, nowMs, ts } = this.#context
    if (identity.isRecovering !== true) return undefined
    const { restored } = identity
    const complete = this.#complete.map(({ hello }) => hello.node)
    const empty = [...this.#inventories.values()].filter(({ hello, isHere }) => {
      return isHere && hello.ledgerId === null
    })
    const bare = listed(empty.map(({ hello }) => hello.node))
    const readyMs = startedMs + options.reconnectMs
    const isBound = this.#isOfCopy && nowMs < readyMs
    return {
      ...(restored === undefined ? {} : { copy_ts: restored.ts }),
      expected: this.#expected,
      shown: complete.length,
      nodes: listed(complete).names,
      awaited: listed(this.#away).names,
      empty: bare.names,
      ...(bare.more === 0 ? {} : { empty_more: bare.more }),
      ...(isBound ? { until_ts: Math.round(ts + readyMs - nowMs) } : {}),
    }
  }

  /** Why what a node has is not to be looked at: one like it has come before. */
  problemOf(hello: Hello): Refusal | undefined {
    const known = this.#inventories.get(hello.node)?.hello
    if (known !== undefined && known.ledgerId !== null && known.storeId !== hello.storeId) {
      const message = `another device has shown what it holds as node ${hello.node}`
      return { kind: 'refuse', code: 'id-taken', message }
    }
    for (const [node, { hello: other, isHere }] of this.#inventories) {
      if (other.storeId !== hello.storeId || node === hello.node) continue
      if (isHere) return storeCloned(node)
      // It was this one, under another name.
      this.#inventories.delete(node)
    }
    return undefined
  }

  /** A node with a store of the lost ledger, or with an empty one, says hello. */
  collect(connection: ConnectionId, hello: Hello): void {
    const known = this.#inventories.get(hello.node)
    const isSame = known?.hello.storeId === hello.storeId && known.hello.position === hello.position
    if (known !== undefined && isSame && known.next === null) {
      known.connection = connection
      known.isHere = true
      this.#settle(known)
      return
    }
    const isEmpty = hello.ledgerId === null
    const next = isEmpty ? null : 0
    const inventory: Inventory = { hello, connection, isHere: true, tiles: [], ats: [], next }
    this.#inventories.set(hello.node, inventory)
    if (isEmpty) this.#settle(inventory)
    else this.#context.sendTo(connection, { t: 'list-tiles', from: 0 })
  }

  receive(connection: ConnectionId, node: NodeId, held: Held): void {
    const inventory = this.#inventories.get(node)
    if (inventory?.connection !== connection || inventory.next !== held.from) return
    const { hello } = inventory
    if (held.storeId !== hello.storeId || held.position !== hello.position) {
      // It has applied what was on its way when the connection ended: it says hello again.
      this.#inventories.delete(node)
      this.#context.emit({ type: 'disconnect', connection, reason: 'inventory-changed' })
      return
    }
    const { tiles } = this.#context.options.grid.geometry
    unpackTiles(held.tiles).forEach((tile, index) => {
      const at = held.ats[index] ?? 0
      if (tile >= tiles || at === 0) return
      inventory.tiles.push(tile)
      inventory.ats.push(at)
    })
    inventory.next = held.next
    if (held.next === null) this.#settle(inventory)
    else this.#context.sendTo(connection, { t: 'list-tiles', from: held.next })
  }

  /** Nobody goes on with what was shown on it. While the fleet is waited for, the hello that follows sees to that. */
  closed(connection: ConnectionId): void {
    for (const [node, inventory] of this.#inventories) {
      if (inventory.connection !== connection) continue
      if (this.#context.identity.isRecovering === true) inventory.isHere = false
      else this.#inventories.delete(node)
    }
  }

  /** Another device has joined as this node: who has been showing what it holds is to say hello again. */
  joined(node: NodeId): void {
    const inventory = this.#inventories.get(node)
    if (inventory === undefined) return
    this.#inventories.delete(node)
    const { connection } = inventory
    this.#context.emit({ type: 'disconnect', connection, reason: 'id-taken' })
  }

  /** Members since the last call that are not here yet: they do as they are told, and say hello again. */
  takeAdded(): Member[] {
    return this.#added.splice(0).filter(({ session }) => session === undefined)
  }

  /** An inventory is complete. */
  #settle(inventory: Inventory): void {
    if (this.#context.identity.isRecovering !== true) {
      this.#takeLate(inventory)
      return
    }
    const nodes = this.#complete.length
    const away = this.#away
    const waited = away.length === 0 ? '' : `; waited for: ${namesOf(away)}`
    const shown =
      nodes === 1 ? '1 node has shown what it holds' : `${nodes} nodes have shown what they hold`
    const message = `${shown}${waited}`
    const expected = this.#expected
    this.#context.notice('info', 'recovery-progress', message, { nodes, expected })
    this.#recoverIfAll()
  }

  /** A board with a new card shows nothing: another may be the one that has what is waited for. */
  get #complete(): Inventory[] {
    return [...this.#inventories.values()].filter(({ next, hello }) => {
      return next === null && hello.ledgerId !== null
    })
  }

  /** The copy says whom to wait for, unless an operator says how many there are. */
  get #isOfCopy(): boolean {
    const { identity, options } = this.#context
    return identity.restored !== undefined && options.recoverNodes === 0
  }

  get #expected(): number {
    if (!this.#isOfCopy) return this.#context.options.recoverNodes
    return this.#complete.length + this.#away.length
  }

  /** Nodes that the copy knows. */
  get #away(): string[] {
    if (!this.#isOfCopy) return []
    const here = new Set(this.#complete.map(({ hello }) => hello.node))
    return this.#context.identity.restored!.nodes.filter((node) => !here.has(node))
  }

  #recoverIfAll(): void {
    const { identity, options, startedMs, nowMs, deadlines } = this.#context
    const complete = this.#complete
    if (!this.#isOfCopy) {
      if (complete.length >= options.recoverNodes) this.#recover(complete)
      return
    }
    const mayBeNone = identity.restored!.nodes.length === 0
    if (this.#away.length > 0 || (complete.length === 0 && !mayBeNone)) return
    // Others may have joined after the copy, and hold what nobody else has.
    const isShowing = [...this.#inventories.values()].some(
      ({ isHere, next }) => isHere && next !== null,
    )
    const readyMs = Math.max(startedMs + options.reconnectMs, isShowing ? nowMs + LOOK_MS : 0)
    if (nowMs >= readyMs) this.#recover(complete)
    else deadlines.set('restore', readyMs, () => this.#recoverIfAll())
  }

  #recover(inventories: readonly Inventory[]): void {
    const context = this.#context
    const { placement } = context
    const filled = [...inventories].sort((a, b) => (a.hello.node < b.hello.node ? -1 : 1))
    const { restored, formerLedgerIds = [], absentNodes = [], ...rest } = context.identity
    const told = filled.map(({ hello }) => hello.ledgerId!).sort()
    const former = new Set([...formerLedgerIds, ...told])
    context.identity = rest
    // Else it would be done again, from nobody, and who has come late meanwhile would be forgotten.
    context.deadlines.clear('restore')
    this.#raiseSequence(filled)
    context.changeIdentity({ isRecovering: false, formerLedgerIds: [...former] })
    const come = new Set(filled.map(({ hello }) => hello.node))
    const absent = [...absentNodes, ...(restored?.nodes ?? [])].filter((node) => !come.has(node))
    if (absent.length > 0) context.changeIdentity({ absentNodes: [...new Set(absent)] })
    const members = filled.map((inventory) => this.#addMember(inventory))
    const best = new Map<number, number>()
    for (const { tiles, ats } of filled) {
      tiles.forEach((tile, index) => {
        best.set(tile, Math.max(best.get(tile) ?? 0, ats[index]!))
      })
    }
    filled.forEach(({ tiles, ats }, which) => {
      const { index: member } = members[which]!
      const kept = tiles.filter((tile, index) => ats[index] === best.get(tile))
      for (const tile of kept) placement.adoptHolder(tile, member)
    })
    const written = restored?.written && unpackTileBits(restored.written)
    const writtenLost = written?.filter((tile) => !placement.isHeld(tile)).length
    const lost = placement.bearAll(written)
    const { taken, older } = this.#context.copied.judge(best)
    const newer = context.identity.seq - (restored?.seq ?? 0)
    const ahead =
      restored === undefined ? '' : `; up to ${count(newer, 'write')} came after the copy`
    const known =
      writtenLost === undefined ? '' : `, ${writtenLost} of which the copy had as written`
    const left = taken + older === 0 ? '' : `; readings of it: ${taken} written, ${older} older`
    const message = `a new ledger from ${count(members.length, 'node')}: ${count(best.size, 'tile')}; nobody has ${lost}${known}${ahead}${left}`
    context.notice('warn', 'recovered', message, {
      nodes: members.length,
      tiles: best.size,
      missing: lost,
      ...(writtenLost === undefined ? {} : { missingWritten: writtenLost }),
      ...(restored === undefined ? {} : { newer, readings: taken, olderReadings: older }),
    })
    filled.forEach(({ connection }, which) => {
      this.rebase(members[which]!, connection)
    })
    this.#inventories.clear()
    context.startedMs = context.nowMs
    this.#rebalancer.wake()
  }

  /** Above every `at` that comes in: a node skips a write whose sequence is not above its tile's `at`. */
  #raiseSequence(inventories: readonly Inventory[]): void {
    let { seq } = this.#context.identity
    for (const { hello, ats } of inventories) {
      for (const at of ats) seq = Math.max(seq, at)
      seq = Math.max(seq, hello.seq)
    }
    this.#context.changeIdentity({ seq })
  }

  #addMember({ hello }: Inventory): Member {
    const context = this.#context
    const options = { joinedTs: context.ts, storeId: hello.storeId }
    const member = context.members.add(hello.node as NodeId, options)
    member.takeFrom(hello)
    member.rebaseFrom = hello.position
    context.streamChanged(member)
    context.persist({ table: 'member', key: member.id, value: member.record })
    this.#added.push(member)
    return member
  }

  /** It keeps what the new ledger says it holds, and counts its stream from nothing. */
  rebase(member: Member, connection: ConnectionId): void {
    const { identity, placement } = this.#context
    const kept = placement.bornTilesOf(member.index)
    this.#context.sendTo(connection, {
      t: 'rebase',
      storeId: member.stream.storeId,
      position: member.rebaseFrom!,
      ledgerId: identity.ledgerId,
      ...(kept.length <= KEPT_LISTED_MAX
        ? { keep: packTiles(kept) }
        : { keep: packTileBits(kept), keepAs: 'bits' }),
    })
  }

  /**
   * A node of the lost ledger that was not waited for: it gives what nobody else has. What was written since is not what
   * it has, and stays missing.
   */
  #takeLate(inventory: Inventory): void {
    const { placement } = this.#context
    this.#inventories.delete(inventory.hello.node)
    this.#raiseSequence([inventory])
    const member = this.#addMember(inventory)
    forgetAbsent(this.#context, (node) => node === member.id)
    const missing = inventory.tiles.filter(
      (tile) => placement.isMissing(tile) && !placement.wasWrittenSince(tile),
    )
    for (const tile of missing) placement.adoptHolder(tile, member.index)
    const ats = new Map(inventory.tiles.map((tile, index) => [tile, inventory.ats[index]!]))
    this.#context.copied.judge(new Map(missing.map((tile) => [tile, ats.get(tile)!])))
    const message = `node ${member.id} of the lost ledger came late, with ${count(missing.length, 'tile')} that nobody had`
    this.#context.notice('warn', 'recovered-late', message, {
      node: member.id,
      tiles: missing.length,
    })
    this.rebase(member, inventory.connection)
  }
}

function namesOf(nodes: readonly string[]): string {
  const shown = nodes.slice(0, NAMES_MAX).join(', ')
  return nodes.length > NAMES_MAX ? `${shown} and ${nodes.length - NAMES_MAX} more` : shown
}
