import { formatAge, formatTime, UNKNOWN } from '../format.ts'
import { clockOffsetMs } from '../link.ts'
import { now } from '../now.ts'

/** How long ago that was, by the gateway's clock; the time itself when pointed at. */
export function Age({ ts }: { readonly ts: number | undefined }) {
  if (ts === undefined) return <>{UNKNOWN}</>
  return (
    <time dateTime={new Date(ts).toISOString()} title={formatTime(ts)}>
      {formatAge(now.value + clockOffsetMs.value - ts)}
    </time>
  )
}
