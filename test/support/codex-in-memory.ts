/** The codex of a gateway on a bench, as an HTTP door asks for it. */
import type { CodexPort } from '../../broker/adapters/http-port.ts'
import { CodexCalls } from '../../broker/codex-calls.ts'
import type { CodexOutcome } from '../../broker/core/effects.ts'
import type { CodexDemand } from '../../broker/core/events.ts'
import { GatewayBench } from './gateway-bench.ts'

/** Of nobody else who waits on a bench. */
const TICKET = -1

/** What an operator is answered who wants something of the codex. */
export function demandOf(bench: GatewayBench, demand: CodexDemand, by?: string): CodexOutcome {
  const asker = by === undefined ? {} : { by }
  bench.step({ type: 'codex-demanded', ticket: TICKET, demand, ...asker })
  const answer = bench.effects.find((effect) => effect.type === 'answer-codex')
  if (answer?.ticket !== TICKET) throw new Error('a demand is answered at once')
  return answer.outcome
}

export function codexInMemory(): CodexPort {
  const bench = new GatewayBench()
  return new CodexCalls(bench.view, {
    codex: async (demand, by) => demandOf(bench, demand, by),
  })
}
