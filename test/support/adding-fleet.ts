/** A gateway and three agents that have taken additions, for tests in which the ledger is lost; and whether they go on afterwards. */
import type { Test } from 'tap'
import { Random } from '../../shared/core/random.ts'
import { Additions, allCompleted } from './additions.ts'
import { type Agent, Fleet, type Gateway } from './processes.ts'
import { caughtUp } from './replicas.ts'
import { areOnDisk } from './stored-copies.ts'
import { HttpClient, WireClient } from './wire-client.ts'

const SIDE = 32
export const GRID = ['--grid', `${SIDE}x${SIDE}`, '--fields', 'n:i32']
const MORE = 20

export interface AddingFleet {
  readonly fleet: Fleet
  readonly gateway: Gateway
  readonly agents: readonly Agent[]
  readonly http: HttpClient
  readonly wire: WireClient
  readonly additions: Additions
}

export async function addingFleet(t: Test, seed: number): Promise<AddingFleet> {
  const fleet = new Fleet(t)
  const gateway = await fleet.gateway(...GRID)
  const agents = await fleet.agents(['a', 'b', 'c'], gateway.url)
  const http = new HttpClient(gateway.http)
  const wire = await WireClient.connect(gateway.url)
  t.teardown(() => wire.close())
  return { fleet, gateway, agents, http, wire, additions: new Additions(SIDE, new Random(seed)) }
}

/** They take more, and each has on its disk what all of it amounts to. */
export async function goesOn(t: Test, { gateway, agents, http, additions }: AddingFleet) {
  const later = await WireClient.connect(gateway.url)
  t.teardown(() => later.close())
  const ids = Array.from({ length: MORE }, () => additions.next().id)
  await additions.send(later)
  await allCompleted(t, http, ids)
  for (const { id } of agents) await caughtUp(http, id)
  await areOnDisk(t, agents, additions.cells)
}
