/** What leaves as a round is shown as the messages that it is made of, which is what a node is sent: traces say that. */
import type { GatewayEffect } from '../../broker/core/effects.ts'
import { decodeDown } from '../../shared/protocol/messages.ts'

type Send = Extract<GatewayEffect, { type: 'send' }>
export type SingleEffect = Exclude<GatewayEffect, { type: 'send-round' }>

export function singleSends(effects: readonly GatewayEffect[]): SingleEffect[] {
  return effects.flatMap((effect) => (effect.type === 'send-round' ? sendsOf(effect) : effect))
}

function sendsOf({ round, from, to }: Extract<GatewayEffect, { type: 'send-round' }>): Send[] {
  return Array.from({ length: to - from }, (_, at) => {
    const decoded = decodeDown(round.payloadOf(from + at))
    if (!decoded.ok) throw new Error(`a message of a round is malformed: ${decoded.problem}`)
    return { type: 'send', connection: round.connectionOf(from + at), message: decoded.message }
  })
}
