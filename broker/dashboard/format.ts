/** Numbers and times as the page shows them. What is not known is a dash. */

export const UNKNOWN = '–'

/** `edge-9` before `edge-10`, and so with versions. */
export const BY_NAME = new Intl.Collator('en', { numeric: true })

export function formatNumber(value: number | null | undefined, digits = 0): string {
  if (value === null || value === undefined || Number.isNaN(value)) return UNKNOWN
  return value.toLocaleString('en', {
    maximumFractionDigits: digits,
    minimumFractionDigits: digits,
  })
}

/** Seven digits at most, and no more than the number has: for values whose size nobody knows before. */
export function formatValue(value: number): string {
  if (!Number.isFinite(value)) return `${value}`
  if (Number.isSafeInteger(value)) return formatNumber(value)
  const size = Math.abs(value)
  if (size < 1e-4 || size >= 1e9) return value.toExponential(5)
  return value.toLocaleString('en', { maximumSignificantDigits: 7 })
}

/** `12 s`, `3 min`, `5 h`, `2 d`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 100) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 100) return `${minutes} min`
  const hours = Math.round(minutes / 60)
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`
}

/** `153 ms`, `1.5 s`, and longer ones as an age. */
export function formatSpan(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`
  return ms < 10_000 ? `${formatNumber(ms / 1000, 1)} s` : formatAge(ms)
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** `1.4 MiB`. */
export function formatBytes(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) return UNKNOWN
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${formatNumber(value, unit === 0 || value >= 100 ? 0 : 1)} ${UNITS[unit]}`
}

const TIME = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' })
const DAY_AND_TIME = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })

export function formatTime(ts: number): string {
  return DAY_AND_TIME.format(ts)
}

/** The time alone, for what is of today. */
export function formatClock(ts: number, nowTs: number): string {
  return Math.abs(nowTs - ts) < 12 * 3_600_000 ? TIME.format(ts) : DAY_AND_TIME.format(ts)
}

/** A code, or a name of the protocol, as words: `target-full` is `target full`. */
export function asWords(code: string): string {
  return code.replaceAll(/[-_]/g, ' ')
}

/** `1 tile`, `2 tiles`. */
export function counted(count: number, noun: string): string {
  return `${formatNumber(count)} ${noun}${count === 1 ? '' : 's'}`
}
