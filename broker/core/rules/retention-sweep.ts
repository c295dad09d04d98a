/**
 * Takes out of the ledger, now and then, what of ended tasks was kept long enough: their records, and what is retained
 * of them. Which they are says retention.ts; some go at a time, so that no step is long.
 */
import type { CoordinatorContext } from '../state/coordinator-context.ts'
import { SWEPT_MAX } from '../state/retention.ts'

/** How often kept tasks are looked through for what may go. */
const RETENTION_SWEEP_MS = 60_000

export function sweepRetention(context: CoordinatorContext): void {
  const { tasks, ledgerMs, nowMs, deadlines } = context
  const expired = tasks.takeExpiredRetention(ledgerMs)
  for (const task of expired) {
    context.persist({ table: 'result', key: task.id, value: undefined })
    const record = task.isNamed ? tasks.record(task, nowMs) : undefined
    context.persist({ table: 'task', key: task.id, value: record })
    for (const kind of ['task-state', 'task-result', 'task-result-json'] as const) {
      context.retain({ kind, task: task.id }, '')
    }
  }
  const forgotten = tasks.takeForgotten(ledgerMs)
  for (const task of forgotten) {
    context.persist({ table: 'task', key: task.id, value: undefined })
  }
  // The ledger's time is written, too, as long as something waits for it.
  if (tasks.size > 0) context.changeIdentity({})
  const isDone = expired.length < SWEPT_MAX && forgotten.length < SWEPT_MAX
  const nextMs = isDone ? nowMs + RETENTION_SWEEP_MS : nowMs
  deadlines.set('retention', nextMs, () => sweepRetention(context))
}
