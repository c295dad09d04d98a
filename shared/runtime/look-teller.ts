/** Says that a store is looked through before the program can begin, and asks systemd for the time. */
import type { Logger } from './logger.ts'
import type { SdNotify } from './sd-notify.ts'
import type { OnLook } from './store-look.ts'

/** From each word on; what is to be read after the look fits in, too. */
const TIME_USEC = 300_000_000
const INTERVAL_MS = 5000
const MIB = 1024 * 1024

export function tellOfLook(notify: SdNotify, log: Logger): OnLook {
  let toldMs = Number.NEGATIVE_INFINITY
  return (lookedBytes, fileBytes) => {
    const nowMs = performance.now()
    if (lookedBytes === 0) {
      log.info({ bytes: fileBytes }, 'the store was not closed: it is looked through first')
    }
    if (nowMs - toldMs < INTERVAL_MS) return
    toldMs = nowMs
    const [looked, all] = [lookedBytes, fileBytes].map((bytes) => Math.round(bytes / MIB))
    notify.tell({
      EXTEND_TIMEOUT_USEC: String(TIME_USEC),
      STATUS: `looking through the store: ${looked} of ${all} MiB`,
    })
  }
}
