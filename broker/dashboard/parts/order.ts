import { useState } from 'preact/hooks'

export interface Ordering {
  readonly isBusy: boolean
  /** Why the last one was not done; empty if it was. */
  readonly problem: string
  /** Resolves with whether it was done. */
  run(order: () => Promise<unknown>): Promise<boolean>
}

/** One thing at a time that a person has the gateway do, and what became of it. */
export function useOrder(): Ordering {
  const [isBusy, setBusy] = useState(false)
  const [problem, setProblem] = useState('')
  return {
    isBusy,
    problem,
    async run(order) {
      setBusy(true)
      setProblem('')
      try {
        await order()
        return true
      } catch (error) {
        setProblem((error as Error).message)
        return false
      } finally {
        setBusy(false)
      }
    },
  }
}
