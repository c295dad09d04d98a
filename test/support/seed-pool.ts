/** Runs seeds in processes of their own, one a core: a simulated fleet never waits, and fills a core. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { runSeeds, type SeedRange, type SeedReport } from './seed-runs.ts'
import { TYPESCRIPT } from './typescript/node-options.ts'

const WORKER = new URL('./seed-worker.ts', import.meta.url)
/** A simulation leaves much garbage that dies young. Below 2 GiB V8 lets the rest grow to twice its size, not to four times. */
const MEMORY = ['--max-semi-space-size=32', '--max-old-space-size=2000']

/**
 * Takes ranges from `next` until there are none left, and tells `done` of each. A worker that dies,
 * of its memory for one, is a failure of the first seed of its range, and another takes its place. One
 * process is this one.
 */
export async function runInPool(
  processes: number,
  next: () => SeedRange | undefined,
  done: (range: SeedRange, report: SeedReport) => void,
): Promise<void> {
  if (processes === 1) {
    for (let range = next(); range !== undefined; range = next()) done(range, await runSeeds(range))
    return
  }
  await Promise.all(
    Array.from({ length: processes }, async () => {
      let worker = start()
      try {
        for (let range = next(); range !== undefined; range = next()) {
          if (!worker.connected) worker = start()
          done(range, await ask(worker, range))
        }
      } finally {
        worker.kill()
      }
    }),
  )
}

function start(): ChildProcess {
  return fork(WORKER, { execArgv: [...MEMORY, TYPESCRIPT] })
}

async function ask(worker: ChildProcess, range: SeedRange): Promise<SeedReport> {
  const exit = new AbortController()
  const { signal } = exit
  worker.send(range)
  try {
    return await Promise.race([
      once(worker, 'message', { signal }).then(([report]) => report as SeedReport),
      once(worker, 'exit', { signal }).then(([code, reason]): SeedReport => {
        const message = `the process ended with ${code ?? reason}`
        return { seeds: 1, counts: {}, failure: { seed: range.first, message, stack: message } }
      }),
    ])
  } finally {
    exit.abort()
  }
}
