/**
 * The entry of `gateway.mjs`: runs when it is started, and is run by `obelisk gateway`. Its errors end in here:
 * `obelisk.mjs` is another bundle, with an AppError of its own that these are none of.
 */
import { run as main } from '../../broker/main.ts'
import { exitCodeOf, isStarted, runMain } from '../run-main.ts'

export { checkBackup, restoreFleet, restoreLedger } from '../../broker/main.ts'

export async function run(argv: readonly string[]): Promise<number> {
  return await exitCodeOf('gateway', async () => ({ run: main }), argv)
}

if (isStarted(import.meta.url))
  await runMain('gateway', async () => ({ run }), process.argv.slice(2))
