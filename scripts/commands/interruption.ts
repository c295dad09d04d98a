import { AppError, EXIT_INTERRUPTED } from '../../shared/runtime/errors.ts'

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/**
 * Runs what only waits for something that goes on without us. A signal ends the wait with `said`: that it goes
 * on, and how to end it.
 */
export async function whileWaiting<T>(
  said: string,
  wait: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const interruption = new AbortController()
  const stop = (): void => interruption.abort()
  for (const name of SIGNALS) process.once(name, stop)
  try {
    return await wait(interruption.signal)
  } catch (error) {
    if (!interruption.signal.aborted) throw error
    throw new AppError('interrupted', said, { cause: error, exitCode: EXIT_INTERRUPTED })
  } finally {
    for (const name of SIGNALS) process.off(name, stop)
  }
}
