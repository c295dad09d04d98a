/** The entry of `agent.mjs`: runs when it is started, and is run by `obelisk agent`. */
import { run } from '../../firmware-agent/main.ts'
import { isStarted, runMain } from '../run-main.ts'

export { run }

if (isStarted(import.meta.url)) await runMain('agent', async () => ({ run }), process.argv.slice(2))
