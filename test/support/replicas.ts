/** Looks at every copy of the grid: what one copy hides is seen in the other. */
import { type Agent, eventually } from './processes.ts'
import type { HttpClient } from './wire-client.ts'

/** The node is here and has everything that it is to have. */
export async function caughtUp(http: HttpClient, id: string): Promise<void> {
  await eventually(`${id} is here and not behind`, async () => {
    const { state, stream } = await http.node(id)
    return state === 'alive' && stream.head === stream.acked
  })
}

/** Kills an agent, and waits until the gateway has noticed. */
export async function killAgent(http: HttpClient, agent: Agent): Promise<void> {
  await agent.run.kill()
  await eventually(
    `${agent.id} is missed`,
    async () => (await http.node(agent.id)).state !== 'alive',
  )
}

/**
 * Calls `look` with each agent killed once and the others here: every tile is read from each of its
 * two holders while the other is away.
 */
export async function withEachAway(
  http: HttpClient,
  agents: readonly Agent[],
  look: (away: string) => Promise<void>,
): Promise<void> {
  for (const agent of agents) {
    await killAgent(http, agent)
    await look(agent.id)
    await agent.restart()
    await caughtUp(http, agent.id)
  }
}
