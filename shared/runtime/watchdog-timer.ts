/** Looks at the watchdog when it wants to be, and passes its pings on. Decides nothing. */
import { type Wait, Watchdog } from '../core/watchdog.ts'
import type { Logger } from './logger.ts'
import type { SdNotify } from './sd-notify.ts'

/** Begins to ping, if systemd asked for it; returns what ends that. */
export function keepWatch(notify: SdNotify, log: Logger, waits: () => readonly Wait[]): () => void {
  const timeoutMs = notify.watchdogMs
  if (timeoutMs === undefined) return () => {}
  const watchdog = new Watchdog({ timeoutMs }, performance.now())
  let timer: NodeJS.Timeout | undefined
  const look = (): void => {
    const { isPing, change } = watchdog.step(performance.now(), waits())
    if (isPing) notify.tell({ WATCHDOG: '1' })
    if (change?.stalled !== undefined) {
      log.error({ code: 'no-progress' }, `systemd will end this process: ${change.stalled}`)
    } else if (change !== undefined) {
      log.info({}, 'it goes on')
    }
    timer = setTimeout(look, Math.max(1, watchdog.deadlineMs - performance.now())).unref()
  }
  look()
  return () => clearTimeout(timer)
}
