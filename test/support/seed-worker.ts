/** A process of its own that runs the seeds it is sent: the other half of seed-pool.ts. */
import { runSeeds, type SeedRange } from './seed-runs.ts'

process.once('disconnect', () => process.exit())

process.on('message', async (range: SeedRange) => {
  process.send!(await runSeeds(range))
})
