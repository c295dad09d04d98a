/**
 * Loaded into a gateway before its own code (`node --import`), which it leaves as it is: says, to whoever asks over the
 * channel to the parent process, the longest stop of its event loop since the last time.
 */

/** Milliseconds. `ownMs`: wall or CPU time of all threads, whichever is less; others may have had the core. */
export interface LoopStop {
  readonly wallMs: number
  readonly ownMs: number
}

export const STOP_ASKED = 'stop-probe'

const TICK_MS = 1

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

let [wallMs, ownMs] = [0, 0]
let last = { at: performance.now(), cpu: cpuMs() }
setInterval(() => {
  const now = { at: performance.now(), cpu: cpuMs() }
  const wall = now.at - last.at - TICK_MS
  wallMs = Math.max(wallMs, wall)
  ownMs = Math.max(ownMs, Math.min(wall, now.cpu - last.cpu))
  last = now
}, TICK_MS).unref()

process.on('message', (message) => {
  if (message !== STOP_ASKED) return
  const stop: LoopStop = { wallMs, ownMs }
  wallMs = 0
  ownMs = 0
  process.send?.(stop)
})
