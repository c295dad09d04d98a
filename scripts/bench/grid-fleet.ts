/** A gateway and agents that hold a grid, each cell of it written, for benchmarks that look at it. */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { decodeCbor } from '../../shared/protocol/cbor.ts'
import { type BenchProcesses, type Command, type Gateway, PROGRAM } from './bench-processes.ts'
import { agentCommand, unitSetup } from './unit-command.ts'

/** Of the longest task under emulation. */
const DEADLINE_MS = 900_000
const RESULT_LIMITS = { bytesMax: 64 * 1024 * 1024, depthMax: 8, itemsMax: 10_000_000 }

export interface GridSetup {
  readonly name: string
  readonly side: number
  /** Of the field `value`. */
  readonly type: string
  readonly agents: number
  readonly replicas: number
  /** Of Node, beside those of the agents' unit. */
  readonly agentFlags?: readonly string[]
}

export interface GridFleet extends Gateway {
  /** Of its MQTT. */
  readonly url: string
  readonly agents: readonly number[]
  /** What starts the gateway again where it was. */
  readonly gatewayArgv: readonly string[]
}

export async function startGridFleet(
  setup: GridSetup,
  processes: BenchProcesses,
  command?: Command,
): Promise<GridFleet> {
  const { name, side, type, replicas } = setup
  const flags = [
    ...['--grid', `${side}x${side}`, '--tile', '16', '--fields', `value:${type}`],
    ...['--replicas', String(replicas), '--log-level', 'warn'],
  ]
  const wishes = { name: `${name}-gateway`, flags, ...(command && { command }) }
  const gateway = await processes.startGateway(wishes)
  const { port, httpPort, data } = gateway
  const url = `mqtt://127.0.0.1:${port}`
  const unit = unitSetup('agent')
  const agentSetup = { ...unit, flags: [...unit.flags, ...(setup.agentFlags ?? [])] }
  const agentWords = agentCommand(agentSetup, undefined)
  const agents: number[] = []
  for (let count = 1; count <= setup.agents; count++) {
    const id = `${name}-${count}`
    const data = ['--data', join(processes.directory, id), '--slice-bytes-max', String(2 ** 30)]
    const argv = ['--id', id, '--url', url, ...data, '--log-level', 'warn']
    agents.push((await processes.start(id, argv, agentWords)).child.pid!)
  }
  const places = ['--port', String(port), '--http-port', String(httpPort), '--data', data]
  return { ...gateway, url, agents, gatewayArgv: [PROGRAM, 'gateway', ...places, ...flags] }
}

export interface TaskEnd {
  readonly value: Record<string, unknown>
  /** Of a write: how many it had. */
  readonly copies: number | undefined
  /** Of its result. */
  readonly bytes: number
}

/** Submits a task, and waits for its end however long it takes. */
export async function runTask(base: string, task: Record<string, unknown>): Promise<TaskEnd> {
  const [id, accept] = [randomUUID(), 'application/cbor']
  let response = await fetch(`${base}/process?wait=60s`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept },
    body: JSON.stringify({ id, ...task, deadline_ms: DEADLINE_MS }),
  })
  while (response.status === 202 || response.status === 404) {
    response = await fetch(`${base}/api/tasks/${id}/result?wait=60s`, { headers: { accept } })
  }
  const body = new Uint8Array(await response.arrayBuffer())
  const decoded = response.status === 200 ? decodeCbor(body, RESULT_LIMITS) : undefined
  if (decoded?.ok !== true) throw new Error(`${task.op}: ${response.status}`)
  const { state, value, copies } = decoded.value as { state: string } & Partial<TaskEnd>
  if (state !== 'completed' || value === undefined) throw new Error(`${task.op}: ${state}`)
  return { value, copies, bytes: body.length }
}

/** Writes every tile, in four bands of 1, 2, 3 and 4. */
export async function fillGrid({ side }: GridSetup, base: string): Promise<void> {
  const rows = side / 4
  for (let y = 0; y < side; y += rows) {
    const region = { x: 0, y, w: side, h: rows }
    await runTask(base, { op: 'set', region, args: { fields: { value: 1 + y / rows } } })
  }
}
