/**
 * Loaded into a gateway before its own code (`node --import`), which it leaves as it is. Whoever asks over the channel to
 * the parent process is told how its event loop stood still since the last time, and what memory it uses (`delay`: only the
 * former, at less cost); whoever wants
 * `socket-ends`, at which moment each of its sockets was seen to end, as the first listener of that socket.
 */
import { subscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks'

export interface Probed {
  /** Milliseconds that the loop stood still. `ownMs`: wall or CPU time of all threads, whichever is less. */
  readonly p99Ms: number
  readonly maxMs: number
  readonly ownMs: number
  /** As V8 counts it; with `--expose-gc`, without what is garbage. */
  readonly memory: NodeJS.MemoryUsage
}

/** How long the loop stood still, since the last time that one asked. */
export type Delay = Pick<Probed, 'p99Ms' | 'maxMs'>

/** The end of the connection that came from this port; CLOCK_MONOTONIC, ms. */
export interface SocketEnd {
  readonly port: number
  readonly atMs: number
}

const TICK_MS = 1
const US_A_MS = 1000
const NS_A_MS = 1e6

const stops = createHistogram()
const look = () => ({ at: performance.now(), cpu: process.cpuUsage() })
let last = look()
let ownMs = 0
let isLooking = false

function tick(): void {
  const { user, system } = process.cpuUsage(last.cpu)
  const wallMs = performance.now() - last.at - TICK_MS
  stops.record(Math.max(1, Math.round(wallMs * US_A_MS)))
  ownMs = Math.max(ownMs, Math.min(wallMs, (user + system) / US_A_MS))
  last = look()
}

/** For who must not take much of a busy loop: it looks seldom, and cannot tell whose time it was. */
const DELAY_LOOK_MS = 10
const delay = monitorEventLoopDelay({ resolution: DELAY_LOOK_MS })
const delayMs = (ns: number): number => Math.max(0, ns / NS_A_MS - DELAY_LOOK_MS)

process.on('message', (message) => {
  if (message === 'delay') {
    const { max } = delay
    const seen: Delay = { p99Ms: delayMs(delay.percentile(99)), maxMs: delayMs(max) }
    globalThis.gc?.()
    globalThis.gc?.()
    process.send?.(seen)
    delay.enable()
    delay.reset()
  }
  if (message === 'socket-ends') subscribe('net.server.socket', watch)
  if (message !== 'probe') return
  const loop = { p99Ms: stops.percentile(99) / US_A_MS, maxMs: stops.max / US_A_MS, ownMs }
  // The second one waits until what the first found is given back.
  globalThis.gc?.()
  globalThis.gc?.()
  const answer: Probed = { ...loop, memory: process.memoryUsage() }
  process.send?.(answer)
  // Not before somebody asks, who then asks again.
  if (!isLooking) setInterval(tick, TICK_MS).unref()
  isLooking = true
  stops.reset()
  ownMs = 0
  last = look()
})

function watch(message: unknown): void {
  const { socket } = message as { socket: Socket }
  const port = socket.remotePort
  let isSeen = false
  const note = (): void => {
    if (isSeen || port === undefined) return
    isSeen = true
    const end: SocketEnd = { port, atMs: Number(process.hrtime.bigint()) / 1e6 }
    // Later: what the gateway does about it is not to wait for us.
    setImmediate(() => process.send?.(end))
  }
  for (const sign of ['end', 'error', 'close']) socket.prependListener(sign, note)
}
