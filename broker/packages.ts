/** Opens the packages that a gateway keeps for boards, and where boards fetch them: part of the composition root (main.ts). */
import type { Logger } from '../shared/runtime/logger.ts'
import { FetchDoor } from './adapters/fetch-door.ts'
import { PackageStore } from './adapters/package-store.ts'
import type { GatewayConfig } from './config.ts'
import type { CoordinatorView } from './core/views/coordinator-view.ts'
import type { GatewayDriver } from './driver.ts'
import { UpgradeCalls } from './upgrade-calls.ts'

export function openPackages(
  { data, packagesBytesMax }: Pick<GatewayConfig, 'data' | 'packagesBytesMax'>,
  log: Logger,
  { driver, view }: { readonly driver: GatewayDriver; readonly view: CoordinatorView },
): { readonly upgrades: UpgradeCalls; readonly door: FetchDoor } {
  const packages = new PackageStore({ directory: data, bytesMax: packagesBytesMax })
  const port = {
    pathOf: (sha256: string) => packages.pathOf(sha256),
    failed: (error: unknown) =>
      log.error({ err: error, code: 'package-unreadable' }, 'a package cannot be given to a node'),
  }
  return { upgrades: new UpgradeCalls(packages, driver, view), door: new FetchDoor({}, port) }
}
