/**
 * The entry of `agent.mjs`: runs when it is started, and is run by `obelisk agent`. Its errors end in here:
 * `obelisk.mjs` is another bundle, with an AppError of its own that these are none of.
 */
import { run as main } from '../../firmware-agent/main.ts'
import type { Environment } from '../../shared/runtime/option-table.ts'
import { exitCodeOf, isStarted, type Main, runMain } from '../run-main.ts'

export async function run(argv: readonly string[], environment?: Environment): Promise<number> {
  const load = async (): Promise<Main> => ({
    run: (given, own) => main(given, environment ?? own),
  })
  return await exitCodeOf('agent', load, argv)
}

if (isStarted(import.meta.url)) await runMain('agent', async () => ({ run }), process.argv.slice(2))
