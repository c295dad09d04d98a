/**
 * Loaded into a gateway before its own code (`node --expose-gc --import`), which it leaves as it is: says, to whoever
 * asks over the channel to the parent process, how long its event loop stood still since the last time.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Milliseconds between two looks at the clock, which are to be 1 ms apart. */
export interface LoopDelay {
  readonly p99Ms: number
  readonly maxMs: number
}

const NS_A_MS = 1e6
const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()

process.on('message', (message) => {
  if (message !== 'loop-probe') return
  const answer: LoopDelay = { p99Ms: delay.percentile(99) / NS_A_MS, maxMs: delay.max / NS_A_MS }
  // What is garbage is no memory of a connection.
  globalThis.gc?.()
  delay.reset()
  process.send?.(answer)
})
