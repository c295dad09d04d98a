/**
 * The entry of `agent.mjs`: runs when it is started, and is run by `obelisk agent`. Its errors end in here:
 * `obelisk.mjs` is another bundle, with an AppError of its own that these are none of.
 */
import { run as main } from '../../firmware-agent/main.ts'
import { exitCodeOf, isStarted, runMain } from '../run-main.ts'

export async function run(argv: readonly string[]): Promise<number> {
  return await exitCodeOf('agent', async () => ({ run: main }), argv)
}

if (isStarted(import.meta.url)) await runMain('agent', async () => ({ run }), process.argv.slice(2))
