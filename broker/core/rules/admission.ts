/**
 * Whether a hello is let in, and as what (recovery.md, Identity). Pure: the coordinator acts on the
 * verdict. A store that is new, or that is known and stands where the log can go on, is admitted; one
 * that was restored, replaced or belongs elsewhere is told to start empty or refused with a reason.
 */
import { formatColumns } from '../../../shared/grid/fields.ts'
import { type GridShape, type Hello, PROTOCOL_VERSION } from '../../../shared/protocol/messages.ts'
import type { ConnectionId } from '../events.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import { MEMBERS_MAX } from '../state/placement.ts'

export interface Refusal {
  readonly kind: 'refuse'
  readonly code: RefusedCode
  readonly message: string
}

export type Verdict =
  | Refusal
  /** Its store holds nothing of use: it is to begin with an empty one. */
  | { readonly kind: 'wipe'; readonly member: Member; readonly reason: string }
  | { readonly kind: 'join' }
  /** A known node with a new, empty store: what it held is gone. */
  | { readonly kind: 'replace'; readonly member: Member }
  | { readonly kind: 'resume'; readonly member: Member }
  /** Its ledger is lost: it is asked what it holds, or told what to keep of it. */
  | { readonly kind: 'collect' }
  | { readonly kind: 'rebase'; readonly member: Member }

const FLEET_FULL: Refusal = {
  kind: 'refuse',
  code: 'fleet-full',
  message: 'no more nodes are taken',
}

export type RefusedCode =
  | 'protocol-version'
  | 'grid-mismatch'
  | 'ledger-mismatch'
  | 'ledger-behind'
  | 'stream-mismatch'
  | 'id-taken'
  | 'boot-behind'
  | 'store-cloned'
  | 'fleet-full'
  | 'node-left'

export function gridShapeOf(context: CoordinatorContext): GridShape {
  const { geometry, fields } = context.options.grid
  const { width, height, tile } = geometry
  return { width, height, tile, fields: formatColumns(fields) }
}

export function judge(
  context: CoordinatorContext,
  connection: ConnectionId,
  hello: Hello,
): Verdict {
  const refuse = (code: RefusedCode, message: string): Verdict => ({
    kind: 'refuse',
    code,
    message,
  })
  if (hello.version !== PROTOCOL_VERSION) {
    const message = `the gateway speaks version ${PROTOCOL_VERSION}, the agent ${hello.version}`
    return refuse('protocol-version', message)
  }
  const member = context.members.find(hello.node as Member['id'])
  // Before anything that would cost it its store: that may have what nobody else has.
  if (member !== undefined && isTaken(context, member, connection, hello)) {
    return refuse('id-taken', `another device is connected as node ${hello.node}`)
  }
  const { ledgerId, isRecovering, formerLedgerIds = [] } = context.identity
  const isOfLost = isRecovering === true || formerLedgerIds.includes(hello.ledgerId ?? '')
  if (isOfLost && (hello.grid === null || equalShapes(hello.grid, gridShapeOf(context)))) {
    return judgeLost(context, hello)
  }
  if (hello.ledgerId !== null && hello.ledgerId !== ledgerId) {
    const message = `the store belongs to ledger ${hello.ledgerId}, this is ${ledgerId}`
    return refuse('ledger-mismatch', message)
  }
  if (hello.grid !== null && !equalShapes(hello.grid, gridShapeOf(context))) {
    return refuse('grid-mismatch', 'the store was made for another grid, tile or fields')
  }
  if (member !== undefined && isOlderLife(member, connection, hello)) {
    return refuse('boot-behind', `an older copy of the store that node ${hello.node} works on`)
  }
  const owner = context.members.ownerOfStore(hello.storeId)
  if (owner !== undefined && owner !== member) return storeCloned(owner.id)
  if (member === undefined) {
    if (hello.position > 0) {
      return refuse(
        'ledger-behind',
        'the store has writes of a node that this ledger does not know; was it forgotten (obelisk node rm)? then give it an empty data directory',
      )
    }
    return isFleetFull(context) ? FLEET_FULL : { kind: 'join' }
  }
  if (member.leaving === 'left') {
    return refuse('node-left', `node ${hello.node} was drained and has left`)
  }
  return judgeStore(member, hello)
}

/** Two devices with the same store are one copy. */
export function storeCloned(owner: string): Refusal {
  const message = `the store is a copy of that of node ${owner}`
  return { kind: 'refuse', code: 'store-cloned', message }
}

function isFleetFull({ members }: CoordinatorContext): boolean {
  return members.nextIndex >= MEMBERS_MAX
}

function judgeLost(context: CoordinatorContext, hello: Hello): Verdict {
  const member = context.members.find(hello.node as Member['id'])
  if (member === undefined) {
    const owner = context.members.ownerOfStore(hello.storeId)
    if (owner !== undefined) return storeCloned(owner.id)
    return isFleetFull(context) ? FLEET_FULL : { kind: 'collect' }
  }
  const isFrom = member.rebaseFrom === hello.position
  if (isFrom && member.stream.storeId === hello.storeId) return { kind: 'rebase', member }
  // Its stream ended before it came over: what it holds is in sync elsewhere.
  if (isFrom && member.stream.storeId === '') {
    return { kind: 'wipe', member, reason: 'the log went on without it' }
  }
  if (member.stream.storeId !== hello.storeId) {
    // What it holds may be nowhere else.
    const message = `another device has become node ${hello.node}: this one needs another id, or an empty store`
    return { kind: 'refuse', code: 'id-taken', message }
  }
  return { kind: 'wipe', member, reason: 'it is not the store that the ledger was rebuilt from' }
}

function judgeStore(member: Member, hello: Hello): Verdict {
  if (hello.storeId !== member.stream.storeId) {
    // One of before may be writing an entry of a stream that has ended: then it stands elsewhere in a moment.
    return hello.position === 0 && hello.ledgerId === null
      ? { kind: 'replace', member }
      : { kind: 'wipe', member, reason: 'the node has another store than before' }
  }
  switch (member.stream.compare(hello.position, hello.chain)) {
    case 'behind':
      return { kind: 'wipe', member, reason: 'the store stands before what it acknowledged' }
    case 'match':
      return { kind: 'resume', member }
    case 'ahead':
    case 'differs':
      return {
        kind: 'refuse',
        code: 'stream-mismatch',
        message: `the stream of node ${member.id} does not match the ledger at ${hello.position}`,
      }
  }
}

/**
 * A second device with the id of a connected one is refused. The same process comes back on a new
 * connection before the old one is known to be gone; and a session that has fallen silent gives way.
 */
function isTaken(
  context: CoordinatorContext,
  member: Member,
  connection: ConnectionId,
  hello: Hello,
): boolean {
  const { session } = member
  if (session === undefined || session.connection === connection) return false
  if (session.process === hello.process) return false
  const heardMs = context.detector.heardMs(member.index) ?? Number.NEGATIVE_INFINITY
  return context.nowMs - heardMs < context.options.suspectAfterMs
}

/** The copy of a card takes no session over from the card, however silent that is. */
function isOlderLife(member: Member, connection: ConnectionId, hello: Hello): boolean {
  const { session, stream, boot } = member
  if (session === undefined || session.connection === connection) return false
  return hello.storeId === stream.storeId && hello.boot < boot
}

function equalShapes(a: GridShape, b: GridShape): boolean {
  return a.width === b.width && a.height === b.height && a.tile === b.tile && a.fields === b.fields
}
