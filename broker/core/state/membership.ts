/**
 * The nodes as the gateway knows them. A member is `alive` while it is admitted on an open connection
 * and heard of, `suspect` when its socket closed or it fell silent, `dead` after `deadAfterMs` of
 * silence; `left` once it was drained. A dead one, or one that left, can be forgotten. Its index stands for it in
 * much that this start of the gateway remembers, so it is given to another only after the next start.
 *
 * The words are those of SWIM and memberlist. The stream lives here too, since identity (storeId,
 * boot, session) decides whether a stream may go on.
 */
import { assert } from '../../../shared/core/assert.ts'
import type { NodeId } from '../../../shared/core/ids.ts'
import { PACKED_FORMAT } from '../../../shared/grid/page-layout.ts'
import type { Hello } from '../../../shared/protocol/messages.ts'
import type { MemberState } from '../../../shared/protocol/states.ts'
import type { ConnectionId } from '../events.ts'
import type { MemberRecord, StreamRecord, StreamsRecord } from '../ledger-records.ts'
import type { RingMember } from './hash-ring.ts'
import { type MemberChange, MemberChanges } from './member-changes.ts'
import { NodeStream } from './node-stream.ts'
import { Steadiness } from './steadiness.ts'
import { StreamRecords } from './stream-records.ts'

/** Stands for the store of a member whose stream has ended; no id of a store is like it. */
export const NO_STORE = ''

/** What is known of all members together. */
class Roster {
  /** How many are in each state. */
  readonly counts: Record<MemberState, number> = { alive: 0, suspect: 0, dead: 0, left: 0 }
  /** Of those that are alive or suspect: who has not said that it knows packed pages. */
  plain = 0
  /** Who stopped its stream by itself. */
  readonly stopped = new Set<Member>()
  readonly changes = new MemberChanges()
  #operations: ReadonlySet<string> = new Set()
  #names: readonly string[] = []

  /** As a set, in order: the one that was given last, where it is equal, as nodes of one version know the same. */
  operationsOf(names: readonly string[]): ReadonlySet<string> {
    const [last, told] = [this.#operations, this.#names]
    if (names.length === told.length && names.every((name, at) => name === told[at])) return last
    const operations = new Set([...names].sort())
    const isEqual = operations.size === last.size && names.every((name) => last.has(name))
    if (!isEqual) this.#operations = operations
    this.#names = names
    return this.#operations
  }
}

/** One admitted connection. */
export interface Session {
  readonly number: number
  readonly connection: ConnectionId
  readonly process: string
}

export class Member {
  readonly id: NodeId
  readonly index: number
  readonly joinedTs: number
  #state: MemberState = 'suspect'
  #knowsPacked = false
  #roster: Roster
  session: Session | undefined
  boot = 0
  weight = 1
  /** The most that the file of its slice may grow to; unknown until it has said so. */
  sliceBytesMax: number | undefined
  operations: ReadonlySet<string> = new Set()
  /** What it runs, if it takes versions from its gateway and was here since the start. */
  program: Hello['upgrade']
  /** It gives lines of its log to who asks; unknown until it was here since the start. */
  givesLog = false
  /** It was told to install another version, and has not been here with it for long enough. */
  isUpgrading = false
  stream: NodeStream
  readonly steadiness = new Steadiness()
  #stopReason: { readonly code: string; readonly message: string } | undefined
  /** It is being emptied, or was. */
  leaving: 'draining' | 'left' | undefined
  /** Written tiles that it held when its drain began; unknown after a start of the gateway. */
  drainTiles: number | undefined
  /** After a recovery, until the node counts its stream from nothing: where it stood. */
  rebaseFrom: number | undefined
  /** Answers that the node gave up for want of room. */
  answersShed = 0
  /** The version of the rule book at the head of its stream; nothing of one that knows none, or was not here since the start. */
  rules: number | undefined
  /** The version that it has evaluated on all that it holds, and told. */
  rulesTold = 0
  #place: RingMember | undefined

  constructor(
    id: NodeId,
    index: number,
    options: { joinedTs: number; storeId: string },
    roster = new Roster(),
  ) {
    this.id = id
    this.index = index
    this.joinedTs = options.joinedTs
    this.stream = new NodeStream(index, options.storeId)
    this.#roster = roster
    this.#count(1)
  }

  get state(): MemberState {
    return this.#state
  }

  set state(state: MemberState) {
    this.mayChange()
    this.#count(-1)
    this.#state = state
    this.#count(1)
  }

  /** Why the node stopped its stream by itself, until the next connection. */
  get stopReason(): { readonly code: string; readonly message: string } | undefined {
    return this.#stopReason
  }

  set stopReason(reason: { readonly code: string; readonly message: string } | undefined) {
    this.mayChange()
    this.#stopReason = reason
    if (reason === undefined) this.#roster.stopped.delete(this)
    else this.#roster.stopped.add(this)
  }

  /** How it stands is about to change, perhaps: what follows from that is seen to at the end of the step. */
  mayChange(): void {
    this.#roster.changes.note(this)
  }

  /** It counts among the members no more, whatever becomes of it. */
  countNoMore(): void {
    this.#count(-1)
    this.#roster.stopped.delete(this)
    this.#roster = new Roster()
  }

  #count(by: 1 | -1): void {
    this.#roster.counts[this.#state] += by
    const isThere = this.#state === 'alive' || this.#state === 'suspect'
    if (isThere && !this.#knowsPacked) this.#roster.plain += by
  }

  /** It reads pages of format 2; unknown until it was here since the start. */
  get knowsPacked(): boolean {
    return this.#knowsPacked
  }

  /** Connected, admitted, and applying its stream. */
  get isFollowing(): boolean {
    return this.state === 'alive' && this.session !== undefined && this.stopReason === undefined
  }

  /** It follows and is not behind: it counts for writes and answers reads. */
  get isInSync(): boolean {
    return this.isFollowing && !this.stream.isLagging
  }

  /** Its stream has ended: whatever it comes back with holds nothing. */
  get isClosed(): boolean {
    return this.stream.storeId === NO_STORE
  }

  /** Whether it may be given more tiles to hold than it has. */
  mayTakeTiles(nowMs: number): boolean {
    const { isQuarantined } = this.steadiness
    const isSteady = !isQuarantined && !this.isUpgrading && !this.steadiness.isOnProbation(nowMs)
    return this.state === 'alive' && isSteady
  }

  get record(): MemberRecord {
    return {
      index: this.index,
      storeId: this.stream.storeId,
      boot: this.boot,
      weight: this.weight,
      operations: [...this.operations],
      joinedTs: this.joinedTs,
      ...(this.leaving === undefined ? {} : { leaving: this.leaving }),
      ...(this.rebaseFrom === undefined ? {} : { rebaseFrom: this.rebaseFrom }),
    }
  }

  /** Made once for each weight: the ring is told of all members whenever one comes or goes. */
  get place(): RingMember {
    const { index, id, weight } = this
    if (this.#place?.weight !== weight) this.#place = { index, id, weight }
    return this.#place
  }

  takeFrom(hello: Hello): void {
    this.mayChange()
    this.boot = hello.boot
    this.weight = hello.weight
    this.sliceBytesMax = hello.sliceBytesMax
    this.operations = this.#roster.operationsOf(hello.operations)
    this.givesLog = hello.logs !== undefined
    this.#count(-1)
    this.#knowsPacked = (hello.pages ?? 1) >= PACKED_FORMAT
    this.#count(1)
    this.program = hello.upgrade
  }
}

export class Membership {
  readonly #byId = new Map<NodeId, Member>()
  /** With holes; those who were forgotten since the start are still here. */
  readonly #byIndex: Member[] = []
  /** Lowest last. */
  #freeIndexes: number[] = []
  /** By index; made anew after somebody was forgotten. */
  #all: Member[] | undefined
  readonly #roster = new Roster()
  readonly #byConnection = new Map<ConnectionId, Member>()
  readonly #byStore = new Map<string, Member>()
  /** Where their streams stand, as the ledger has it. */
  readonly streams = new StreamRecords()
  #sessions = 0

  get size(): number {
    return this.#byId.size
  }

  /** All members, by index; who comes later is added to it. */
  get all(): readonly Member[] {
    this.#all ??= [...this.#byId.values()].sort((a, b) => a.index - b.index)
    return this.#all
  }

  get stateCounts(): Readonly<Record<MemberState, number>> {
    return this.#roster.counts
  }

  /** How many that are not dead have not said that they know packed pages. */
  get plainCount(): number {
    return this.#roster.plain
  }

  /** Those that stopped their streams by themselves, by index. */
  get stopped(): Member[] {
    return [...this.#roster.stopped].sort((a, b) => a.index - b.index)
  }

  /** Those that stand otherwise than when this was last asked for. */
  takeChanges(): MemberChange[] {
    return this.#roster.changes.take()
  }

  /** Tables by member index are of this length. */
  get indexesEnd(): number {
    return this.#byIndex.length
  }

  /** What the next member gets. */
  get nextIndex(): number {
    return this.#freeIndexes.at(-1) ?? this.#byIndex.length
  }

  /** What `make` gives for each member at its index; nothing where there is none. */
  byIndex<T>(make: (member: Member) => T): T[] {
    const table: T[] = new Array(this.indexesEnd)
    for (const member of this.all) table[member.index] = make(member)
    return table
  }

  find(id: NodeId): Member | undefined {
    return this.#byId.get(id)
  }

  at(index: number): Member {
    const member = this.#byIndex[index]
    // What is said of it is made only then: very many are asked for at once.
    if (member === undefined) assert(false, `member ${index} exists`)
    return member
  }

  /** The member that is admitted on this connection. */
  on(connection: ConnectionId): Member | undefined {
    return this.#byConnection.get(connection)
  }

  ownerOfStore(storeId: string): Member | undefined {
    return this.#byStore.get(storeId)
  }

  add(id: NodeId, options: { joinedTs: number; storeId: string }): Member {
    assert(!this.#byId.has(id), 'a node is added once')
    const index = this.#freeIndexes.pop() ?? this.#byIndex.length
    return this.#place(new Member(id, index, options, this.#roster), options.storeId)
  }

  #place(member: Member, storeId: string): Member {
    const isLast = member.index >= this.#byIndex.length
    this.#byIndex[member.index] = member
    this.#byId.set(member.id, member)
    if (isLast) this.#all?.push(member)
    else this.#all = undefined
    this.#byStore.set(storeId, member)
    return member
  }

  /** It is none any more; `at` goes on finding it. */
  forget(member: Member): void {
    assert(member.session === undefined, 'who is connected is not forgotten')
    this.#byId.delete(member.id)
    member.countNoMore()
    if (this.#byStore.get(member.stream.storeId) === member) {
      this.#byStore.delete(member.stream.storeId)
    }
    this.#all = undefined
  }

  restore(
    records: readonly { key: string | number; value: MemberRecord }[],
    streams: readonly { key: string | number; value: StreamsRecord | StreamRecord }[],
  ): void {
    const named = new Map<string | number, StreamRecord>()
    for (const { key, value } of streams) {
      if ('marks' in value) this.streams.restore(Number(key), value)
      else named.set(key, value)
    }
    for (const { key, value } of records) {
      assert(this.#byIndex[value.index] === undefined, 'a member index stands for one member')
      const fresh = new Member(key as NodeId, value.index, value, this.#roster)
      const member = this.#place(fresh, value.storeId)
      member.boot = value.boot
      member.weight = value.weight
      member.operations = this.#roster.operationsOf(value.operations)
      member.leaving = value.leaving
      member.rebaseFrom = value.rebaseFrom
      if (value.leaving === 'left') member.state = 'left'
      const mark = named.get(key) ?? this.streams.get(value.index)
      member.stream = new NodeStream(value.index, value.storeId, mark)
    }
    for (let index = this.indexesEnd - 1; index >= 0; index--) {
      if (this.#byIndex[index] === undefined) this.#freeIndexes.push(index)
    }
  }

  /** The node comes with another store, or with none that counts: a new stream begins. */
  renew(member: Member, storeId: string): void {
    member.mayChange()
    this.#byStore.delete(member.stream.storeId)
    this.#byStore.set(storeId, member)
    member.stream = new NodeStream(member.index, storeId)
  }

  /** Opens a session on a connection; one that was open ends. Returns the connection that it had. */
  open(
    member: Member,
    connection: ConnectionId,
    process: string,
    term: number,
  ): ConnectionId | undefined {
    member.mayChange()
    const previous = this.close(member)
    this.#sessions += 1
    member.session = { number: term * 2 ** 32 + this.#sessions, connection, process }
    member.state = 'alive'
    member.stopReason = undefined
    this.#byConnection.set(connection, member)
    return previous === connection ? undefined : previous
  }

  /** Ends the session; the member is suspect from now on. Returns the connection it was on. */
  close(member: Member): ConnectionId | undefined {
    member.mayChange()
    const connection = member.session?.connection
    if (connection !== undefined) this.#byConnection.delete(connection)
    member.session = undefined
    if (member.state === 'alive') member.state = 'suspect'
    member.stream.rewind()
    return connection
  }

  /** Those that floating tiles and items are spread over. */
  get placeable(): RingMember[] {
    const places: RingMember[] = []
    for (const member of this.all) {
      const isHere = member.state === 'alive' && member.leaving === undefined
      if (isHere) places.push(member.place)
    }
    return places
  }
}
