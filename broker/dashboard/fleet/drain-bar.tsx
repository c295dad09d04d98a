import { formatAge, formatNumber } from '../format.ts'
import { refresh } from '../live.ts'
import { useOrder } from '../parts/order.ts'
import { Problem } from '../parts/problem.tsx'
import { ask, may } from '../session.ts'
import type { DrainProgress } from './drains.ts'

interface Props {
  readonly node: string
  readonly progress: DrainProgress
}

export function DrainBar({
  node,
  progress: { moved, total, rate, stalledFor, etaSeconds },
}: Props) {
  const { run, isBusy, problem } = useOrder()
  const keep = (): Promise<boolean> =>
    run(async () => {
      await ask(`api/nodes/${encodeURIComponent(node)}/drain`, { method: 'DELETE' })
      await refresh()
    })
  const pace = rate ? ` · ${formatNumber(rate, rate < 10 ? 1 : 0)} tiles/s` : ''
  const left = etaSeconds === undefined ? '' : ` · about ${formatAge(1000 * etaSeconds)} left`
  return (
    <div class="drain">
      <progress max={total || 1} value={moved} aria-label={`${node} is emptied`} />
      <span>
        {formatNumber(moved)} of {formatNumber(total)} tiles moved
        {stalledFor === undefined ? (
          `${pace}${left}`
        ) : (
          <span class="bad"> · stands still: {stalledFor}</span>
        )}
      </span>
      {may('operate') && (
        <button type="button" disabled={isBusy} onClick={() => void keep()}>
          keep it
        </button>
      )}
      <Problem of={problem} />
    </div>
  )
}
