import { AppError, EXIT_INTERRUPTED } from '../../shared/runtime/errors.ts'
import { fault } from '../fault.ts'

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** Runs `work`, which a signal ends with `said`: what goes on without us and how to end it, or what is left. */
export async function interruptible<T>(
  said: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const interruption = new AbortController()
  const stop = (): void => interruption.abort()
  for (const name of SIGNALS) process.once(name, stop)
  try {
    return await work(interruption.signal)
  } catch (error) {
    if (!interruption.signal.aborted) throw error
    throw fault('interrupted', said, error)
  } finally {
    for (const name of SIGNALS) process.off(name, stop)
  }
}

/** Runs what goes on for as long as somebody looks: that a signal ends it is no fault, and nothing is said. */
export async function untilInterrupted(
  work: (signal: AbortSignal) => Promise<number>,
): Promise<number> {
  try {
    return await interruptible('', async (signal) => {
      const code = await work(signal)
      signal.throwIfAborted()
      return code
    })
  } catch (error) {
    if (error instanceof AppError && error.exitCode === EXIT_INTERRUPTED) return EXIT_INTERRUPTED
    throw error
  }
}
