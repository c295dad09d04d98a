const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Runs `work`, and `tidy` after it, also where a signal ends this process in the middle. */
export async function tidied<T>(tidy: () => void, work: () => Promise<T>): Promise<T> {
  const stop = (signal: NodeJS.Signals): void => {
    tidy()
    process.kill(process.pid, signal)
  }
  for (const name of SIGNALS) process.once(name, stop)
  try {
    return await work()
  } finally {
    for (const name of SIGNALS) process.off(name, stop)
    tidy()
  }
}
