/** `gateway keys`, which `gateway secure` runs: makes the keys of a fleet, in the data of its gateway. */
import { loadConfig } from '../shared/runtime/config.ts'
import { AppError, EXIT_CONFIG, EXIT_DONE } from '../shared/runtime/errors.ts'
import type { Environment } from '../shared/runtime/option-table.ts'
import { isThere } from '../shared/runtime/private-folder.ts'
import { makeFleetKeys } from './adapters/fleet-keys.ts'
import { GATEWAY } from './config.ts'
import { securityFolder } from './security.ts'

export async function makeKeys(argv: readonly string[], environment: Environment): Promise<number> {
  const loaded = await loadConfig(GATEWAY, argv, environment)
  if (loaded.kind === 'help') return EXIT_DONE
  const { data } = loaded.values
  const folder = securityFolder(data)
  if (isThere(folder)) {
    throw new AppError('secured', `${data} is secured already`, { exitCode: EXIT_CONFIG })
  }
  // A service has a user of its own, who has to read them.
  await makeFleetKeys(folder)
  return EXIT_DONE
}
