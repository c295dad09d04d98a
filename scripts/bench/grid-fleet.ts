/** A gateway and agents that hold a grid, each cell of it written, for benchmarks that look at it. */
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decodeCbor } from '../../shared/protocol/cbor.ts'
import { type BenchProcesses, type Command, NODE } from './bench-processes.ts'
import { agentCommand, unitSetup } from './unit-command.ts'

const PROGRAM = fileURLToPath(new URL('../obelisk.js', import.meta.url))
const RESULT_LIMITS = { bytesMax: 64 * 1024 * 1024, depthMax: 8, itemsMax: 1000 }

export interface GridSetup {
  readonly name: string
  readonly side: number
  /** Of the field `value`. */
  readonly type: string
  readonly agents: number
  readonly replicas: number
  /** Besides. */
  readonly gatewayFlags?: readonly string[]
}

export interface GridFleet {
  /** Without a slash at its end. */
  readonly base: string
  readonly gateway: number
  readonly gatewayChild: ChildProcess
  readonly agents: readonly number[]
  /** Of its MQTT. */
  readonly url: string
  /** What starts the gateway again where it was. */
  readonly gatewayArgv: readonly string[]
}

export async function startGridFleet(
  setup: GridSetup,
  processes: BenchProcesses,
  command: Command = NODE,
): Promise<GridFleet> {
  const { name, side, type, replicas, gatewayFlags = [] } = setup
  const flags = [
    ...['--data', join(processes.directory, `${name}-gateway`), '--replicas', String(replicas)],
    ...['--grid', `${side}x${side}`, '--tile', '16', '--fields', `value:${type}`],
    ...['--log-level', 'warn', ...gatewayFlags],
  ]
  const argv = [PROGRAM, 'gateway', '--port', '0', '--http-port', '0', ...flags]
  const { child, ready } = await processes.start(`${name}-gateway`, argv, command)
  const [, port, http] = /mqtt=\S+:(\d+) http=(\S+)/.exec(ready)!
  const agentWords = agentCommand(unitSetup('agent'), PROGRAM, undefined)
  const agents: number[] = []
  for (let count = 1; count <= setup.agents; count++) {
    const id = `${name}-${count}`
    const data = ['--data', join(processes.directory, id), '--slice-bytes-max', String(2 ** 30)]
    const argv = ['--id', id, '--url', `mqtt://127.0.0.1:${port}`, ...data, '--log-level', 'warn']
    agents.push((await processes.start(id, argv, agentWords)).child.pid!)
  }
  const httpPort = http!.slice(http!.lastIndexOf(':') + 1)
  const gatewayArgv = [PROGRAM, 'gateway', '--port', port!, '--http-port', httpPort, ...flags]
  const [base, url] = [`http://${http}`, `mqtt://127.0.0.1:${port}`]
  return { base, url, gateway: child.pid!, gatewayChild: child, agents, gatewayArgv }
}

/** Submits a task, waits for its end and returns its value and the bytes of its result. */
export async function runTask(
  base: string,
  task: Record<string, unknown>,
): Promise<{ value: Record<string, unknown>; bytes: number }> {
  const response = await fetch(`${base}/process?wait=60s`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/cbor' },
    body: JSON.stringify({ ...task, deadline_ms: 600_000 }),
  })
  const body = new Uint8Array(await response.arrayBuffer())
  const decoded = response.status === 200 ? decodeCbor(body, RESULT_LIMITS) : undefined
  if (decoded?.ok !== true) throw new Error(`${task.op}: ${response.status}`)
  const { state, value } = decoded.value as { state: string; value?: Record<string, unknown> }
  if (state !== 'completed' || value === undefined) throw new Error(`${task.op}: ${state}`)
  return { value, bytes: body.length }
}

/** Writes every tile, in four bands of 1, 2, 3 and 4. */
export async function fillGrid({ side }: GridSetup, base: string): Promise<void> {
  const rows = side / 4
  for (let y = 0; y < side; y += rows) {
    const region = { x: 0, y, w: side, h: rows }
    await runTask(base, { op: 'set', region, args: { fields: { value: 1 + y / rows } } })
  }
}
