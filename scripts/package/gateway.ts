/** The entry of `gateway.mjs`: runs when it is started, and is run by `obelisk gateway`. */
import { run } from '../../broker/main.ts'
import { isStarted, runMain } from '../run-main.ts'

export { run }

if (isStarted(import.meta.url)) {
  await runMain('gateway', async () => ({ run }), process.argv.slice(2))
}
