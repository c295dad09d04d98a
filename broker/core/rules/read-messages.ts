/**
 * What a node is sent for its part of a read: one by one, or for a whole round at once (read-round.ts).
 *
 * A part carries `after`, the head of its node's stream, and says which of its tiles no write has touched: both as they
 * are when it is asked for, whenever it leaves.
 */
import type { TaskId } from '../../../shared/core/ids.ts'
import type { ItemsOperation, ReadOperation, Wire } from '../../../shared/operations/operation.ts'
import { encodeMessage, type Read } from '../../../shared/protocol/messages.ts'
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import type { Member } from '../state/membership.ts'
import type { TilePlan } from './planner.ts'
import type { ReadAsker } from './read-asker.ts'
import { prefixOf, type ReadPart } from './read-plan.ts'
import { ReadRound } from './read-round.ts'

const NO_BYTES = new Uint8Array(0)

/** A round of a read, as far as a node is told of it. */
export interface AskedRound {
  readonly asker: ReadAsker
  readonly operation: ReadOperation | ItemsOperation
  readonly args: Wire
  readonly rounds: readonly Wire[]
}

/** Whether the messages of a round differ in nothing but what read-template.ts writes between. */
export function isAlike({ operation }: AskedRound): boolean {
  return operation.kind === 'read' && operation.cut === undefined
}

export function messageOf(
  context: CoordinatorContext,
  { asker, operation, args }: AskedRound,
  { part, leaseMs, member }: { part: ReadPart; leaseMs: number; member: Member },
): Read {
  const cut = operation.kind === 'items' ? undefined : operation.cut
  const { items } = part
  const message: Read = {
    t: 'read',
    session: member.session!.number,
    task: asker.id,
    part: part.id,
    attempt: part.attempt,
    leaseMs,
    after: member.stream.head,
    op: asker.body.op,
    args: cut === undefined ? args : cut(args, part.tiles!, context.options.grid),
  }
  if (items === undefined) message.grid = gridOf(context, asker, part.tiles!)
  else message.items = { keys: items.keys, values: items.values }
  return message
}

function gridOf(
  { placement }: CoordinatorContext,
  { body }: ReadAsker,
  tiles: Uint32Array,
): NonNullable<Read['grid']> {
  const { x, y, w, h } = body.region!
  const { born, unborn } = placement.divide(tiles)
  return { region: [x, y, w, h], tiles: bytesOfTiles(born), unborn: bytesOfTiles(unborn) }
}

function bytesOfTiles(tiles: Uint32Array): Uint8Array {
  return tiles.length === 0
    ? NO_BYTES
    : new Uint8Array(tiles.buffer, tiles.byteOffset, tiles.byteLength)
}

/** Whose messages are alike, to be sent to all members of the plan, who are connected. */
export function roundOf(
  context: CoordinatorContext,
  { asker, args, rounds }: AskedRound,
  plan: TilePlan,
  leaseMs: number,
): ReadRound {
  const { op, region } = asker.body
  const { x, y, w, h } = region!
  return new ReadRound({
    plan,
    forAll: {
      ...{ task: asker.id, part: prefixOf(rounds.length, args), attempt: 1, leaseMs, op, args },
      region: [x, y, w, h],
    },
    unborn: unbornAmong(context, plan.tiles),
    memberAt: (index) => context.members.at(index),
  })
}

/** A flag for each that is unborn; or of all of them, where the whole grid is one or the other. */
function unbornAmong(
  { placement, options }: CoordinatorContext,
  tiles: Uint32Array,
): Uint8Array | boolean {
  const { bornCount } = placement
  if (bornCount === 0) return true
  if (bornCount === options.grid.geometry.tiles) return false
  const flags = new Uint8Array(tiles.length)
  for (let at = 0; at < tiles.length; at++) flags[at] = placement.isBorn(tiles[at]!) ? 0 : 1
  return flags
}

/** To those of them who are connected: nobody waits for the read any more. */
export function sendCancels(
  context: CoordinatorContext,
  task: TaskId,
  members: Iterable<Member>,
): void {
  const sessions = [...members].flatMap(({ session }) => session ?? [])
  context.sendRound({
    size: sessions.length,
    connectionOf: (at) => sessions[at]!.connection,
    payloadOf: (at) => encodeMessage({ t: 'cancel', session: sessions[at]!.number, task }),
  })
}
